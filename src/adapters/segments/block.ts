/**
 * The block: the bytes of one group commit, written by one write, at a multiple of 512 in a segment.
 *
 *   header | positions: of every used shard, only in a segment's first block | frames | zeros up to a multiple of 512
 *
 * Invariants:
 * 1. No two blocks share a sector, so a torn write cannot harm a block that was answered.
 * 2. The checksum starts from the log's secret salt, so no payload can imitate a block, nor can another log's file.
 * 3. Segment number, sequence and chain (checksum of the block before) all stand under the checksum: what an earlier
 *    use of the file left behind is never taken for part of the log.
 *
 * Little-endian. Offsets, epochs and counts stand as doubles, which hold every safe integer.
 */
import { crc32 } from "node:zlib";
import { HoldfastError } from "../../model/errors.ts";
import { sectorBytes } from "../../ports/disk.ts";
import type { Append } from "../../ports/log.ts";
import type { WriteKind } from "../../ports/log-fence.ts";
import type { Positions } from "./positions.ts";

/** 1: the first. A higher one is refused. */
export const blockVersion = 1;

const magic = 0x31424648; // "HFB1"

// header: crc 0, magic 4, length 8, version 12, chain 16, segment 20, sequence 24 (8), positions 32, frames 36
export const headerBytes = 40;
// position: shard 0, epoch 4 (8), tail 12 (8), allowed 20 (8)
export const positionBytes = 28;
// frame: shard 0, bytes 4, kind 8, count 12 (8), epoch 20 (8), at 28 (8), then the bytes
export const frameHeaderBytes = 36;

const kindClaim = 1;
const kindAppend = 2;

/** What ties a block to its place. */
export interface BlockPlace {
  readonly salt: number;
  readonly segment: number;
  readonly sequence: number;
  /** Checksum of the block before; 0 for the first of the log. */
  readonly chain: number;
}

/** A block found in a window of bytes; its fields point into that window. */
export interface Block {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Start of the block in `bytes`. */
  readonly at: number;
  /** Without the padding. */
  readonly length: number;
  readonly crc: number;
  readonly chain: number;
  readonly segment: number;
  readonly sequence: number;
  readonly positionCount: number;
  readonly frameCount: number;
}

export function padded(bytes: number): number {
  return Math.ceil(bytes / sectorBytes) * sectorBytes;
}

/** The largest frame a segment can take beside its positions. */
export function frameBytesMaxOf(segmentBytes: number, shardCount: number): number {
  const whole = Math.floor(segmentBytes / sectorBytes) * sectorBytes;
  return whole - headerBytes - shardCount * positionBytes - frameHeaderBytes;
}

/** Builds blocks in one buffer that only grows; a block is valid until the next is built. */
export class BlockBuilder {
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);
  /** Of the block built last. */
  crc = 0;

  /** `positions` only for the first block of a segment. Returns the padded bytes. */
  build(place: BlockPlace, kind: WriteKind, frames: readonly Append[], positions?: Positions): Uint8Array {
    const used = positions?.usedCount() ?? 0;
    let length = headerBytes + used * positionBytes;
    for (const { frame } of frames) length += frameHeaderBytes + frame.length;
    const whole = padded(length);
    this.#reserve(whole);
    const view = this.#view;
    view.setUint32(4, magic, true);
    view.setUint32(8, length, true);
    view.setUint32(12, blockVersion, true);
    view.setUint32(16, place.chain, true);
    view.setUint32(20, place.segment, true);
    view.setFloat64(24, place.sequence, true);
    view.setUint32(32, used, true);
    view.setUint32(36, frames.length, true);
    const framesAt = positions === undefined ? headerBytes : this.#putPositions(positions);
    this.#putFrames(framesAt, kind, frames);
    this.#bytes.fill(0, length, whole);
    this.crc = crc32(this.#bytes.subarray(4, length), place.salt);
    view.setUint32(0, this.crc, true);
    return this.#bytes.subarray(0, whole);
  }

  #putPositions(positions: Positions): number {
    let at = headerBytes;
    for (let shard = 0; shard < positions.shardCount; shard++) {
      const tail = positions.tail(shard);
      if (tail === 1) continue;
      this.#view.setUint32(at, shard, true);
      this.#view.setFloat64(at + 4, positions.epoch(shard), true);
      this.#view.setFloat64(at + 12, tail, true);
      this.#view.setFloat64(at + 20, positions.allowed[shard] as number, true);
      at += positionBytes;
    }
    return at;
  }

  #putFrames(from: number, kind: WriteKind, frames: readonly Append[]): void {
    const kindNumber = kind === "claim" ? kindClaim : kindAppend;
    let at = from;
    for (const { shard, epoch, at: offset, count, frame } of frames) {
      this.#view.setUint32(at, shard, true);
      this.#view.setUint32(at + 4, frame.length, true);
      this.#view.setUint32(at + 8, kindNumber, true);
      this.#view.setFloat64(at + 12, count, true);
      this.#view.setFloat64(at + 20, epoch, true);
      this.#view.setFloat64(at + 28, offset, true);
      this.#bytes.set(frame, at + frameHeaderBytes);
      at += frameHeaderBytes + frame.length;
    }
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return;
    this.#bytes = new Uint8Array(Math.max(64 * 1024, 2 ** Math.ceil(Math.log2(bytes))));
    this.#view = new DataView(this.#bytes.buffer);
  }
}

/** Bytes the block at `at` says it has; 0 if no block begins there. Needs `headerBytes` bytes. */
export function announcedLength(view: DataView, at: number): number {
  if (view.getUint32(at + 4, true) !== magic) return 0;
  const length = view.getUint32(at + 8, true);
  return length < headerBytes ? 0 : length;
}

/** The block at `at`, if all its bytes are there and fit its checksum. */
export function blockAt(bytes: Uint8Array, view: DataView, at: number, salt: number): Block | undefined {
  const length = announcedLength(view, at);
  if (length === 0 || at + length > bytes.length) return undefined;
  const crc = view.getUint32(at, true);
  if (crc32(bytes.subarray(at + 4, at + length), salt) !== crc) return undefined;
  checkVersion(view.getUint32(at + 12, true));
  return {
    bytes,
    view,
    at,
    length,
    crc,
    chain: view.getUint32(at + 16, true),
    segment: view.getUint32(at + 20, true),
    sequence: view.getFloat64(at + 24, true),
    positionCount: view.getUint32(at + 32, true),
    frameCount: view.getUint32(at + 36, true),
  };
}

/** True if a claim's frame stands at `at`. */
export function isClaimAt(view: DataView, at: number): boolean {
  return view.getUint32(at + 8, true) === kindClaim;
}

function checkVersion(version: number): void {
  if (version === blockVersion) return;
  throw new HoldfastError(
    "invalid-configuration",
    `The log holds blocks of format ${version}; this version of Holdfast reads format ${blockVersion}. ` +
      "It was written by a newer version: use that one.",
    { details: { version, known: blockVersion } },
  );
}
