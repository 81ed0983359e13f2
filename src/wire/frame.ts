/**
 * Frames: consecutive records of one shard, as the log stores them.
 *
 *   0 magic "HF" · 2 version · 4 shard · 8 epoch (f64) · 16 at (f64) · 24 count · 28 chain of the frame before
 *   32 length of the body · 36 checksum of everything else · 40 body (`body.ts`)
 *
 * Invariants: a frame that decodes is whole (checksum), is the one that was asked for (shard, at), and follows the frame
 * that it followed when it was written (chain: each frame carries the checksum of the one before, the first one 0).
 * Server side only: it needs zlib's CRC-32.
 *
 * Versions, a line each:
 * - 2: the body in columns. Version 1 had a msgpack array of records; it was never released and is not read.
 */
import { crc32 } from "node:zlib";
import { HoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import { decodeBody, encodeBody } from "./body.ts";

const magic = 0x4648;
const frameVersion = 2;
export const frameHeaderBytes = 40;
const checksumAt = 36;

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
  const parts = encodeBody(records);
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = Buffer.allocUnsafe(frameHeaderBytes + length);
  bytes.writeUInt16LE(magic, 0);
  bytes.writeUInt16LE(frameVersion, 2);
  bytes.writeUInt32LE(head.shard, 4);
  bytes.writeDoubleLE(head.epoch, 8);
  bytes.writeDoubleLE(head.at, 16);
  bytes.writeUInt32LE(records.length, 24);
  bytes.writeUInt32LE(previous, 28);
  bytes.writeUInt32LE(length, 32);
  let at = frameHeaderBytes;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const chain = checksum(bytes);
  bytes.writeUInt32LE(chain, checksumAt);
  return { bytes, chain };
}

/** Over the head before the checksum, then the body after it. */
function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(frameHeaderBytes), crc32(bytes.subarray(0, checksumAt)));
}

export interface DecodedFrame {
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly chain: Chain;
  readonly records: readonly LogRecord[];
}

/**
 * @param previous chain of the frame before; undefined if that frame is not known (the log was trimmed there)
 * @throws `log-damaged` any of it does not fit
 */
export function decodeFrame(stored: Uint8Array, shard: ShardId, at: Offset, previous: Chain | undefined): DecodedFrame {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  if (bytes.length < frameHeaderBytes || bytes.readUInt16LE(0) !== magic)
    throw damaged(shard, at, "does not begin like one");
  if (bytes.readUInt16LE(2) !== frameVersion)
    throw damaged(shard, at, `has version ${bytes.readUInt16LE(2)}; run the version of Holdfast that wrote it`);
  const chain = bytes.readUInt32LE(checksumAt);
  if (bytes.readUInt32LE(32) !== bytes.length - frameHeaderBytes || checksum(bytes) !== chain)
    throw damaged(shard, at, "fails its checksum");
  if (bytes.readUInt32LE(4) !== shard || bytes.readDoubleLE(16) !== at) throw damaged(shard, at, "is another one");
  if (previous !== undefined && bytes.readUInt32LE(28) !== previous)
    throw damaged(shard, at, "does not follow the one before it");
  const records = decodeBody(bytes.subarray(frameHeaderBytes), bytes.readUInt32LE(24));
  if (records === undefined) throw damaged(shard, at, "does not hold the records it counts");
  return { epoch: bytes.readDoubleLE(8), at, chain, records };
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
