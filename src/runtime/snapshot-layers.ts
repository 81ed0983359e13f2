/**
 * Layers: images of one shard as sorted parts, written by a save, merged later, read together.
 *
 * Invariants: a layer names each entity once, in ascending order. Of an entity in several layers the image with the highest
 * `touched` counts, so layers have no order and any of them may be merged. Memory is bounded: a run of images that are sorted
 * when written, one part per layer when merged.
 */
import type { StoredImage } from "../model/images.ts";
import type { Layer, PartRef } from "../wire/snapshot.ts";
import { PartWriter, readPart } from "../wire/snapshot-part.ts";
import { type ShardObjects, type Stamp, Transfers } from "./snapshot-objects.ts";

export type Images = Iterable<StoredImage> | AsyncIterable<StoredImage>;

/** Images that come in no order are sorted in runs of this many bytes. */
const runBytesMax = 32 * 1024 * 1024;
/** And of at most this many images, so that a sort takes some milliseconds. */
const runImagesMax = 16_384;
const overheadBytes = 64;

/**
 * Writes images as layers: one if they come in ascending order of their names, else one per run that had to be sorted.
 * Their bytes must stay as they are until it is answered.
 */
export async function writeLayers(objects: ShardObjects, stamp: Stamp, images: Images): Promise<Layer[]> {
  const layers: Layer[] = [];
  let writer = new LayerWriter(objects, stamp);
  let run: StoredImage[] = [];
  let runBytes = 0;
  const write = async () => {
    const sorted = sortRun(run);
    run = [];
    runBytes = 0;
    if (sorted.length > 0 && (sorted[0] as StoredImage).name <= writer.last) {
      layers.push(await writer.finish());
      writer = new LayerWriter(objects, stamp);
    }
    await writer.add(sorted);
  };
  for await (const image of images) {
    run.push(image);
    runBytes += image.bytes.length + overheadBytes;
    if (runBytes >= runBytesMax || run.length >= runImagesMax) await write();
  }
  await write();
  layers.push(await writer.finish());
  return layers.filter((layer) => layer.parts.length > 0);
}

/** In ascending order, each name once: the image that was touched last. A run that comes so is not sorted again. */
function sortRun(run: StoredImage[]): StoredImage[] {
  if (run.every(({ name }, index) => index === 0 || (run[index - 1] as StoredImage).name < name)) return run;
  const before = (one: StoredImage, other: StoredImage) =>
    one.name < other.name ? -1 : one.name > other.name ? 1 : other.touched - one.touched;
  const sorted = run.sort(before);
  return sorted.filter((image, index) => image.name !== sorted[index - 1]?.name);
}

class LayerWriter {
  readonly #objects: ShardObjects;
  readonly #stamp: Stamp;
  readonly #transfers = new Transfers();
  readonly #parts: PartRef[] = [];
  readonly #writer = new PartWriter();
  /** Name of the last image; empty before the first, which no name is. */
  last = "";

  constructor(objects: ShardObjects, stamp: Stamp) {
    this.#objects = objects;
    this.#stamp = stamp;
  }

  async add(images: readonly StoredImage[]): Promise<void> {
    for (const image of images) {
      this.last = image.name;
      if (!this.#writer.add(image)) continue;
      if (this.#writer.isFull) await this.#endPart();
      await this.#objects.turn();
    }
  }

  async #endPart(): Promise<void> {
    const { bytes, ref } = this.#writer.finish();
    const name = this.#objects.nameOf("objects", this.#stamp, ref.sha256);
    this.#parts.push({ name, ...ref });
    await this.#transfers.start(() => this.#objects.put(name, bytes));
  }

  async finish(): Promise<Layer> {
    if (!this.#writer.isEmpty) await this.#endPart();
    await this.#transfers.settle();
    return { parts: this.#parts };
  }
}

/** Reads the layers as one, in ascending order of the names, in batches; each entity once. */
export async function* readLayers(
  layers: readonly Layer[],
  fetch: (ref: PartRef) => Promise<Uint8Array>,
  turn: () => Promise<void>,
): AsyncGenerator<StoredImage[]> {
  const cursors: Cursor[] = [];
  for (const layer of layers) {
    const cursor = new Cursor(layer, fetch, turn);
    if (await cursor.load()) cursors.push(cursor);
  }
  let batch: StoredImage[] = [];
  while (cursors.length > 0) {
    batch.push(newest(cursors));
    for (let index = cursors.length - 1; index >= 0; index--) {
      const cursor = cursors[index] as Cursor;
      if (cursor.current !== undefined) continue;
      // A batch never holds more than what was decoded since the last one: about a block of each layer.
      if (batch.length > 0) {
        yield batch;
        batch = [];
      }
      if (!(await cursor.load())) cursors.splice(index, 1);
    }
  }
  if (batch.length > 0) yield batch;
}

/** Takes the lowest name from all cursors that are at it. */
function newest(cursors: readonly Cursor[]): StoredImage {
  let lowest = (cursors[0] as Cursor).current as StoredImage;
  for (let index = 1; index < cursors.length; index++) {
    const image = (cursors[index] as Cursor).current as StoredImage;
    if (image.name < lowest.name || (image.name === lowest.name && image.touched > lowest.touched)) lowest = image;
  }
  for (const cursor of cursors) if (cursor.current?.name === lowest.name) cursor.advance();
  return lowest;
}

/** A place in one layer. `current` is undefined when `load` has to be called. */
class Cursor {
  readonly #parts: PartRef[];
  readonly #fetch: (ref: PartRef) => Promise<Uint8Array>;
  readonly #turn: () => Promise<void>;
  #blocks: Iterator<StoredImage[], void> | undefined;
  #images: StoredImage[] = [];
  #index = 0;
  current: StoredImage | undefined;

  constructor(layer: Layer, fetch: (ref: PartRef) => Promise<Uint8Array>, turn: () => Promise<void>) {
    this.#parts = [...layer.parts].reverse();
    this.#fetch = fetch;
    this.#turn = turn;
  }

  /** @returns false at the end */
  async load(): Promise<boolean> {
    for (;;) {
      const block = this.#blocks?.next();
      if (block === undefined || block.done === true) {
        const part = this.#parts.pop();
        if (part === undefined) return false;
        this.#blocks = readPart(part, await this.#fetch(part));
        continue;
      }
      await this.#turn();
      this.#images = block.value;
      this.#index = 0;
      this.current = this.#images[0];
      if (this.current !== undefined) return true;
    }
  }

  advance(): void {
    this.current = this.#images[++this.#index];
  }
}
