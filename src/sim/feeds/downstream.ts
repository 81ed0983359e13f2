/**
 * Everything downstream of the simulated service: its followers and its durable subscribers.
 *
 * Invariant: in a run without any it does nothing, and draws no chance.
 */
import type { Server } from "../server.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";
import { SimFollower } from "./follower.ts";
import { SimSubscribers } from "./subscribers.ts";
import { FeedTruth } from "./truth.ts";

export class Downstream {
  readonly #world: World;
  readonly #followers: SimFollower[] = [];
  readonly #subscribers: SimSubscribers;
  /** Every shard has been written to since the faults stopped: its owner knows all that is durable. */
  probed = false;

  constructor(world: World, server: Server, witness: Witness) {
    this.#world = world;
    const truth = new FeedTruth(world, witness);
    this.#subscribers = new SimSubscribers(world, server, witness, truth);
    for (let index = 0; index < world.swarm.feeds.followers; index++)
      this.#followers.push(new SimFollower(world, server, truth, index));
  }

  begin(): void {
    for (const follower of this.#followers) follower.begin();
    this.#subscribers.begin();
  }

  /** What has not arrived yet, in words; undefined if everything has. */
  get open(): string | undefined {
    if (!this.probed) return undefined;
    for (const { open } of this.#followers) if (open !== undefined) return open;
    return this.#subscribers.open;
  }

  checkLast(): void {
    for (const follower of this.#followers) follower.checkLast();
    this.#subscribers.checkLast();
  }

  /** Each goes on from some cursor that it was given once. */
  goBack(): void {
    for (const follower of this.#followers) follower.goBack();
  }

  async tryForged(): Promise<void> {
    for (const follower of this.#followers)
      if ((await follower.tryForged()) === false)
        this.#world.violated("another log is found out", "a cursor that rests on another record was followed");
  }
}
