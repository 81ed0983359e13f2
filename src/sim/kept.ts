/**
 * What the simulated node keeps beside its log: a state store on its disk, a snapshot store elsewhere, and how they fail.
 *
 * Invariant: both outlive the processes that open them. What a process had under way when it ended was done or not, never
 * in part; a power cut empties the state store. Between two processes a state store may be lost, turn bad or be an older
 * copy of itself, and the newest snapshot may turn bad along with it: the one before must do then.
 */
import { MemoryObjects, openMemorySnapshots, type SnapshotStoreCall } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { HoldfastError } from "../model/errors.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import { ArchiveWitness } from "./archive.ts";
import type { CopiesParts } from "./damage-kinds.ts";
import { sealStateStore } from "./sealed-state.ts";
import { slowStateStore } from "./slow-state-store.ts";
import { exclusiveObjects, SnapshotWatch } from "./snapshot-watch.ts";
import type { World } from "./world.ts";

/** The process that has the stores open. */
export interface Holder {
  readonly alive: boolean;
  after(ms: number, run: () => void): void;
}

export class Kept {
  readonly state = new MemoryState();
  readonly objects = new MemoryObjects();
  readonly #world: World;
  readonly archive: ArchiveWitness;
  readonly #watch: SnapshotWatch;
  #older: MemoryState | undefined;
  readonly #spoilt = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.#watch = new SnapshotWatch(world, this.objects);
    this.archive = new ArchiveWitness(world, this.objects);
  }

  open(holder: Holder): { state?: StateStore; snapshots?: SnapshotStore } {
    const { kept } = this.#world.swarm;
    if (!kept.state) return {};
    this.#spoil();
    const state = slowStateStore(sealStateStore(openMemoryStateStore({ state: this.state })), () =>
      this.#pause(holder),
    );
    return kept.snapshots ? { state, snapshots: this.openSnapshots(holder) } : { state };
  }

  /** What is stored now and what was once, for itself. */
  copies(): Pick<CopiesParts, "state" | "objects" | "uses" | "olderState" | "olderHeads"> {
    const { state, snapshots } = this.#world.swarm.kept;
    return {
      state: this.state.copy(),
      objects: this.objects.copy(),
      uses: { state, snapshots: state && snapshots },
      olderState: this.#older?.copy(),
      olderHeads: this.#watch.older,
    };
  }

  openSnapshots(holder: Holder): SnapshotStore {
    const answer = async () => {
      await this.#pause(holder);
      if (this.#world.unlucky(this.#world.swarm.kept.unavailable))
        throw new HoldfastError("unavailable", "No answer of the store.");
    };
    const after = async (call: SnapshotStoreCall) => {
      this.#watch.saw(call);
      await answer();
    };
    return openMemorySnapshots({ objects: this.objects, hooks: { before: answer, after } });
  }

  cutPower(): void {
    this.state.lose();
  }

  /** What may have become of the stores since the last process ended. */
  #spoil(): void {
    const world = this.#world;
    const { kept } = world.swarm;
    if (world.unlucky(kept.damage)) this.#turnBits();
    if (world.unlucky(kept.stale) && this.#older !== undefined) {
      world.note("the state store is an older copy of itself");
      this.state.become(this.#older);
    }
    if (this.#older === undefined || this.#world.prng.chance(0.5)) this.#older = this.state.copy();
    if (!world.unlucky(kept.lost)) return;
    world.note("the state store is lost");
    this.state.lose();
    if (kept.snapshots && world.unlucky(kept.spoilt)) this.#spoilNewest();
  }

  /** Before the last start, when no other fault comes any more: without its state store, and then on the snapshot before. */
  loseAtLast(): void {
    const { prng, swarm } = this.#world;
    if (!swarm.kept.state || !prng.chance(0.5)) return;
    this.#world.note("the state store is lost");
    this.state.lose();
    if (swarm.kept.snapshots && prng.chance(0.5)) this.#spoilNewest();
  }

  #turnBits(): void {
    const { prng } = this.#world;
    for (const { images } of this.state.shards.values()) {
      const names = [...images.keys()];
      if (names.length === 0 || !prng.chance(0.5)) continue;
      const name = prng.pick(names);
      this.#world.note(`the image of ${name} turned bad`);
      const { bytes } = images.get(name) as { bytes: Uint8Array };
      const bit = prng.integer(bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    }
  }

  /** Only what the generation before does not need: more than one bad generation is more than is promised. */
  #spoilNewest(): void {
    const { prng, swarm } = this.#world;
    for (let shard = 0; shard < swarm.shardCount; shard++) {
      const names = exclusiveObjects(this.objects, shard, this.#spoilt);
      if (names.length === 0) continue;
      const name = prng.pick(names);
      const bytes = this.objects.objects.get(name)?.bytes ?? new Uint8Array(0);
      const how = prng.pick(["turned", "turned", "cut", "removed"] as const);
      this.#world.note(`the snapshot object ${name} was ${how}`);
      this.#spoilt.add(name);
      if (how === "removed") this.objects.objects.delete(name);
      else if (how === "cut") this.objects.write(name, bytes.subarray(0, prng.integer(bytes.length)));
      else this.objects.flip(name, prng.integer(bytes.length * 8));
    }
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
