/**
 * Opens what a log left on disk: finds its end, refuses damage, clears what a crash tore, and makes sure of the rest.
 *
 * Segment states: made -> begun (first block valid) -> full (a later one has begun) -> trimmed. Only the last one begun
 * is scanned whole; of the others the first block is read, since it says where every shard stood. Reading them checks
 * the rest of their bytes.
 *
 * Invariants:
 * 1. A torn end is cut only if no valid block follows it in the log.
 * 2. Before the first new write the torn bytes are zeros on stable storage, and the last block is written again: after
 *    a kill it may be in the system's memory only, and after a failed sync it may look written and not be.
 * 3. The log then ends with an empty block (the mark), as it does after an orderly close. So every earlier block has a
 *    successor, and damage to it can never look like a torn end.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Disk, DiskFile } from "../../ports/disk.ts";
import { type Block, padded } from "./block.ts";
import { segmentName } from "./format.ts";
import { Positions } from "./positions.ts";
import type { Segment } from "./retained.ts";
import { type ChainEnd, examineRest, Scan, type ScanOptions, Window, zeros } from "./scan.ts";
import type { PreparedSegment } from "./space.ts";
import { readPositions, walkFrames } from "./walk.ts";

export interface Active {
  readonly segment: Segment;
  readonly file: DiskFile;
  /** Where the next block goes. */
  position: number;
}

export interface Recovered {
  readonly positions: Positions;
  /** In order; the last is the active one. */
  readonly segments: Segment[];
  readonly active: Active;
  readonly chainEnd: ChainEnd;
  /** True if the log ends with a mark. */
  readonly marked: boolean;
  readonly prepared: PreparedSegment | undefined;
}

export interface RecoverOptions {
  readonly disk: Disk;
  readonly salt: number;
  readonly shardCount: number;
  readonly segmentBytes: number;
}

export interface FoundFile {
  readonly number: number;
  readonly bytes: number;
}

/** Small: most of it is thrown away when only a segment's first block is wanted. */
const firstBlockWindowBytes = 64 * 1024;

/** @param files the log's segment files, at least one */
export async function recover(options: RecoverOptions, files: readonly FoundFile[]): Promise<Recovered> {
  const { disk } = options;
  const window = new Window();
  const { segments, last, unbegun } = await survey(options, files, window);
  const opened = new OpenFiles(disk);
  try {
    const prepared = unbegun === undefined ? undefined : await opened.open(unbegun);
    const active = await opened.open(last);
    return await settle(options, { segments, last, active, prepared, window });
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** The segments that have begun, at least one, and the one made after them, if it is there. Changes nothing. */
export async function survey(
  options: Pick<RecoverOptions, "disk" | "salt" | "shardCount">,
  files: readonly FoundFile[],
  window: Window,
): Promise<{ readonly segments: Segment[]; readonly last: Segment; readonly unbegun: FoundFile | undefined }> {
  const { disk } = options;
  const ordered = files.toSorted((a, b) => a.number - b.number);
  checkNumbers(disk, ordered);
  const segments: Segment[] = [];
  let unbegun: FoundFile | undefined;
  for (const found of ordered) {
    if (unbegun !== undefined) throw missingStart(disk, unbegun.number);
    const tails = await readFirstTails(options, found, window);
    if (tails === undefined) unbegun = found;
    else segments.push({ ...found, tails, pins: 0 });
  }
  checkTails(disk, segments);
  const last = segments.at(-1);
  if (last === undefined) throw missingStart(disk, ordered[0]?.number ?? 1);
  return { segments, last, unbegun };
}

interface Opened {
  readonly segments: Segment[];
  readonly last: Segment;
  readonly active: PreparedSegment;
  readonly prepared: PreparedSegment | undefined;
  readonly window: Window;
}

/** Finds the end of the active segment and makes the log ready to be written. */
async function settle(options: RecoverOptions, opened: Opened): Promise<Recovered> {
  const { segments, last, active, window } = opened;
  const { salt, segmentBytes, shardCount } = options;
  const positions = new Positions(shardCount);
  const scanned: ScanOptions = { file: active.file, segment: last.number, salt, until: last.bytes, window };
  const { scan, marked } = await scanActive(scanned, positions);
  const chainEnd = scan.last;
  if (chainEnd === undefined) throw missingStart(options.disk, last.number);
  const rest = await examineRest(scanned, scan.position);
  const next = opened.prepared;
  const nextRest =
    next === undefined
      ? undefined
      : await examineRest({ file: next.file, segment: next.number, salt, until: next.bytes, window }, 0);
  if (!marked) {
    await zero(active.file, rest.from, rest.until);
    if (next !== undefined && nextRest !== undefined) await zero(next.file, nextRest.from, nextRest.until);
  }
  await rewrite(active.file, scan.lastBlock);
  const bytes = await grow(active.file, last.bytes, segmentBytes);
  const grown: Segment = { ...last, bytes };
  segments[segments.length - 1] = grown;
  let prepared: PreparedSegment | undefined;
  if (next !== undefined) prepared = { ...next, bytes: await grow(next.file, next.bytes, segmentBytes) };
  const state = { segment: grown, file: active.file, position: scan.position };
  const end = { sequence: chainEnd.sequence, crc: chainEnd.crc };
  return { positions, segments, active: state, chainEnd: end, marked, prepared };
}

export async function scanActive(options: ScanOptions, positions: Positions): Promise<{ scan: Scan; marked: boolean }> {
  const scan = new Scan(options);
  let marked = false;
  let first = true;
  for (let block = await scan.next(); block !== undefined; block = await scan.next()) {
    if (first) readPositions(block, positions);
    walkFrames(block, positions);
    first = false;
    marked = block.frameCount === 0;
  }
  return { scan, marked };
}

/** Where every shard stood when the segment began; undefined if it never did. */
async function readFirstTails(
  options: Pick<RecoverOptions, "disk" | "salt" | "shardCount">,
  found: FoundFile,
  window: Window,
): Promise<Float64Array | undefined> {
  const file = await options.disk.open(segmentName(found.number));
  try {
    const { number: segment, bytes: until } = found;
    const scan = new Scan({ file, segment, salt: options.salt, until, window, windowBytes: firstBlockWindowBytes });
    const block: Block | undefined = await scan.next();
    if (block === undefined) return undefined;
    const positions = new Positions(options.shardCount);
    readPositions(block, positions);
    return positions.tails;
  } finally {
    await file.close();
  }
}

async function zero(file: DiskFile, from: number, until: number): Promise<void> {
  for (let at = from; at < until; at += zeros.length) {
    await file.write(zeros.subarray(0, Math.min(zeros.length, until - at)), at);
  }
}

async function rewrite(file: DiskFile, block: { readonly at: number; readonly length: number }): Promise<void> {
  const bytes = new Uint8Array(padded(block.length));
  await file.read(bytes.subarray(0, block.length), block.at);
  await file.write(bytes, block.at);
}

/** A file that was cut (by a copy, by a file system's repair) gets its zeros back. */
async function grow(file: DiskFile, bytes: number, segmentBytes: number): Promise<number> {
  if (bytes >= segmentBytes) return bytes;
  await zero(file, bytes, segmentBytes);
  return segmentBytes;
}

class OpenFiles {
  readonly #disk: Disk;
  readonly #files: DiskFile[] = [];

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  async open({ number, bytes }: FoundFile): Promise<PreparedSegment> {
    const file = await this.#disk.open(segmentName(number));
    this.#files.push(file);
    return { number, bytes, file };
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}

function checkNumbers(disk: Disk, ordered: readonly FoundFile[]): void {
  ordered.forEach(({ number }, index) => {
    const before = ordered[index - 1]?.number;
    if (before !== undefined && number !== before + 1) throw missingStart(disk, before + 1);
  });
}

function checkTails(disk: Disk, segments: readonly Segment[]): void {
  segments.forEach(({ number, tails }, index) => {
    const before = segments[index - 1];
    if (before?.tails.some((tail, shard) => tail > (tails[shard] as number))) throw missingStart(disk, number);
  });
}

export function missingStart(disk: Disk, segment: number): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `Segment ${segment} in ${disk.place} is missing or does not begin as it must, though the log goes on behind it. ` +
      "Nothing was changed. Restore the data directory from a copy.",
    { details: { place: disk.place, segment } },
  );
}
