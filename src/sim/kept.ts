/**
 * What the simulated node keeps beside its log: a state store on its disk, a snapshot store elsewhere, and how they fail.
 *
 * Invariant: both outlive the processes that open them. What a process had under way when it ended was done or not, never
 * in part; a power cut empties the state store; a turned bit is one that the store detects.
 */
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { HoldfastError } from "../model/errors.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import { ArchiveWitness } from "./archive.ts";
import type { World } from "./world.ts";

/** The process that has the stores open. */
export interface Holder {
  readonly alive: boolean;
  after(ms: number, run: () => void): void;
}

export class Kept {
  readonly #world: World;
  readonly #state = new MemoryState();
  readonly #objects = new MemoryObjects();
  readonly archive: ArchiveWitness;

  constructor(world: World) {
    this.#world = world;
    this.archive = new ArchiveWitness(world, this.#objects);
  }

  open(holder: Holder): { state?: StateStore; snapshots?: SnapshotStore } {
    const { kept } = this.#world.swarm;
    if (!kept.state) return {};
    this.#turnBits();
    const state = this.#slow(openMemoryStateStore({ state: this.#state }), holder);
    if (!kept.snapshots) return { state };
    const pause = () => this.#pause(holder);
    const fail = async () => {
      await pause();
      if (this.#world.unlucky(kept.unavailable)) throw new HoldfastError("unavailable", "No answer of the store.");
    };
    return { state, snapshots: openMemorySnapshots({ objects: this.#objects, hooks: { before: fail, after: fail } }) };
  }

  cutPower(): void {
    this.#state.lose();
  }

  #turnBits(): void {
    const { prng, swarm } = this.#world;
    if (!this.#world.unlucky(swarm.kept.damage)) return;
    for (const [shard, { images }] of this.#state.shards) {
      const names = [...images.keys()];
      if (names.length === 0 || !prng.chance(0.5)) continue;
      const name = prng.pick(names);
      this.#world.note(`the image of ${name} turned bad`);
      this.#state.flip(shard, name);
    }
  }

  /** Writes take effect in order, some time after they were asked for, unless the process has ended by then. */
  #slow(store: StateStore, holder: Holder): StateStore {
    let last: Promise<void> = Promise.resolve();
    const inOrder = (act: () => Promise<void>): Promise<void> => {
      last = last.then(async () => {
        await this.#pause(holder);
        await act();
      });
      return last.then(() => this.#pause(holder));
    };
    return {
      get: (shard, name) => store.get(shard, name),
      write: (writes) => inOrder(() => store.write(writes)),
      stamp: (shard) => store.stamp(shard),
      busy: (shard) => store.busy(shard),
      images: (shard) => store.images(shard),
      count: (shard) => store.count(shard),
      bytes: () => store.bytes(),
      clear: (shard) => inOrder(() => store.clear(shard)),
      close: () => store.close(),
    };
  }

  /** Never ends for a process that has ended. */
  #pause(holder: Holder): Promise<void> {
    const { swarm, prng } = this.#world;
    return new Promise((resolve) => {
      holder.after(prng.fraction() * swarm.kept.delayMs, () => {
        if (holder.alive) resolve();
      });
    });
  }
}
