/**
 * Reads the blocks of one segment in order, through a window of bytes that moves over the file.
 *
 * Invariant: yields only blocks that carry this segment's number and continue the sequence and the chain; stops at the
 * first place where none does, and leaves it to the caller to say whether the segment may end there.
 */
import { HoldfastError } from "../../model/errors.ts";
import { type DiskFile, sectorBytes } from "../../ports/disk.ts";
import { announcedLength, type Block, blockAt, headerBytes, padded } from "./block.ts";

/** Large enough that a read costs more than its call, small enough to stay in the processor's cache. */
const windowBytes = 1024 * 1024;

/** To compare with and to write. */
export const zeros: Uint8Array = new Uint8Array(windowBytes);

/** The block that was passed last. */
export interface ChainEnd {
  readonly sequence: number;
  readonly crc: number;
}

/** A window's bytes, reused from segment to segment. */
export class Window {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);

  reserve(bytes: number): void {
    if (bytes <= this.bytes.length) return;
    this.bytes = new Uint8Array(bytes);
    this.view = new DataView(this.bytes.buffer);
  }
}

export interface ScanOptions {
  readonly file: DiskFile;
  readonly segment: number;
  readonly salt: number;
  /** Bytes of the segment that may hold blocks. */
  readonly until: number;
  readonly window: Window;
  /** Bytes to read at a time, at least. */
  readonly windowBytes?: number;
  /** The block before this segment, if it is known. */
  readonly after?: ChainEnd | undefined;
}

export class Scan {
  readonly #options: ScanOptions;
  #last: ChainEnd | undefined;
  /** Place in the file of the next block. */
  #at = 0;
  #windowAt = 0;
  #windowFilled = 0;
  #wanted = headerBytes;
  #lastAt = 0;
  #lastLength = 0;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#last = options.after;
  }

  /** Where the next block would begin: a multiple of 512. */
  get position(): number {
    return this.#at;
  }

  get last(): ChainEnd | undefined {
    return this.#last;
  }

  /** Place and length of the block that was taken last. */
  get lastBlock(): { readonly at: number; readonly length: number } {
    return { at: this.#lastAt, length: this.#lastLength };
  }

  /**
   * Moves the window to the next block. Blocks taken before lose their bytes.
   * @returns false if no further block begins inside the segment
   */
  async refill(): Promise<boolean> {
    const { file, until, window } = this.#options;
    const room = until - this.#at;
    if (this.#wanted === 0 || room < this.#wanted) return false;
    const bytes = Math.min(room, Math.max(this.#wanted, this.#options.windowBytes ?? windowBytes));
    window.reserve(bytes);
    this.#windowAt = this.#at;
    this.#windowFilled = await file.read(window.bytes.subarray(0, bytes), this.#at);
    return this.#windowFilled >= this.#wanted;
  }

  /** The next block if the window holds all of it. */
  take(): Block | undefined {
    const { window, salt, until } = this.#options;
    const inWindow = this.#at - this.#windowAt;
    const left = this.#windowFilled - inWindow;
    if (left < headerBytes) return this.#want(headerBytes);
    const length = announcedLength(window.view, inWindow);
    if (length === 0 || this.#at + length > until) return this.#want(0);
    if (left < length) return this.#want(length);
    const block = blockAt(window.bytes, window.view, inWindow, salt);
    if (block === undefined || !this.#continues(block)) return this.#want(0);
    this.#last = block;
    this.#lastAt = this.#at;
    this.#lastLength = length;
    this.#at += padded(length);
    return block;
  }

  /** Takes the next block, moving the window as needed. */
  async next(): Promise<Block | undefined> {
    const block = this.take();
    if (block !== undefined) return block;
    return (await this.refill()) ? (this.take() ?? this.#takeLonger()) : undefined;
  }

  async #takeLonger(): Promise<Block | undefined> {
    return (await this.refill()) ? this.take() : undefined;
  }

  #continues(block: Block): boolean {
    if (block.segment !== this.#options.segment) return false;
    return this.#last === undefined || (block.sequence === this.#last.sequence + 1 && block.chain === this.#last.crc);
  }

  #want(bytes: number): undefined {
    this.#wanted = bytes;
    return undefined;
  }
}

/** What lies behind the last block of a segment. */
export interface Rest {
  /** Bytes from the first to the last sector that is not zero; `from === until` if all are. */
  readonly from: number;
  readonly until: number;
}

/**
 * Looks through a segment behind its last block.
 * @throws `log-damaged` a later block is valid, so what stands before it is not the torn end of a crash
 */
export async function examineRest(options: ScanOptions, position: number): Promise<Rest> {
  const { file, window, until, segment, salt } = options;
  window.reserve(Math.min(windowBytes, until));
  let first = until;
  let last = until;
  for (let at = position; at < until; at += windowBytes) {
    const wanted = Math.min(windowBytes, until - at);
    const filled = await file.read(window.bytes.subarray(0, wanted), at);
    if (isZero(window.bytes, 0, filled)) continue;
    for (let sector = 0; sector < filled; sector += sectorBytes) {
      const sectorEnd = Math.min(filled, sector + sectorBytes);
      if (isZero(window.bytes, sector, sectorEnd)) continue;
      if (first === until) first = at + sector;
      last = at + sectorEnd;
      if (sectorEnd - sector < headerBytes || announcedLength(window.view, sector) === 0) continue;
      const found = await blockOf(file, at + sector, announcedLength(window.view, sector), until, salt);
      if (found !== undefined && found.segment >= segment) throw damagedBefore(options, position, found, at + sector);
    }
  }
  return first === until ? { from: until, until } : { from: first, until: last };
}

async function blockOf(
  file: DiskFile,
  at: number,
  length: number,
  until: number,
  salt: number,
): Promise<Block | undefined> {
  if (at + length > until) return undefined;
  const bytes = new Uint8Array(length);
  if ((await file.read(bytes, at)) < length) return undefined;
  return blockAt(bytes, new DataView(bytes.buffer), 0, salt);
}

function isZero(bytes: Uint8Array, from: number, until: number): boolean {
  return Buffer.compare(bytes.subarray(from, until), zeros.subarray(0, until - from)) === 0;
}

function damagedBefore(options: ScanOptions, position: number, found: Block, at: number): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `Segment ${options.segment} is damaged at byte ${position}: no valid block begins there, but block ` +
      `${found.sequence} at byte ${at} is valid, so this is not the torn end of a crash. Nothing was changed. ` +
      "Restore the data directory from a copy; what stands before the damage can be read from it.",
    { details: { segment: options.segment, position, laterBlock: found.sequence, laterAt: at } },
  );
}
