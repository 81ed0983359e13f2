/**
 * Parts: images in ascending order of their names, as one object of a snapshot.
 *
 *   0 magic "HFSP" · 4 version · then blocks: 1 coding (0 as it is, 1 zstd) · 4 raw length · 4 stored length · bytes
 *   an image in a block: 2 length of the name · name · 8 touched (f64) · 1 busy · 4 length · bytes
 *
 * Blocks of about 128 KiB are compressed one by one, so that making or reading a part never holds up the event loop for longer
 * than one of them takes, well under 1 ms. A block that compression does not shorten by an eighth is kept as it is.
 *
 * Invariant: a part is checked as a whole (`checkObject`) before any of it is read. Server side only: it needs node:zlib.
 */
import { createHash } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { assert } from "../model/errors.ts";
import type { StoredImage } from "../model/images.ts";
import { damaged, type PartRef } from "./snapshot.ts";

const magic = [0x48, 0x46, 0x53, 0x50];
const partVersion = 1;
export const partHeaderBytes = 5;
export const blockHeaderBytes = 9;
const imageHeaderBytes = 2 + 8 + 1 + 4;
/** Level 1: four fifths of what level 3 saves, at half its time. */
const compression = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Raw bytes after which a block ends; one image may be larger. */
export const blockBytes = 128 * 1024;
/** Stored bytes after which a part ends: large enough for a request to be worth it, small enough to hold a few in memory. */
export const partBytes = 4 * 1024 * 1024 - 512 * 1024;

/** A part that is written; its name is given when its digest is known. */
export interface EncodedPart {
  readonly bytes: Uint8Array;
  readonly ref: Omit<PartRef, "name">;
}

/** Takes images in ascending order of their names, each name once. */
export class PartWriter {
  #images: StoredImage[] = [];
  #rawBlock = 0;
  #blocks: Uint8Array[] = [];
  /** Grows with each block, so that the end of a part does not have to hash all of it at once. */
  #hash = createHash("sha256");
  #stored = 0;
  #raw = 0;
  #count = 0;
  #busy = 0;
  #high = 0;
  #first: string | undefined;
  #last = "";

  constructor() {
    this.#begin();
  }

  #begin(): void {
    const header = Uint8Array.of(...magic, partVersion);
    this.#hash = createHash("sha256").update(header);
    this.#blocks = [header];
    this.#stored = header.length;
    this.#raw = 0;
    this.#count = 0;
    this.#busy = 0;
    this.#high = 0;
    this.#first = undefined;
  }

  /** @returns true if that ended a block: work was done, and the caller may want to let others run */
  add(image: StoredImage): boolean {
    assert(this.#first === undefined || image.name > this.#last, "images of a part are in ascending order");
    this.#first ??= image.name;
    this.#last = image.name;
    this.#images.push(image);
    this.#count++;
    if (image.busy) this.#busy++;
    this.#high = Math.max(this.#high, image.touched + 1);
    this.#rawBlock += imageHeaderBytes + image.name.length + image.bytes.length;
    if (this.#rawBlock < blockBytes) return false;
    this.#endBlock();
    return true;
  }

  get isFull(): boolean {
    return this.#stored >= partBytes;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  #endBlock(): void {
    if (this.#images.length === 0) return;
    const raw = encodeImages(this.#images, this.#rawBlock);
    const block = encodeBlock(raw);
    this.#blocks.push(block);
    this.#hash.update(block);
    this.#stored += block.length;
    this.#raw += raw.length;
    this.#images = [];
    this.#rawBlock = 0;
  }

  /** Ends the part, which has an image at least; the writer is then empty again. */
  finish(): EncodedPart {
    this.#endBlock();
    assert(this.#first !== undefined, "a part has an image");
    const bytes = Buffer.concat(this.#blocks);
    const ref = {
      length: bytes.length,
      sha256: this.#hash.digest("hex"),
      rawLength: this.#raw,
      images: this.#count,
      first: this.#first,
      last: this.#last,
      busy: this.#busy,
      high: this.#high,
    };
    this.#begin();
    return { bytes, ref };
  }
}

function encodeImages(images: readonly StoredImage[], size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let position = 0;
  for (const image of images) {
    const { name } = image;
    position = bytes.writeUInt16LE(name.length, position);
    position += bytes.write(name, position, "latin1");
    position = bytes.writeDoubleLE(image.touched, position);
    position = bytes.writeUInt8(image.busy ? 1 : 0, position);
    position = bytes.writeUInt32LE(image.bytes.length, position);
    bytes.set(image.bytes, position);
    position += image.bytes.length;
  }
  assert(position === size, "a block is as long as its images");
  return bytes;
}

/** The bytes with their header, compressed where that pays. */
export function encodeBlock(raw: Uint8Array): Uint8Array {
  const packed = zstdCompressSync(raw, compression);
  const pays = packed.length < raw.length - raw.length / 8;
  const stored = pays ? packed : raw;
  const block = Buffer.allocUnsafe(blockHeaderBytes + stored.length);
  block.writeUInt8(pays ? 1 : 0, 0);
  block.writeUInt32LE(raw.length, 1);
  block.writeUInt32LE(stored.length, 5);
  block.set(stored, blockHeaderBytes);
  return block;
}

/** The block at `position`. @throws `snapshot-damaged` */
export function decodeBlock(name: string, bytes: Buffer, position: number): { raw: Buffer; end: number } {
  if (position + blockHeaderBytes > bytes.length) throw damaged(name, "ends within a block");
  const coding = bytes.readUInt8(position);
  const rawLength = bytes.readUInt32LE(position + 1);
  const start = position + blockHeaderBytes;
  const end = start + bytes.readUInt32LE(position + 5);
  if (end > bytes.length || coding > 1) throw damaged(name, "ends within a block");
  const stored = bytes.subarray(start, end);
  const raw = coding === 0 ? stored : inflate(name, stored, rawLength);
  if (raw.length !== rawLength) throw damaged(name, "has a block of another length");
  return { raw, end };
}

function inflate(name: string, stored: Uint8Array, rawLength: number): Buffer {
  try {
    return zstdDecompressSync(stored, { maxOutputLength: Math.max(1, rawLength) });
  } catch (cause) {
    throw damaged(name, "has a block that does not decompress", cause);
  }
}

/**
 * The images of a part that `checkObject` has passed, block by block. Their bytes share the block's buffer: copy what is kept
 * for longer.
 * @throws `snapshot-damaged`
 */
export function* readPart(ref: PartRef, stored: Uint8Array): Generator<StoredImage[]> {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  if (magic.some((byte, index) => bytes[index] !== byte)) throw damaged(ref.name, "does not begin like a part");
  if (bytes[4] !== partVersion)
    throw damaged(ref.name, `has version ${bytes[4]}; run the version of Holdfast that wrote it`);
  let count = 0;
  for (let position = partHeaderBytes; position < bytes.length; ) {
    const block = decodeBlock(ref.name, bytes, position);
    position = block.end;
    const images = decodeImages(ref.name, block.raw);
    count += images.length;
    yield images;
  }
  if (count !== ref.images) throw damaged(ref.name, `has ${count} images instead of ${ref.images}`);
}

function decodeImages(object: string, raw: Buffer): StoredImage[] {
  return Array.from(imageStarts(object, raw), (start) => imageAt(raw, start));
}

/** Where the images of a block begin. @throws `snapshot-damaged` */
export function imageStarts(object: string, raw: Buffer): Uint32Array {
  const starts: number[] = [];
  for (let position = 0; position < raw.length; ) {
    starts.push(position);
    const nameLength = position + 2 <= raw.length ? raw.readUInt16LE(position) : raw.length;
    const afterName = position + 2 + nameLength;
    if (afterName + 13 > raw.length) throw damaged(object, "ends within an image");
    position = afterName + 13 + raw.readUInt32LE(afterName + 9);
    if (position > raw.length) throw damaged(object, "ends within an image");
  }
  return Uint32Array.from(starts);
}

export function nameAt(raw: Buffer, start: number): string {
  return raw.toString("latin1", start + 2, start + 2 + raw.readUInt16LE(start));
}

export function busyAt(raw: Buffer, start: number): boolean {
  return raw.readUInt8(start + 2 + raw.readUInt16LE(start) + 8) === 1;
}

/** Its bytes share the block's. */
export function imageAt(raw: Buffer, start: number): StoredImage {
  const afterName = start + 2 + raw.readUInt16LE(start);
  const from = afterName + 13;
  return {
    name: nameAt(raw, start),
    touched: raw.readDoubleLE(afterName),
    busy: busyAt(raw, start),
    bytes: raw.subarray(from, from + raw.readUInt32LE(afterName + 9)),
  };
}
