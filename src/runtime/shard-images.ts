/**
 * What the state store holds of one shard: images of its entities, its request ids, and the stamp that says up to which
 * offset they are complete.
 *
 * Invariants:
 * 1. Only what rests on durable records is written; the stamp's `high` is above every image before that image can be read.
 * 2. A store that cannot be trusted is cleared before anything is read from it: stamp and log, code or chain do not fit.
 * 3. `count` is exact: it stands in the stamp, each write changes it in the transaction of its images, and who writes knows
 *    which entities had none. Counting the store's keys takes 0.2 microseconds each, which a node of two million notices.
 */
import type { ColdImage } from "../core/owner-state.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, type Offset, type ShardId } from "../model/ids.ts";
import type { RequestsImage, ShardImage, StoredImage } from "../model/images.ts";
import type { LogPosition } from "../ports/log.ts";
import { type StateStore, stateDamaged } from "../ports/state-store.ts";
import { decodeIds, decodeImage, decodeStamp, encodeIds, encodeStamp, isBusy, type Stamp } from "../wire/image.ts";
import { type Codes, sameCodes } from "./codes.ts";

/** Ids in one chunk: full ones are written once, the last one again with each checkpoint (400 KB). */
const idsPerChunk = 16_384;

export interface OpenedImages {
  readonly image: ShardImage;
  /** The newest snapshot that contains everything below its offset. */
  readonly snapshotAt: Offset;
  /** No image in the store contains a record at or above it. */
  readonly high: Offset;
}

/** Images that the store does not have yet. */
export interface Behind {
  find(name: string): StoredImage | undefined;
  /** Names of those that are busy, and of others perhaps. */
  readonly busy: Iterable<string>;
}

export class ShardImages {
  readonly #store: StateStore;
  readonly #shard: ShardId;
  readonly #codes: Codes;
  #stamp: Stamp | undefined;
  #high: Offset = 0;
  /** Where images are that the store does not have yet. */
  #behind: Behind | undefined;
  #count = 0;
  /** Ids of each generation's chunks that the store has, by the generation's start. */
  #written = new Map<number, Chunks>();

  constructor(store: StateStore, shard: ShardId, codes: Codes) {
    this.#store = store;
    this.#shard = shard;
    this.#codes = codes;
  }

  /** The image of an entity. @throws `state-damaged` it is there and cannot be read */
  read(ref: EntityRef): ColdImage | undefined {
    const name = formatRef(ref);
    const stored = this.#store.get(this.#shard, name);
    const bytes = stored ?? this.#behind?.find(name)?.bytes;
    if (bytes === undefined) return undefined;
    const image = decodeImage(bytes);
    // What a snapshot has was checked when it was fetched; older ones do not say how far their images reach.
    const known = stored === undefined || (image?.touched ?? 0) < this.#high;
    if (image === undefined || !known) throw stateDamaged(this.#shard, name);
    return { image, bytes: bytes.length };
  }

  /**
   * What is left of an earlier running, if it fits the log and the code; else the store is cleared.
   * @throws `log-damaged` the log ends before records that the store contains
   */
  async open(position: LogPosition): Promise<OpenedImages | undefined> {
    const bytes = this.#store.stamp(this.#shard);
    const stamp = bytes && decodeStamp(bytes);
    if (stamp !== undefined) this.#checkTail(stamp, position);
    const requests = stamp && this.#fits(stamp, position) ? this.#requests(stamp) : undefined;
    if (stamp === undefined || requests === undefined) {
      await this.clear();
      return undefined;
    }
    this.#stamp = stamp;
    this.#high = stamp.high;
    this.#count = stamp.count ?? this.#countAll();
    this.#written = new Map(stamp.requests.map(({ startMs, number, count }) => [startMs, { number, count }]));
    const { at, chain, epoch, timeMs, snapshotAt, high } = stamp;
    return { image: { at, chain, epoch, timeMs, requests }, snapshotAt, high };
  }

  async clear(): Promise<void> {
    this.#stamp = undefined;
    this.#high = this.#count = 0;
    this.#behind = undefined;
    this.#written.clear();
    await this.#store.clear(this.#shard);
  }

  /** The store is empty; until `imported` what it does not have is asked of `behind`, and it has no stamp. */
  begin(behind: Behind, high: Offset): void {
    this.#behind = behind;
    this.#high = Math.max(this.#high, high);
  }

  /** Writes those of these that the store does not have: what it has is newer. */
  import(images: readonly StoredImage[]): Promise<void> {
    const fresh = images.filter(({ name }) => this.#lacks(name));
    return this.#write(fresh, fresh.length);
  }

  /** All of what was behind is in the store. */
  imported(): void {
    this.#behind = undefined;
  }

  #lacks(name: string): boolean {
    return this.#store.get(this.#shard, name) === undefined;
  }

  /**
   * Writes images whose records are all durable. Not to be called while another write of the shard is under way.
   * @param fresh how many of the entities have none in the store
   */
  write(images: readonly StoredImage[], fresh: number): Promise<void> {
    // An entity that was read from behind counts as stored, and is not.
    const added = this.#behind === undefined ? fresh : images.filter(({ name }) => this.#lacks(name)).length;
    return this.#write(images, added);
  }

  async #write(images: readonly StoredImage[], added: number): Promise<void> {
    for (const { touched } of images) this.#high = Math.max(this.#high, touched + 1);
    const count = this.#count + added;
    const stamp = this.#stamp && { ...this.#stamp, high: this.#high, count };
    const write = { shard: this.#shard, images };
    await this.#store.write([stamp === undefined ? write : { ...write, stamp: encodeStamp(stamp) }]);
    this.#stamp = stamp;
    this.#count = count;
  }

  /** From now on the store is complete up to `image.at`. */
  async complete(image: ShardImage, snapshotAt: Offset): Promise<void> {
    const { at, chain, epoch, timeMs } = image;
    const written = this.#kept(image.requests);
    const chunks: StoredImage[] = [];
    const requests: Stamp["requests"][number][] = [];
    for (const generation of image.requests) {
      const { startMs, offsets } = generation;
      const known = written.get(startMs) ?? { number: freeNumber(written), count: 0 };
      chunks.push(...chunksFrom(generation, known.number, known.count));
      written.set(startMs, { number: known.number, count: offsets.length });
      requests.push({ number: known.number, startMs, count: offsets.length });
    }
    const high = Math.max(this.#high, at);
    const stamp = { at, chain, epoch, timeMs, snapshotAt, high, count: this.#count, codes: this.#codes, requests };
    await this.#store.write([{ shard: this.#shard, images: chunks, stamp: encodeStamp(stamp) }]);
    // Only now: what a write that failed would have said must not be said by the next.
    this.#high = Math.max(this.#high, high);
    this.#stamp = stamp;
    this.#written = written;
  }

  /** A snapshot has everything below `snapshotAt` now. */
  async noteSnapshot(snapshotAt: Offset): Promise<void> {
    if (this.#stamp === undefined) return;
    this.#stamp = { ...this.#stamp, snapshotAt };
    await this.#store.write([{ shard: this.#shard, images: [], stamp: encodeStamp(this.#stamp) }]);
  }

  /** Names of the entities whose timers or sends wait. */
  busy(): Iterable<string> {
    return this.#behind?.busy ?? this.#store.busy(this.#shard);
  }

  /** One image as it stands in the store now, which may be newer than what was asked for. */
  stored(name: string): StoredImage | undefined {
    const bytes = this.#store.get(this.#shard, name);
    return bytes && this.#asStored(name, bytes);
  }

  /** Of every entity that has an image. */
  *names(): Generator<string> {
    for (const [name] of this.#store.images(this.#shard)) if (!name.startsWith(chunkPrefix)) yield name;
  }

  /** Every image; undefined for those without a record at `since` or later. */
  *since(since: Offset): Generator<StoredImage | undefined> {
    for (const [name, bytes] of this.#store.images(this.#shard)) {
      if (name.startsWith(chunkPrefix)) continue;
      const image = this.#asStored(name, bytes);
      yield image.touched >= since ? image : undefined;
    }
  }

  #asStored(name: string, bytes: Uint8Array): StoredImage {
    const image = decodeImage(bytes);
    if (image === undefined) throw stateDamaged(this.#shard, name);
    return { name, touched: image.touched, busy: isBusy(image), bytes };
  }

  /** Entities that have an image in the store. */
  get count(): number {
    return this.#count;
  }

  /** For a stamp of before it had the count. */
  #countAll(): number {
    let count = 0;
    for (const [name] of this.#store.images(this.#shard)) if (!name.startsWith(chunkPrefix)) count++;
    return count;
  }

  /** Only what was durable is stored: what is above the tail was in the log once. */
  #checkTail(stamp: Stamp, { tail }: LogPosition): void {
    const end = Math.max(stamp.high, stamp.at);
    if (end <= tail) return;
    const detail =
      `The log of shard ${this.#shard} ends at ${tail}; the state store has records up to ${end}. The log has lost records, or is ` +
      "another one. Restore the log; or, if it is right, remove the state store.";
    throw new HoldfastError("log-damaged", detail, { details: { shard: this.#shard, tail, end } });
  }

  #fits(stamp: Stamp, { epoch, trimmed }: LogPosition): boolean {
    if (stamp.at < trimmed || stamp.epoch > epoch) return false;
    return sameCodes(stamp.codes, this.#codes);
  }

  #requests(stamp: Stamp): RequestsImage[] | undefined {
    const requests: RequestsImage[] = [];
    for (const { number, startMs, count } of stamp.requests) {
      const generation = { startMs, ids: new Uint8Array(count * 16), offsets: new Float64Array(count) };
      for (let from = 0; from < count; from += idsPerChunk) {
        const bytes = this.#store.get(this.#shard, chunkName(number, from));
        if (bytes === undefined || !decodeIds(bytes, generation, from, Math.min(idsPerChunk, count - from)))
          return undefined;
      }
      requests.push(generation);
    }
    return requests;
  }

  /** What is written of these generations; the chunks of others, past their window, are written over. */
  #kept(requests: readonly RequestsImage[]): Map<number, Chunks> {
    const kept = new Set(requests.map(({ startMs }) => startMs));
    return new Map([...this.#written].filter(([startMs]) => kept.has(startMs)));
  }
}

/** The chunks of one generation: the number they are named by, and how many ids they hold. */
interface Chunks {
  readonly number: number;
  readonly count: number;
}

function freeNumber(written: ReadonlyMap<number, Chunks>): number {
  const taken = new Set([...written.values()].map(({ number }) => number));
  let number = 0;
  while (taken.has(number)) number++;
  return number;
}

/** No type name begins like this. */
const chunkPrefix = "-/";

function chunkName(number: number, from: number): string {
  return `${chunkPrefix}${number}/${from / idsPerChunk}`;
}

/** The chunks of a generation that hold ids from the `from`th on. */
function* chunksFrom({ ids, offsets }: RequestsImage, number: number, from: number): Generator<StoredImage> {
  if (from === offsets.length) return;
  for (let start = from - (from % idsPerChunk); start < offsets.length; start += idsPerChunk) {
    const end = Math.min(offsets.length, start + idsPerChunk);
    const bytes = encodeIds(ids.subarray(start * 16, end * 16), offsets.subarray(start, end));
    yield { name: chunkName(number, start), touched: 0, busy: false, bytes };
  }
}
