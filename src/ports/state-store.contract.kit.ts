/**
 * What the cases of the state store's contract are made of: telling bytes, a model of thirty lines, and the comparison of
 * everything a store shows with it.
 */
import assert from "node:assert/strict";
import type { ShardId } from "../model/ids.ts";
import type { StoredImage } from "../model/images.ts";
import type { StateStore, StateWrite } from "./state-store.ts";

/** An empty state store, and what a case may do to it. */
export interface StateStoreUnderTest {
  readonly store: StateStore;
  /** Closes the store and opens it again over the same storage. Stores that forget leave it out. */
  readonly reopen?: () => Promise<StateStore>;
  /** Closes the store and removes all it left. */
  readonly dispose: () => Promise<void>;
}

/** What a case gets. */
export interface StateStoreKit {
  /** A new, empty store; it is disposed of behind the case. */
  readonly open: () => Promise<StateStoreUnderTest>;
  readonly skip: (reason: string) => void;
  readonly generatedRuns: number;
}

export interface StateStoreCase {
  readonly name: string;
  readonly run: (kit: StateStoreKit) => Promise<void>;
}

/** Bytes that no other place in a store would have. */
export function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + length) >>> 0;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

export function image(name: string, seed: number, options: { length?: number; busy?: boolean } = {}): StoredImage {
  return { name, touched: seed, busy: options.busy ?? false, bytes: bytesOf(seed, options.length ?? 40) };
}

/** What a store is, without a disk. */
export class ModelStore {
  readonly #shards = new Map<ShardId, { images: Map<string, StoredImage>; stamp: Uint8Array | undefined }>();

  #shard(shard: ShardId) {
    const known = this.#shards.get(shard) ?? { images: new Map<string, StoredImage>(), stamp: undefined };
    this.#shards.set(shard, known);
    return known;
  }

  write(writes: readonly StateWrite[]): void {
    for (const { shard, images, stamp } of writes) {
      const state = this.#shard(shard);
      for (const one of images) state.images.set(one.name, { ...one, bytes: Uint8Array.from(one.bytes) });
      if (stamp !== undefined) state.stamp = Uint8Array.from(stamp);
    }
  }

  clear(shard: ShardId): void {
    this.#shards.delete(shard);
  }

  assertShownBy(store: StateStore, shards: readonly ShardId[]): void {
    for (const shard of shards) {
      const { images, stamp } = this.#shard(shard);
      const expected = [...images.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
      const found = [...store.images(shard)].map(([name, bytes]) => ({ name, bytes: Uint8Array.from(bytes) }));
      assert.deepEqual(
        found,
        expected.map(({ name, bytes }) => ({ name, bytes })),
      );
      for (const { name, bytes } of expected) assertBytes(store.get(shard, name), bytes);
      const busy = expected.filter((one) => one.busy).map(({ name }) => name);
      assert.deepEqual([...store.busy(shard)].sort(), busy);
      assert.equal(store.count(shard), expected.length);
      assertBytes(store.stamp(shard), stamp);
    }
  }
}

/** Compares without building a difference of megabytes. */
export function assertBytes(found: Uint8Array | undefined, expected: Uint8Array | undefined): void {
  assert.equal(found?.length, expected?.length);
  if (found !== undefined && expected !== undefined) assert.ok(Buffer.compare(found, expected) === 0, "other bytes");
}
