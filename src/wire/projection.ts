/**
 * A saved projection as bytes: its documents and the cursor that they are of, in one object.
 *
 *   magic "HFPJ" · 1 version · chunks · each chunk: u32 length · u32 CRC-32 of its bytes · msgpack
 *   first chunk: the head; the others: rows `[key, document]`
 *
 * Invariant: what decodes is what was written, all of it. A turned bit, a missing or an additional chunk is `snapshot-damaged`:
 * a projection is built again, it is never one of other changes. Made and read in slices, so that nobody waits for the whole.
 *
 * Versions, a line each:
 * - 1: first.
 */
import { crc32 } from "node:zlib";
import { isHoldfastError } from "../model/errors.ts";
import type { Plain } from "../std/plain.ts";
import { decodePlain, encodePlain } from "./codec.ts";
import { damaged } from "./snapshot.ts";

const magic = [0x48, 0x46, 0x50, 0x4a];
const version = 1;
const startBytes = 5;
const chunkHeadBytes = 8;
/** Rows that go into one chunk, about 100 KB of small documents: a few ms of work. */
const rowsPerChunk = 512;
const chunkLimits = { bytesMax: 1024 * 1024 * 1024, depthMax: 256, valuesMax: 64 * 1024 * 1024, numberCharsMax: 40 };

export interface ProjectionHead {
  readonly name: string;
  /** Of the code that folded the documents; see `projectionVersionOf`. */
  readonly version: string;
  readonly cursor: string;
  /** It had caught up with the log: it may be served. */
  readonly caughtUp: boolean;
  /** When it was saved, ms since 1970. */
  readonly savedMs: number;
  readonly documents: number;
}

export type ProjectionRow = readonly [key: string, document: Plain];

/** Each step makes a slice; the last one gives the bytes. */
export function* encodeProjection(head: ProjectionHead, rows: readonly ProjectionRow[]): Generator<void, Uint8Array> {
  const parts: Uint8Array[] = [Uint8Array.from([...magic, version]), ...chunkOf(head)];
  for (let from = 0; from < rows.length; from += rowsPerChunk) {
    parts.push(...chunkOf(rows.slice(from, from + rowsPerChunk)));
    yield;
  }
  return Buffer.concat(parts);
}

function chunkOf(value: unknown): [Uint8Array, Uint8Array] {
  // Copied, because what the encoder gives may stand in a buffer that is large.
  const bytes = Uint8Array.from(encodePlain(value, "msgpack"));
  const head = new Uint8Array(chunkHeadBytes);
  const view = new DataView(head.buffer);
  view.setUint32(0, bytes.length);
  view.setUint32(4, crc32(bytes));
  return [head, bytes];
}

/**
 * The head, then its rows, a chunk with each step.
 * @param object its name, for errors
 * @throws `snapshot-damaged` it is not whole; rows that were given before are not to be used then
 */
export function decodeProjection(
  bytes: Uint8Array,
  object: string,
): { readonly head: ProjectionHead; readonly rows: Iterable<readonly ProjectionRow[]> } {
  const isOurs = magic.every((byte, at) => bytes[at] === byte);
  if (!isOurs || bytes[magic.length] !== version)
    throw damaged(object, "is no projection of a version this code reads");
  const chunks = readChunks(bytes, object);
  const first = chunks.next();
  if (first.done === true) throw damaged(object, "has no head");
  const head = first.value as unknown as ProjectionHead;
  return { head, rows: readRows(chunks, head, object) };
}

function* readChunks(bytes: Uint8Array, object: string): Generator<Plain> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = startBytes;
  while (at < bytes.length) {
    const from = at + chunkHeadBytes;
    const end = from > bytes.length ? from : from + view.getUint32(at);
    if (end > bytes.length) throw damaged(object, "ends within a chunk");
    const chunk = bytes.subarray(from, end);
    if (crc32(chunk) !== view.getUint32(at + 4)) throw damaged(object, "fails its checksum");
    at = end;
    yield decode(chunk, object);
  }
}

function decode(chunk: Uint8Array, object: string): Plain {
  try {
    return decodePlain(chunk, "msgpack", chunkLimits);
  } catch (error) {
    if (isHoldfastError(error)) throw damaged(object, "has a chunk that cannot be decoded", error);
    throw error;
  }
}

function* readRows(chunks: Iterable<Plain>, head: ProjectionHead, object: string): Generator<readonly ProjectionRow[]> {
  let count = 0;
  for (const rows of chunks as Iterable<readonly ProjectionRow[]>) {
    count += rows.length;
    yield rows;
  }
  if (count !== head.documents) throw damaged(object, `has ${count} documents instead of ${head.documents}`);
}
