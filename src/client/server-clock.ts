/**
 * The server's clock, estimated from what it says its time is (as NTP does): offset = server's time + half the round trip
 * - our time, wrong by at most half the round trip.
 *
 * Invariant: an estimate is replaced by one that is at least as exact, or that contradicts it (then a clock jumped).
 */
import type { Clock } from "../ports/clock.ts";

export class ServerClock {
  readonly #clock: Clock;
  #offsetMs = 0;
  #errorMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Server's time, ms since 1970; our own until it is known. A whole number. */
  now(): number {
    return Math.round(this.#clock.now() + this.#offsetMs);
  }

  /**
   * @param serverMs    what the server said its time was
   * @param roundTripMs from our question to its answer, which arrived just now
   */
  sample(serverMs: number, roundTripMs: number): void {
    const errorMs = roundTripMs / 2;
    const offsetMs = serverMs + errorMs - this.#clock.now();
    const contradicts = Math.abs(offsetMs - this.#offsetMs) > errorMs + this.#errorMs;
    if (errorMs > this.#errorMs && !contradicts) return;
    this.#offsetMs = offsetMs;
    this.#errorMs = errorMs;
  }
}
