/**
 * Wall time that does not jump. It starts at the wall clock, runs with the monotonic clock, and leans towards the wall
 * clock by at most 1 %, so that an operator's or NTP's correction never fires a day of timers at once.
 *
 * Invariant: it never goes back, and never runs faster than 1.01 or slower than 0.99 of the monotonic clock.
 */
import type { Clock } from "../ports/clock.ts";

const leanMax = 0.01;

export class SteadyTime {
  readonly #clock: Clock;
  #wallMs: number;
  #monotonicMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wallMs = clock.now();
    this.#monotonicMs = clock.monotonic();
  }

  /** Milliseconds since 1970, whole. */
  now(): number {
    const monotonicMs = this.#clock.monotonic();
    const elapsedMs = monotonicMs - this.#monotonicMs;
    if (elapsedMs >= 1) {
      const straightMs = this.#wallMs + elapsedMs;
      const errorMs = this.#clock.now() - straightMs;
      const leanMs = Math.max(-elapsedMs * leanMax, Math.min(elapsedMs * leanMax, errorMs));
      this.#wallMs = straightMs + leanMs;
      this.#monotonicMs = monotonicMs;
    }
    return Math.floor(this.#wallMs);
  }
}
