/**
 * Frames: consecutive records of one shard, as the log stores them.
 *
 *   0 magic "HF" · 2 version · 4 checksum of all that follows · 8 shard · 12 count · 16 epoch (f64) · 24 at (f64)
 *   32 chain of the frame before · 36 length of the body · 40 body (`body.ts`)
 *
 * Invariants: a frame that decodes is whole (checksum), is the one that was asked for (shard, at), and follows the frame
 * that it followed when it was written (chain: each frame carries the checksum of the one before, the first one 0).
 * Server side only: it needs zlib's CRC-32.
 *
 * Versions, a line each:
 * - 2: the body in columns, the checksum in front of what it covers. Version 1 was never released and is not read.
 */
import { crc32 } from "node:zlib";
import { HoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import { copyBody, decodeBody, encodeBody } from "./body.ts";

const magic = 0x4648;
const frameVersion = 2;
const places = { version: 2, checksum: 4, shard: 8, count: 12, epoch: 16, at: 24, previous: 32, length: 36, body: 40 };

/** What ties a frame to the one before it. 0 before the first. */
export type Chain = number;

export interface FrameHead {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly at: Offset;
}

export function encodeFrame(
  head: FrameHead,
  records: readonly LogRecord[],
  previous: Chain,
): { bytes: Uint8Array; chain: Chain } {
  const length = encodeBody(records);
  const bytes = Buffer.allocUnsafe(places.body + length);
  bytes.writeUInt16LE(magic, 0);
  bytes.writeUInt16LE(frameVersion, places.version);
  bytes.writeUInt32LE(head.shard, places.shard);
  bytes.writeUInt32LE(records.length, places.count);
  bytes.writeDoubleLE(head.epoch, places.epoch);
  bytes.writeDoubleLE(head.at, places.at);
  bytes.writeUInt32LE(previous, places.previous);
  bytes.writeUInt32LE(length, places.length);
  copyBody(bytes, places.body);
  const chain = checksum(bytes);
  bytes.writeUInt32LE(chain, places.checksum);
  return { bytes, chain };
}

/** Magic and version need none: a frame is refused for any other. */
function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(places.shard));
}

/** What a frame says of itself in front of its records. */
export interface FrameFacts extends FrameHead {
  readonly count: number;
  /** Bytes of the whole frame. */
  readonly length: number;
}

/** The facts of a frame that begins at `from` in bytes that hold several; undefined if none begins there. */
export function frameFactsAt(bytes: Buffer, from: number): FrameFacts | undefined {
  if (bytes.length - from < places.body || bytes.readUInt16LE(from) !== magic) return undefined;
  return {
    shard: bytes.readUInt32LE(from + places.shard),
    count: bytes.readUInt32LE(from + places.count),
    epoch: bytes.readDoubleLE(from + places.epoch),
    at: bytes.readDoubleLE(from + places.at),
    length: places.body + bytes.readUInt32LE(from + places.length),
  };
}

export interface DecodedFrame {
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly chain: Chain;
  readonly records: readonly LogRecord[];
}

/** What a frame says of itself, its body unread. */
export interface CheckedFrame {
  readonly epoch: Epoch;
  readonly count: number;
  /** Chain of the frame before it, as it was when this one was written. */
  readonly previous: Chain;
  readonly chain: Chain;
}

/**
 * Everything about a frame but its records.
 * @param previous chain of the frame before; undefined if that frame is not known (the log was trimmed there)
 * @throws `log-damaged` any of it does not fit
 */
export function checkFrame(stored: Uint8Array, shard: ShardId, at: Offset, previous: Chain | undefined): CheckedFrame {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  if (bytes.length < places.body || bytes.readUInt16LE(0) !== magic)
    throw damaged(shard, at, "does not begin like one");
  const version = bytes.readUInt16LE(places.version);
  if (version !== frameVersion)
    throw damaged(shard, at, `has version ${version}; run the version of Holdfast that wrote it`);
  const chain = bytes.readUInt32LE(places.checksum);
  if (bytes.readUInt32LE(places.length) !== bytes.length - places.body || checksum(bytes) !== chain)
    throw damaged(shard, at, "fails its checksum");
  if (bytes.readUInt32LE(places.shard) !== shard || bytes.readDoubleLE(places.at) !== at)
    throw damaged(shard, at, "is another one");
  const before = bytes.readUInt32LE(places.previous);
  if (previous !== undefined && before !== previous) throw damaged(shard, at, "does not follow the one before it");
  const epoch = bytes.readDoubleLE(places.epoch);
  return { epoch, count: bytes.readUInt32LE(places.count), previous: before, chain };
}

/**
 * @param previous as `checkFrame`'s
 * @throws `log-damaged` any of it does not fit
 */
export function decodeFrame(stored: Uint8Array, shard: ShardId, at: Offset, previous: Chain | undefined): DecodedFrame {
  const { epoch, count, chain } = checkFrame(stored, shard, at, previous);
  const records = decodeBody(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength), places.body, count);
  if (records === undefined) throw damaged(shard, at, "does not hold the records it counts");
  return { epoch, at, chain, records };
}

/**
 * False if no record of the frame is of an entity with one of the keys: far cheaper than decoding, for who looks for few.
 * Keys are ASCII and stand in a frame as they are, once or, in a mark, each time.
 * @throws `log-damaged` as `decodeFrame`
 */
export function frameMayHold(stored: Uint8Array, shard: ShardId, at: Offset, keys: Iterable<string>): boolean {
  checkFrame(stored, shard, at, undefined);
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  for (const key of keys) if (bytes.indexOf(key, places.body, "latin1") !== -1) return true;
  return false;
}

function damaged(shard: ShardId, at: Offset, problem: string): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `The frame at offset ${at} of shard ${shard} ${problem}. Nothing was changed; restore the data directory from a copy.`,
    {
      details: { shard, at },
    },
  );
}
