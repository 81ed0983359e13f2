/**
 * A state store in memory: for tests, the simulator and nodes whose state need not outlive them.
 *
 * Invariants: the same answers as the durable stores; deterministic. Several stores may be opened one after the other over
 * one `MemoryState`, which stands for the disk and can be damaged on purpose.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";
import { checkImageName, type StateStore, type StateWrite, stateDamaged } from "../../ports/state-store.ts";

interface Kept {
  readonly bytes: Uint8Array;
  readonly busy: boolean;
  damaged: boolean;
}

interface KeptShard {
  readonly images: Map<string, Kept>;
  /** Names in order, or undefined since one was added. */
  names: string[] | undefined;
  stamp: Uint8Array | undefined;
}

/** What outlives a store that is closed. */
export class MemoryState {
  readonly shards = new Map<ShardId, KeptShard>();

  /** As after a power cut: everything is gone. */
  lose(): void {
    this.shards.clear();
  }

  /** What is there now, for itself. */
  copy(): MemoryState {
    const copy = new MemoryState();
    for (const [shard, { images, stamp }] of this.shards) {
      const kept = [...images].map(([name, one]) => [name, { ...one, bytes: Uint8Array.from(one.bytes) }] as const);
      copy.shards.set(shard, { images: new Map(kept), names: undefined, stamp: stamp && Uint8Array.from(stamp) });
    }
    return copy;
  }

  /** Puts back what was there when `copy` was made. */
  become(copy: MemoryState): void {
    this.shards.clear();
    for (const [shard, kept] of copy.copy().shards) this.shards.set(shard, kept);
  }

  /** Turns a bit of one image: from now on it is damaged, which the store detects. False if there is none. */
  flip(shard: ShardId, name: string): boolean {
    const kept = this.shards.get(shard)?.images.get(name);
    if (kept === undefined) return false;
    kept.damaged = true;
    return true;
  }
}

export interface MemoryStateStoreOptions {
  readonly state?: MemoryState;
  /** Told of each image that was asked for and is damaged. */
  readonly damaged?: (shard: ShardId, name: string | undefined) => void;
}

export function openMemoryStateStore(options: MemoryStateStoreOptions = {}): StateStore {
  return new Store(options);
}

class Store implements StateStore {
  readonly #shards: Map<ShardId, KeptShard>;
  readonly #damaged: (shard: ShardId, name: string | undefined) => void;
  #closed = false;

  constructor(options: MemoryStateStoreOptions) {
    this.#shards = (options.state ?? new MemoryState()).shards;
    this.#damaged = options.damaged ?? (() => {});
  }

  get(shard: ShardId, name: string): Uint8Array | undefined {
    this.#checkOpen();
    const kept = this.#shards.get(shard)?.images.get(name);
    if (kept?.damaged !== true) return kept?.bytes.slice();
    this.#damaged(shard, name);
    throw stateDamaged(shard, name);
  }

  async write(writes: readonly StateWrite[]): Promise<void> {
    this.#checkOpen();
    for (const { shard, images, stamp } of writes) {
      const known = this.#shards.get(shard) ?? { images: new Map<string, Kept>(), names: [], stamp: undefined };
      this.#shards.set(shard, known);
      for (const { name, bytes, busy } of images) {
        checkImageName(name);
        if (!known.images.has(name)) known.names = undefined;
        known.images.set(name, { bytes: Uint8Array.from(bytes), busy, damaged: false });
      }
      if (stamp !== undefined) known.stamp = Uint8Array.from(stamp);
    }
  }

  stamp(shard: ShardId): Uint8Array | undefined {
    this.#checkOpen();
    return this.#shards.get(shard)?.stamp?.slice();
  }

  *busy(shard: ShardId): Iterable<string> {
    this.#checkOpen();
    for (const [name, { busy }] of this.#shards.get(shard)?.images ?? []) if (busy) yield name;
  }

  *images(shard: ShardId): Iterable<readonly [name: string, bytes: Uint8Array]> {
    this.#checkOpen();
    const known = this.#shards.get(shard);
    if (known === undefined) return;
    known.names ??= [...known.images.keys()].sort();
    for (const name of known.names) {
      const bytes = this.get(shard, name);
      if (bytes !== undefined) yield [name, bytes];
    }
  }

  count(shard: ShardId): number {
    this.#checkOpen();
    return this.#shards.get(shard)?.images.size ?? 0;
  }

  bytes(): number {
    let bytes = 0;
    for (const { images, stamp } of this.#shards.values()) {
      bytes += stamp?.length ?? 0;
      for (const kept of images.values()) bytes += kept.bytes.length;
    }
    return bytes;
  }

  async clear(shard: ShardId): Promise<void> {
    this.#checkOpen();
    this.#shards.delete(shard);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
  }
}
