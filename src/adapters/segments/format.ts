/**
 * The names of a log's files, and the `format` file: what was settled when the log was made.
 *
 * Invariant: the format file is written last when a log is made, so its presence means that a first segment exists.
 * Line 1 is JSON, line 2 its CRC-32 in hexadecimal; every later version keeps to that.
 */
import { crc32 } from "node:zlib";
import { HoldfastError } from "../../model/errors.ts";
import type { Disk, DiskEntry } from "../../ports/disk.ts";

export const formatName = "format";
/** A segment being filled with zeros; of no worth after a crash. */
export const preparingName = "preparing";
/** A segment that was trimmed, kept to be used again. */
export const spareName = "spare";
const newFormatName = "format.new";
/** While this file is there, a restore of the directory has not come to its end, and nobody may use it. */
export const restoringName = "restoring";
const segmentPattern = /^(\d{10})\.segment$/;

/** 1: blocks of version 1 in segments, salted checksums. */
const formatVersion = 1;

export interface Format {
  readonly shardCount: number;
  /** Where every checksum of this log starts: unknown to whoever writes payloads. */
  readonly salt: number;
}

export function segmentName(number: number): string {
  return `${String(number).padStart(10, "0")}.segment`;
}

/** The number in a segment's name. */
export function segmentNumberOf(name: string): number | undefined {
  const digits = segmentPattern.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function isLeftover(name: string): boolean {
  return name === preparingName || name === newFormatName;
}

export async function writeFormat(disk: Disk, format: Format): Promise<void> {
  const line = JSON.stringify({ format: "holdfast-segment-log", version: formatVersion, ...format });
  await disk.create(newFormatName, 0);
  const file = await disk.open(newFormatName);
  try {
    await file.write(Buffer.from(`${line}\n${checksumOf(line)}\n`), 0);
  } finally {
    await file.close();
  }
  await disk.rename(newFormatName, formatName);
  await disk.syncDirectory();
}

/**
 * @param shardCount what it must say; left out by a reader, who takes what it says
 * @throws `log-damaged` the file fails its checksum
 * @throws `invalid-configuration` a newer version wrote it, or it has another number of shards
 */
export async function readFormat(disk: Disk, bytes: number, shardCount?: number): Promise<Format> {
  const file = await disk.open(formatName);
  const content = Buffer.alloc(bytes);
  try {
    await file.read(content, 0);
  } finally {
    await file.close();
  }
  const fields = parse(content.toString("latin1"), disk.place);
  if (fields["version"] !== formatVersion) {
    throw new HoldfastError(
      "invalid-configuration",
      `The log in ${disk.place} has format ${String(fields["version"])}; this version of Holdfast reads format ` +
        `${formatVersion}. It was written by a newer version: use that one.`,
      { details: { version: fields["version"], known: formatVersion } },
    );
  }
  if (shardCount !== undefined && fields["shardCount"] !== shardCount) {
    throw new HoldfastError(
      "invalid-configuration",
      `The log in ${disk.place} was made with ${String(fields["shardCount"])} shards, but ${shardCount} are configured. ` +
        "The number of shards is fixed when a data directory is made: set it back, or use a new directory.",
      { details: { found: fields["shardCount"], configured: shardCount } },
    );
  }
  const { salt, shardCount: found } = fields;
  if (typeof salt !== "number" || !Number.isSafeInteger(found)) throw damagedFormat(disk.place);
  return { shardCount: found as number, salt };
}

/** @throws `restore-unfinished` */
export function checkNotRestoring(disk: Disk, entries: readonly DiskEntry[]): void {
  if (!entries.some(({ name }) => name === restoringName)) return;
  const what = `A restore into ${disk.place} was ended before it was done, so records or snapshots are missing there.`;
  const remedy = "Delete what is in the directory and restore the backup again.";
  throw new HoldfastError("restore-unfinished", `${what} ${remedy}`, { details: { place: disk.place } });
}

function parse(text: string, place: string): Record<string, unknown> {
  const [line = "", checksum] = text.split("\n");
  if (checksum !== checksumOf(line) || text !== `${line}\n${checksum}\n`) throw damagedFormat(place);
  return JSON.parse(line) as Record<string, unknown>;
}

function checksumOf(line: string): string {
  return crc32(line).toString(16).padStart(8, "0");
}

function damagedFormat(place: string): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `The file ${formatName} in ${place} fails its checksum. Nothing was changed. Restore it from a copy of this directory.`,
    { details: { place } },
  );
}
