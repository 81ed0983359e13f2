/**
 * Archived ranges: frames of one shard that the log need not hold any more, as one object.
 *
 *   0 magic "HFAR" · 4 version · blocks of `snapshot-part.ts` · foot
 *   in a block, for each frame: 4 length · the frame as the log had it
 *   foot: shard (u32) · frames (u32) · from, to (f64) · chain before, chain after (u32) · recorded time of the last record (f64)
 *
 * The name says the range, that time and the SHA-256 of the bytes, so a listing is an index:
 *
 *   archive/<shard>/<from>-<to>-<time>-<SHA-256>
 *
 * Invariants: an object is a function of the log's frames from `from` to `to`, whoever writes it; frames are in it byte for
 * byte, so that the log's own checks (CRC, chain) go on holding. Server side only: it needs node:crypto and node:zlib.
 */
import { createHash } from "node:crypto";
import { assert } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import { type Chain, checkFrame, decodeFrame } from "./frame.ts";
import { damaged } from "./snapshot.ts";
import { blockBytes, decodeBlock, encodeBlock } from "./snapshot-part.ts";

const magic = [0x48, 0x46, 0x41, 0x52];
const archiveVersion = 1;
const headerBytes = 5;
const lengthBytes = 4;
const foot = { shard: 0, frames: 4, from: 8, to: 16, before: 24, after: 28, lastMs: 32, bytes: 40 };

/** Stored bytes after which an object ends: a request is worth it, and hashing one in one go takes a millisecond or two. */
const archiveObjectBytes = 2 * 1024 * 1024;

/** A frame as the log's port has it. */
export interface ArchivedFrame {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** One object, as its name tells. Ranges are half-open. */
export interface ArchivedRange {
  readonly name: string;
  readonly shard: ShardId;
  readonly from: Offset;
  readonly to: Offset;
  /** Recorded time of the last record. */
  readonly lastMs: number;
  readonly sha256: string;
}

export function archivePrefix(shard: ShardId): string {
  return `archive/${shard}/`;
}

const digits = 16;
const namePattern = /^archive\/(\d{1,6})\/(\d{16})-(\d{16})-(\d{1,16})-([0-9a-f]{64})$/;

function nameOf({ shard, from, to, lastMs, sha256 }: Omit<ArchivedRange, "name">): string {
  const place = (offset: Offset) => String(offset).padStart(digits, "0");
  return `${archivePrefix(shard)}${place(from)}-${place(to)}-${lastMs}-${sha256}`;
}

/** Undefined for a name that is not of this form. */
export function rangeOf(name: string): ArchivedRange | undefined {
  const [, shard, from, to, lastMs, sha256] = namePattern.exec(name) ?? [];
  if (sha256 === undefined || Number(from) >= Number(to)) return undefined;
  return { name, shard: Number(shard), from: Number(from), to: Number(to), lastMs: Number(lastMs), sha256 };
}

/** Takes consecutive frames of one shard. */
export class ArchiveWriter {
  readonly #shard: ShardId;
  readonly #from: Offset;
  #blocks: Uint8Array[] = [Uint8Array.of(...magic, archiveVersion)];
  #hash = createHash("sha256").update(this.#blocks[0] as Uint8Array);
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #stored = headerBytes;
  #frames = 0;
  #to: Offset;
  #before: Chain | undefined;
  #after: Chain | undefined;
  #last: ArchivedFrame | undefined;

  /** @param previous chain of the frame before; undefined if that frame is not known */
  constructor(shard: ShardId, from: Offset, previous: Chain | undefined) {
    this.#shard = shard;
    this.#from = this.#to = from;
    this.#after = previous;
  }

  get to(): Offset {
    return this.#to;
  }

  /** Chain of the last frame. */
  get chain(): Chain | undefined {
    return this.#after;
  }

  get isFull(): boolean {
    return this.#stored >= archiveObjectBytes;
  }

  /**
   * Takes a copy of the frame.
   * @returns true if that ended a block: work was done, and the caller may want to let others run
   * @throws `log-damaged` the frame is not whole, or not the next
   */
  add(frame: ArchivedFrame): boolean {
    const checked = checkFrame(frame.bytes, this.#shard, this.#to, this.#after);
    assert(frame.at === this.#to && checked.count === frame.count, "a log tells what its frames are");
    const bytes = Uint8Array.from(frame.bytes);
    this.#last = { ...frame, bytes };
    this.#before ??= checked.previous;
    this.#after = checked.chain;
    this.#to += frame.count;
    this.#frames++;
    this.#waiting.push(bytes);
    this.#waitingBytes += lengthBytes + bytes.length;
    if (this.#waitingBytes < blockBytes) return false;
    this.#endBlock();
    return true;
  }

  #endBlock(): void {
    if (this.#waiting.length === 0) return;
    const raw = Buffer.allocUnsafe(this.#waitingBytes);
    let position = 0;
    for (const bytes of this.#waiting) {
      position = raw.writeUInt32LE(bytes.length, position);
      raw.set(bytes, position);
      position += bytes.length;
    }
    this.#push(encodeBlock(raw));
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #push(bytes: Uint8Array): void {
    this.#blocks.push(bytes);
    this.#hash.update(bytes);
    this.#stored += bytes.length;
  }

  /** Ends the object, which has a frame at least. */
  finish(): { readonly range: ArchivedRange; readonly bytes: Uint8Array } {
    this.#endBlock();
    assert(this.#last !== undefined, "an archived range has a frame");
    const { at, bytes: last } = this.#last;
    const { records } = decodeFrame(last, this.#shard, at, undefined);
    const lastMs = Math.floor(records.at(-1)?.time ?? 0);
    const end = Buffer.allocUnsafe(foot.bytes);
    end.writeUInt32LE(this.#shard, foot.shard);
    end.writeUInt32LE(this.#frames, foot.frames);
    end.writeDoubleLE(this.#from, foot.from);
    end.writeDoubleLE(this.#to, foot.to);
    end.writeUInt32LE(this.#before as Chain, foot.before);
    end.writeUInt32LE(this.#after as Chain, foot.after);
    end.writeDoubleLE(lastMs, foot.lastMs);
    this.#push(end);
    const shape = { shard: this.#shard, from: this.#from, to: this.#to, lastMs, sha256: this.#hash.digest("hex") };
    return { range: { name: nameOf(shape), ...shape }, bytes: Buffer.concat(this.#blocks) };
  }
}

export interface ArchiveEnds {
  /** Chain of the frame before the first and of the last. */
  readonly before: Chain;
  readonly after: Chain;
}

/**
 * What ties an object to its neighbours. Its SHA-256 was checked by the caller.
 * @throws `snapshot-damaged`
 */
export function archiveEnds(range: ArchivedRange, stored: Uint8Array): ArchiveEnds {
  const { name, shard, from, to } = range;
  if (stored.length < headerBytes + foot.bytes || magic.some((byte, index) => stored[index] !== byte))
    throw damaged(name, "does not begin like an archived range");
  if (stored[4] !== archiveVersion)
    throw damaged(name, `has version ${stored[4]}; run the version of Holdfast that wrote it`);
  const end = footOf(stored);
  if (
    end.readUInt32LE(foot.shard) !== shard ||
    end.readDoubleLE(foot.from) !== from ||
    end.readDoubleLE(foot.to) !== to
  )
    throw damaged(name, "holds another range than it says");
  return { before: end.readUInt32LE(foot.before), after: end.readUInt32LE(foot.after) };
}

function footOf(stored: Uint8Array): Buffer {
  return Buffer.from(stored.buffer, stored.byteOffset + stored.length - foot.bytes, foot.bytes);
}

/**
 * The frames of an object, block by block. They share the block's buffer.
 * @throws `snapshot-damaged`, `log-damaged` a frame is not what the log had
 */
export function* readArchive(range: ArchivedRange, stored: Uint8Array): Generator<ArchivedFrame[]> {
  const { name, shard, from, to } = range;
  const { before, after } = archiveEnds(range, stored);
  const body = Buffer.from(stored.buffer, stored.byteOffset, stored.length - foot.bytes);
  let [at, chain, frames] = [from, before, 0];
  for (let position = headerBytes; position < body.length; ) {
    const { raw, end } = decodeBlock(name, body, position);
    position = end;
    const block: ArchivedFrame[] = [];
    for (let start = 0; start < raw.length; frames++) {
      const length = start + lengthBytes <= raw.length ? raw.readUInt32LE(start) : raw.length;
      const bytes = raw.subarray(start + lengthBytes, start + lengthBytes + length);
      if (bytes.length !== length) throw damaged(name, "ends within a frame");
      const checked = checkFrame(bytes, shard, at, chain);
      block.push({ shard, epoch: checked.epoch, at, count: checked.count, bytes });
      start += lengthBytes + length;
      at += checked.count;
      chain = checked.chain;
    }
    yield block;
  }
  if (at !== to || chain !== after || frames !== footOf(stored).readUInt32LE(foot.frames))
    throw damaged(name, "holds other frames than it counts");
}
