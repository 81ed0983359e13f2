/**
 * Ticks the shards of a node now and then although nothing happens, so that what expires is forgotten.
 *
 * Invariant: after `stop` it ticks no more.
 */
import type { Clock } from "../ports/clock.ts";

const idleTickMs = 30_000;

export class IdleTick {
  readonly #clock: Clock;
  readonly #tick: () => void;
  #cancel: () => void = () => {};

  constructor(clock: Clock, tick: () => void) {
    this.#clock = clock;
    this.#tick = tick;
  }

  start(): void {
    this.#cancel = this.#clock.after(idleTickMs, () => {
      this.start();
      this.#tick();
    });
  }

  stop(): void {
    this.#cancel();
  }
}
