/**
 * Chunks of request ids: what a snapshot keeps of a shard's dedup window.
 *
 *   0 magic "HFSR" · 4 version · 5 start of the generation (f64) · 13 count · then blocks (`snapshot-part.ts`) over
 *   16 bytes per id, then 8 per offset (f64)
 *
 * Ids of a generation are in the order of their records, so a chunk of `idsPerChunk` never changes again: only the last one
 * of the newest generation is written anew by each snapshot. Server side only.
 */
import { createHash } from "node:crypto";
import type { RequestsImage } from "../model/images.ts";
import { damaged, type RequestsRef, sha256 } from "./snapshot.ts";
import { blockBytes, decodeBlock, encodeBlock } from "./snapshot-part.ts";

const magic = [0x48, 0x46, 0x53, 0x52];
const chunkVersion = 1;
const headerBytes = 17;

/** About 384 KiB: what one snapshot writes again at most per shard, because the newest chunk grows. */
export const idsPerChunk = 16_384;

/** A part of one generation's ids; the arrays are views. */
export function* chunksOf(requests: RequestsImage): Generator<RequestsImage> {
  const { startMs, ids, offsets } = requests;
  for (let from = 0; from < offsets.length; from += idsPerChunk) {
    const to = Math.min(offsets.length, from + idsPerChunk);
    yield { startMs, ids: ids.subarray(from * 16, to * 16), offsets: offsets.subarray(from, to) };
  }
}

/** What tells one chunk's content from another's. */
export function requestsDigest(chunk: RequestsImage): string {
  return createHash("sha256").update(rawChunk(chunk)).digest("hex");
}

function rawChunk({ startMs, ids, offsets }: RequestsImage): Buffer {
  const raw = Buffer.allocUnsafe(8 + ids.length + offsets.length * 8);
  raw.writeDoubleLE(startMs, 0);
  raw.set(ids, 8);
  let position = 8 + ids.length;
  for (const offset of offsets) position = raw.writeDoubleLE(offset, position);
  return raw;
}

export function encodeRequests(chunk: RequestsImage): { bytes: Uint8Array; ref: Omit<RequestsRef, "name"> } {
  const raw = rawChunk(chunk);
  const header = Buffer.allocUnsafe(headerBytes);
  header.set([...magic, chunkVersion]);
  header.writeDoubleLE(chunk.startMs, 5);
  header.writeUInt32LE(chunk.offsets.length, 13);
  const blocks: Uint8Array[] = [header];
  for (let from = 8; from < raw.length; from += blockBytes)
    blocks.push(encodeBlock(raw.subarray(from, from + blockBytes)));
  const bytes = Buffer.concat(blocks);
  const contentSha256 = sha256(raw);
  const ref = { length: bytes.length, sha256: sha256(bytes), startMs: chunk.startMs, ids: chunk.offsets.length };
  return { bytes, ref: { ...ref, contentSha256 } };
}

/** Of bytes that `checkObject` has passed. @throws `snapshot-damaged` */
export function decodeRequests(ref: RequestsRef, stored: Uint8Array): RequestsImage {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  if (bytes.length < headerBytes || magic.some((byte, index) => bytes[index] !== byte))
    throw damaged(ref.name, "does not begin like a chunk of request ids");
  if (bytes[4] !== chunkVersion)
    throw damaged(ref.name, `has version ${bytes[4]}; run the version of Holdfast that wrote it`);
  const startMs = bytes.readDoubleLE(5);
  const count = bytes.readUInt32LE(13);
  const blocks: Buffer[] = [];
  for (let position = headerBytes; position < bytes.length; ) {
    const block = decodeBlock(ref.name, bytes, position);
    blocks.push(block.raw);
    position = block.end;
  }
  const raw = Buffer.concat(blocks);
  if (raw.length !== count * 24 || count !== ref.ids || startMs !== ref.startMs)
    throw damaged(ref.name, "does not hold the ids it counts");
  const offsets = new Float64Array(count);
  for (let index = 0; index < count; index++) offsets[index] = raw.readDoubleLE(count * 16 + index * 8);
  return { startMs, ids: Uint8Array.from(raw.subarray(0, count * 16)), offsets };
}

/** Chunks of one generation together again. They come in the order of the manifest. */
export function joinRequests(chunks: readonly RequestsImage[]): RequestsImage[] {
  const joined: RequestsImage[] = [];
  for (let from = 0; from < chunks.length; ) {
    const { startMs } = chunks[from] as RequestsImage;
    let to = from;
    while (to < chunks.length && chunks[to]?.startMs === startMs) to++;
    const group = chunks.slice(from, to);
    const count = group.reduce((sum, chunk) => sum + chunk.offsets.length, 0);
    const [ids, offsets] = [new Uint8Array(count * 16), new Float64Array(count)];
    let at = 0;
    for (const chunk of group) {
      ids.set(chunk.ids, at * 16);
      offsets.set(chunk.offsets, at);
      at += chunk.offsets.length;
    }
    joined.push({ startMs, ids, offsets });
    from = to;
  }
  return joined;
}
