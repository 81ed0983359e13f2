/**
 * Which generation of the saplings' code each start deploys, and what follows from it.
 *
 * Invariants checked: code that does not know an event of a whole log does not serve it; a start is refused only to code
 * that is older than some that was deployed before.
 */
import type { ShardId } from "../model/ids.ts";
import type { EventBody } from "../model/records.ts";
import { neededFor, newestGeneration } from "./sapling.ts";
import type { World } from "./world.ts";

export class Deployments {
  readonly #world: World;
  /** Of the code that runs, or was started last. */
  generation: number;
  #highest: number;
  /** Of each shard, the generation that its log needs. */
  readonly #needed = new Map<ShardId, number>();
  /** Shards whose log was seen to begin behind its first record. */
  readonly #trimmed = new Set<ShardId>();

  constructor(world: World) {
    this.#world = world;
    this.generation = this.#highest = world.swarm.evolution.first;
  }

  /** Another start. When the faults are over, code is not changed any more. */
  deploy(): number {
    const world = this.#world;
    const { saplings, upgrade, rollback } = world.swarm.evolution;
    if (saplings === 0) return this.generation;
    const steps = () => world.prng.pick([1, 1, 2, 3]);
    if (world.unlucky(rollback)) this.generation = Math.max(0, this.#highest - steps());
    else if (world.unlucky(upgrade)) this.generation = Math.min(newestGeneration, this.#highest + steps());
    this.#highest = Math.max(this.#highest, this.generation);
    world.note(`deployed: generation ${this.generation} of ${this.#highest}`);
    return this.generation;
  }

  /** The code that was deployed does not know what there is. @returns whether it may say so */
  refused(): boolean {
    const older = this.generation < this.#highest;
    if (older) this.#world.counts.refusals++;
    this.generation = this.#highest;
    return older;
  }

  recorded(shard: ShardId, events: readonly EventBody[]): void {
    for (const event of events) this.#needed.set(shard, Math.max(this.#needed.get(shard) ?? 0, neededFor(event)));
  }

  trimmed(shard: ShardId): void {
    this.#trimmed.add(shard);
  }

  isTrimmed(shard: ShardId): boolean {
    return this.#trimmed.has(shard);
  }

  /** Whether the present code knows every event of the shard's whole log. */
  knows(shard: ShardId): boolean {
    return (this.#needed.get(shard) ?? 0) <= this.generation;
  }

  served(): void {
    for (const [shard, needed] of this.#needed) {
      if (this.knows(shard) || this.#trimmed.has(shard)) continue;
      this.#world.violated(
        "older code refuses what it does not know",
        `generation ${this.generation} serves shard ${shard}, whose log needs ${needed}`,
      );
    }
  }
}
