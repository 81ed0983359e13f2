/**
 * A part in memory of which single images are asked: by halving, first among its blocks, then among the images of one.
 *
 * Invariant: it answers what `readPart` reads. A block that was decompressed is kept as long as the memory that is lent for
 * that lasts, since entities are asked for in no order.
 */
import { assert } from "../model/errors.ts";
import type { StoredImage } from "../model/images.ts";
import { damaged, type PartRef } from "./snapshot.ts";
import {
  blockHeaderBytes,
  busyAt,
  decodeBlock,
  imageAt,
  imageStarts,
  nameAt,
  partHeaderBytes,
} from "./snapshot-part.ts";

/** Bytes that may still be taken for decompressed blocks; whoever takes some subtracts them. */
export interface Lent {
  bytes: number;
}

interface Images {
  readonly raw: Buffer;
  /** Where each begins. Names are read when they are compared: as strings they would take more than the images. */
  readonly starts: Uint32Array;
}

interface Block {
  readonly position: number;
  images: Images | undefined;
  /** Name of its first image, once that was read. */
  first: string | undefined;
}

export class PartLookup {
  readonly ref: PartRef;
  readonly #bytes: Buffer;
  readonly #lent: Lent;
  readonly #blocks: Block[] = [];

  /** `checkObject` has passed the bytes. */
  constructor(ref: PartRef, stored: Uint8Array, lent: Lent) {
    this.ref = ref;
    this.#lent = lent;
    this.#bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
    for (let position = partHeaderBytes; position + blockHeaderBytes <= stored.length; ) {
      this.#blocks.push({ position, images: undefined, first: undefined });
      position += blockHeaderBytes + this.#bytes.readUInt32LE(position + 5);
    }
    const [block] = this.#blocks;
    if (block !== undefined) block.first = ref.first;
  }

  /** Its bytes are the caller's. @throws `snapshot-damaged` */
  find(name: string): StoredImage | undefined {
    const block = lastNotAbove(this.#blocks.length, name, (index) => this.#firstOf(index));
    const { raw, starts } = this.#images(block);
    const start = starts[lastNotAbove(starts.length, name, (index) => nameAt(raw, starts[index] as number))];
    if (start === undefined || nameAt(raw, start) !== name) return undefined;
    const image = imageAt(raw, start);
    return { ...image, bytes: Uint8Array.from(image.bytes) };
  }

  /** Names of its busy images, block by block. @throws `snapshot-damaged` */
  *busy(): Generator<string[]> {
    for (let block = 0; block < this.#blocks.length; block++) {
      const { raw, starts } = this.#images(block);
      yield Array.from(starts.filter((start) => busyAt(raw, start))).map((start) => nameAt(raw, start));
    }
  }

  #firstOf(index: number): string {
    const block = this.#blocks[index];
    assert(block !== undefined, "a block that is compared is there");
    if (block.first === undefined) this.#images(index);
    return block.first ?? this.ref.last;
  }

  #images(index: number): Images {
    const block = this.#blocks[index];
    if (block === undefined) throw damaged(this.ref.name, "has no block");
    if (block.images !== undefined) return block.images;
    const { raw } = decodeBlock(this.ref.name, this.#bytes, block.position);
    const starts = imageStarts(this.ref.name, raw);
    const images = { raw, starts };
    block.first = starts.length === 0 ? this.ref.last : nameAt(raw, 0);
    if (raw.length <= this.#lent.bytes) {
      this.#lent.bytes -= raw.length;
      block.images = images;
    }
    return images;
  }
}

/** The last of so many ascending names that is not above `name`; 0 if all are. */
function lastNotAbove(count: number, name: string, nameOf: (index: number) => string): number {
  let [low, high] = [0, count - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (nameOf(middle) <= name) low = middle;
    else high = middle - 1;
  }
  return low;
}
