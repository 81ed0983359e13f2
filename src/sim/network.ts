/**
 * The network between clients and the node: messages are late, lost, twice there, and overtake each other.
 *
 * Invariant: a message arrives unchanged or not at all.
 */
import type { World } from "./world.ts";

export class SimNetwork {
  /** Messages that have not arrived. */
  underway = 0;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  /** @param arrive called zero, one or more times */
  carry(arrive: () => void): void {
    const { network } = this.#world.swarm;
    if (this.#world.unlucky(network.loss)) return;
    const copies = this.#world.unlucky(network.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.underway++;
      this.#world.timeline.after(this.#delayMs(), () => {
        this.underway--;
        arrive();
      });
    }
  }

  #delayMs(): number {
    const { delayMs, slow, slowMs } = this.#world.swarm.network;
    const { prng } = this.#world;
    if (this.#world.unlucky(slow)) return prng.integer(slowMs);
    return delayMs[0] + prng.fraction() * (delayMs[1] - delayMs[0]);
  }
}
