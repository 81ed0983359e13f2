/**
 * What nodes of a simulated cluster keep beside the log: a state store each, which outlives its processes, and one place for snapshots.
 *
 * Invariant: what a process had under way when it ended was done or not, never in part.
 */
import { MemoryObjects, openMemorySnapshots } from "../../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../../adapters/memory/state-store.ts";
import { HoldfastError } from "../../model/errors.ts";
import type { SnapshotStore } from "../../ports/snapshot-store.ts";
import type { StateStore } from "../../ports/state-store.ts";
import { slowStateStore } from "../slow-state-store.ts";
import type { World } from "../world.ts";
import type { SimProcess } from "./sim-process.ts";

export class ClusterKept {
  readonly #world: World;
  readonly #objects = new MemoryObjects();
  readonly #states = new Map<string, MemoryState>();

  constructor(world: World) {
    this.#world = world;
  }

  open(process: SimProcess): { state?: StateStore; snapshots?: SnapshotStore } {
    const { kept } = this.#world.swarm;
    if (!kept.state) return {};
    let state = this.#states.get(process.name);
    // a machine that lost its disk begins without
    if (state === undefined || this.#world.unlucky(kept.lost))
      this.#states.set(process.name, (state = new MemoryState()));
    const store = slowStateStore(openMemoryStateStore({ state }), () => this.#pause(process));
    return kept.snapshots ? { state: store, snapshots: this.#openSnapshots(process) } : { state: store };
  }

  #openSnapshots(process: SimProcess): SnapshotStore {
    const answer = async () => {
      await this.#pause(process);
      if (this.#world.unlucky(this.#world.swarm.kept.unavailable))
        throw new HoldfastError("unavailable", "No answer of the store.");
    };
    return openMemorySnapshots({ objects: this.#objects, hooks: { before: answer, after: answer } });
  }

  /** Never ends for a process that has ended. */
  #pause(process: SimProcess): Promise<void> {
    const { swarm, prng, timeline } = this.#world;
    const ms = prng.fraction() * swarm.kept.delayMs;
    return process.ask(() => new Promise<void>((resolve) => timeline.after(ms, resolve)));
  }
}
