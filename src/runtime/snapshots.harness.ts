/**
 * A shard in a test: entities that are touched at random, and what a snapshot of it must hold.
 */
import assert from "node:assert/strict";
import { MemoryObjects, type MemorySnapshotHooks, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import type { RequestsImage, ShardImage, StoredImage } from "../model/images.ts";
import type { LoadedSnapshot } from "./snapshot-load.ts";
import { ShardSnapshots } from "./snapshots.ts";

export class ShardModel {
  readonly images = new Map<string, StoredImage>();
  readonly #bytesEach: number;
  /** The tail: every touch is a record. */
  at = 1;
  epoch = 1;
  requests: RequestsImage[] = [];
  codes: Readonly<Record<string, string>> = { thing: "code-1" };
  /** What `save` asked for last. */
  since = 0;
  #state: number;

  constructor(options: { readonly seed: number; readonly bytesEach?: number }) {
    this.#state = options.seed;
    this.#bytesEach = options.bytesEach ?? 40;
  }

  /** 0 <= value < below */
  random(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * below);
  }

  touch(number: number): void {
    const bytes = new Uint8Array(this.#bytesEach);
    for (let index = 0; index < bytes.length; index++) bytes[index] = this.random(256);
    const name = `thing/${number}`;
    this.images.set(name, { name, touched: this.at, busy: number % 7 === 0, bytes });
    this.at++;
  }

  /** Touches that many of the first `among` entities, at random. */
  touchSome(count: number, among: number): void {
    for (let index = 0; index < count; index++) this.touch(this.random(among));
  }

  get shardImage(): ShardImage {
    const { at, epoch, requests } = this;
    return { at, chain: at * 7, epoch, timeMs: at * 1_000, requests };
  }

  save(snapshots: ShardSnapshots) {
    const images = (since: number) => {
      this.since = since;
      return [...this.images.values()].filter((image) => image.touched >= since);
    };
    return snapshots.save({ image: this.shardImage, images, codes: this.codes });
  }

  /** What a snapshot of now has to give. */
  copy(): ModelCopy {
    return { image: structuredClone(this.shardImage), images: new Map(this.images) };
  }
}

export interface ModelCopy {
  readonly image: ShardImage;
  readonly images: ReadonlyMap<string, StoredImage>;
}

export async function assertSame(loaded: LoadedSnapshot | undefined, copy: ModelCopy): Promise<void> {
  assert.ok(loaded !== undefined, "a snapshot verifies");
  assert.deepEqual(loaded.image, copy.image);
  const names: string[] = [];
  for await (const image of loaded.images()) {
    const wanted = copy.images.get(image.name);
    assert.ok(wanted !== undefined && Buffer.from(wanted.bytes).equals(image.bytes), `${image.name} is as it was`);
    assert.deepEqual([image.touched, image.busy], [wanted.touched, wanted.busy]);
    names.push(image.name);
  }
  assert.deepEqual(names, [...copy.images.keys()].sort());
}

export function openShard(objects: MemoryObjects, hooks?: MemorySnapshotHooks): ShardSnapshots {
  const store = openMemorySnapshots({ objects, ...(hooks === undefined ? {} : { hooks }) });
  return new ShardSnapshots({ store, shard: 3, clock: systemClock });
}

export function requestsOf(startMs: number, count: number): RequestsImage {
  const ids = new Uint8Array(count * 16);
  let state = startMs >>> 0;
  for (let index = 0; index < ids.length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    ids[index] = state >>> 24;
  }
  return { startMs, ids, offsets: Float64Array.from({ length: count }, (_, index) => startMs + index) };
}
