/**
 * Opens a segment log: makes it if the directory is empty, else recovers it.
 *
 * Invariant: the directory is locked before anything in it is read, and unlocked if opening fails. Nothing is changed
 * in a directory that is refused.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Random } from "../../ports/clock.ts";
import type { Disk, DiskEntry, DiskLock } from "../../ports/disk.ts";
import type { LogPosition } from "../../ports/log.ts";
import { openDirectory } from "../system/disk.ts";
import { systemRandom } from "../system/random.ts";
import { BlockBuilder, frameBytesMaxOf } from "./block.ts";
import {
  checkNotRestoring,
  type Format,
  formatName,
  isLeftover,
  preparingName,
  readFormat,
  segmentName,
  segmentNumberOf,
  spareName,
  writeFormat,
} from "./format.ts";
import { Engine, type SegmentLog } from "./log.ts";
import { Positions } from "./positions.ts";
import { type Recovered, recover } from "./recover.ts";

export type { SegmentLog, SegmentLogStats } from "./log.ts";

export interface SegmentLogOptions {
  /** Where the log lives. Made if it is missing. Give this or `disk`. */
  readonly directory?: string;
  readonly disk?: Disk;
  /** Shards of the service; fixed when the directory is made. */
  readonly shardCount: number;
  /** Size of one segment file: the unit of allocation and of trimming. Default 16 MiB, at least 64 KiB. */
  readonly segmentBytes?: number;
  /** Where the salt of a new log comes from. Default: the system. */
  readonly random?: Random;
  /**
   * For a restore: where the shards of a new log begin, one after the other, as if it had been trimmed up to there. Refused
   * where there is a log already.
   */
  readonly begin?: readonly Pick<LogPosition, "epoch" | "tail">[];
}

export const segmentBytesDefault = 16 * 1024 * 1024;
export const segmentBytesMin = 64 * 1024;
/** Lengths stand in 32 bits, and one block must fit a buffer. */
export const segmentBytesMax = 1024 * 1024 * 1024;

/**
 * @throws `invalid-configuration` options that cannot work, or that do not fit the log that is there
 * @throws `directory-in-use` another opening holds the directory
 * @throws `log-damaged` durable bytes fail their checks; nothing was changed
 * @throws `disk-full` no space for the first segment
 * @throws `restore-unfinished` a restore of the directory has not come to its end
 */
export async function openSegmentLog(options: SegmentLogOptions): Promise<SegmentLog> {
  const settings = check(options);
  const { disk } = settings;
  const lock = await disk.lock();
  try {
    return await openLocked(settings, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Settings {
  readonly disk: Disk;
  readonly shardCount: number;
  readonly segmentBytes: number;
  readonly random: Random;
  readonly begin: SegmentLogOptions["begin"];
}

async function openLocked(settings: Settings, lock: DiskLock): Promise<SegmentLog> {
  const { disk, shardCount, segmentBytes } = settings;
  let entries = await disk.list();
  if (settings.begin === undefined) checkNotRestoring(disk, entries);
  else if (segmentsOf(entries).length > 0) throw setting("a log that is to begin later needs an empty directory", {});
  const formatEntry = entries.find(({ name }) => name === formatName);
  let format: Format;
  if (formatEntry === undefined) {
    format = await make(settings, entries);
    entries = await disk.list();
  } else {
    // a process that was killed may have left names that only the system's memory has; records must not rest on those
    await disk.syncDirectory();
    format = await readFormat(disk, formatEntry.bytes, shardCount);
  }
  const recovered = await recover({ disk, salt: format.salt, shardCount, segmentBytes }, segmentsOf(entries));
  const spare = await tidy(disk, entries, segmentBytes);
  const engine = new Engine({ disk, lock, salt: format.salt, segmentBytes, spare, recovered });
  try {
    await engine.start();
  } catch (error) {
    await closeFiles(recovered);
    throw error;
  }
  return engine;
}

/** Makes a new log. A crash in between leaves no format file, and at most a first segment without any record. */
async function make(
  { disk, shardCount, segmentBytes, random, begin }: Settings,
  entries: readonly DiskEntry[],
): Promise<Format> {
  await checkNothingThere(disk, entries);
  const name = segmentName(1);
  await disk.create(preparingName, segmentBytes);
  await disk.rename(preparingName, name);
  await disk.syncDirectory();
  const salt = new DataView(random.bytes(4).slice().buffer).getUint32(0);
  const file = await disk.open(name);
  try {
    const place = { salt, segment: 1, sequence: 1, chain: 0 };
    await file.write(new BlockBuilder().build(place, "append", [], firstPositions(shardCount, begin)), 0);
  } finally {
    await file.close();
  }
  const format = { shardCount, salt };
  await writeFormat(disk, format);
  return format;
}

function firstPositions(shardCount: number, begin: SegmentLogOptions["begin"] = []): Positions {
  const positions = new Positions(shardCount);
  for (const [shard, { epoch, tail }] of begin.entries()) {
    positions.epochs[shard] = epoch;
    positions.tails[shard] = tail;
    positions.allowed[shard] = tail;
  }
  return positions;
}

/** @throws `log-damaged` there are records here, so the format file is not missing because it was never written */
async function checkNothingThere(disk: Disk, entries: readonly DiskEntry[]): Promise<void> {
  const segments = segmentsOf(entries);
  const first = segments[0];
  if (first === undefined) return;
  if (segments.length === 1 && first.number === 1 && !(await hasRecords(disk, first.bytes))) return;
  throw new HoldfastError(
    "log-damaged",
    `The file ${formatName} is missing in ${disk.place}, though segments of a log are there. Nothing was changed. ` +
      "Restore it from a copy of this directory, or use an empty directory.",
    { details: { place: disk.place, segments: segments.length } },
  );
}

/** True if anything was written behind the empty block that a new segment begins with. */
async function hasRecords(disk: Disk, bytes: number): Promise<boolean> {
  const file = await disk.open(segmentName(1));
  try {
    const content = new Uint8Array(bytes);
    await file.read(content, 0);
    return content.subarray(512).some((byte) => byte !== 0);
  } finally {
    await file.close();
  }
}

/** Removes what a crash left half made. @returns true if there is a spare segment that fits */
async function tidy(disk: Disk, entries: readonly DiskEntry[], segmentBytes: number): Promise<boolean> {
  const spare = entries.find(({ name }) => name === spareName);
  const fits = spare?.bytes === segmentBytes;
  for (const { name } of entries) {
    if (isLeftover(name) || (name === spareName && !fits)) await disk.remove(name);
  }
  return fits;
}

export function segmentsOf(entries: readonly DiskEntry[]): { number: number; bytes: number }[] {
  return entries.flatMap(({ name, bytes }) => {
    const number = segmentNumberOf(name);
    return number === undefined ? [] : [{ number, bytes }];
  });
}

async function closeFiles({ active, prepared }: Recovered): Promise<void> {
  await active.file.close();
  await prepared?.file.close();
}

function check(options: SegmentLogOptions): Settings {
  const { shardCount, segmentBytes = segmentBytesDefault, random = systemRandom } = options;
  if (!Number.isSafeInteger(shardCount) || shardCount < 1 || shardCount > 65_536) {
    throw setting("shardCount must be an integer from 1 to 65536", { shardCount });
  }
  if (!Number.isSafeInteger(segmentBytes) || segmentBytes < segmentBytesMin || segmentBytes > segmentBytesMax) {
    throw setting(`segmentBytes must be an integer from ${segmentBytesMin} to ${segmentBytesMax}`, { segmentBytes });
  }
  if (segmentBytes % 4096 !== 0) throw setting("segmentBytes must be a multiple of 4096", { segmentBytes });
  if (frameBytesMaxOf(segmentBytes, shardCount) < segmentBytes / 2) {
    throw setting(`segmentBytes must be larger for ${shardCount} shards: 64 bytes a shard`, {
      segmentBytes,
      shardCount,
    });
  }
  const disk = options.disk ?? (options.directory === undefined ? undefined : openDirectory(options.directory));
  if (disk === undefined) throw setting("a segment log needs `directory` or `disk`", {});
  checkBegin(options);
  return { disk, shardCount, segmentBytes, random, begin: options.begin };
}

function checkBegin({ begin, shardCount }: SegmentLogOptions): void {
  if (begin === undefined) return;
  const fits = ({ epoch, tail }: Pick<LogPosition, "epoch" | "tail">) =>
    Number.isSafeInteger(epoch) && epoch >= 0 && Number.isSafeInteger(tail) && tail >= 1;
  if (begin.length !== shardCount || !begin.every(fits)) {
    throw setting("`begin` has an epoch and an offset of every shard", { shards: begin.length, shardCount });
  }
}

function setting(what: string, details: Record<string, unknown>): HoldfastError {
  return new HoldfastError("invalid-configuration", `${what[0]?.toUpperCase()}${what.slice(1)}.`, { details });
}
