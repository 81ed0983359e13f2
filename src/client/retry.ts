/**
 * When to ask again: backoff with full jitter, and a budget, so that retries cannot keep an overloaded server down.
 *
 * Invariant of the budget: retries that failed are at most `retryShare` of the calls plus `retriesPerSecond`. A retry
 * spends a token; one that got a final answer returns it, so recovery after an outage is not held back, only waste is.
 */
import type { Clock, Random } from "../ports/clock.ts";
import { clientLimits } from "./limits.ts";

/** A uniform wait between nothing and `baseMs` doubled `failures` times, at most `maxMs`. */
export function backoffMs(failures: number, range: { baseMs: number; maxMs: number }, random: Random): number {
  const [a = 0, b = 0, c = 0] = random.bytes(3);
  const share = (a * 0x10000 + b * 0x100 + c) / 0x1000000;
  return share * Math.min(range.maxMs, range.baseMs * 2 ** Math.min(failures, 30));
}

export class RetryBudget {
  readonly #clock: Clock;
  #tokens = clientLimits.retriesPerSecond;
  #atMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#atMs = clock.monotonic();
  }

  /** A call was sent for the first time. */
  earn(): void {
    this.#add(clientLimits.retryShare);
  }

  /** A retry got a final answer. */
  giveBack(): void {
    this.#add(1);
  }

  /** Whether a retry may go out now; then it is paid for. */
  spend(): boolean {
    const nowMs = this.#clock.monotonic();
    this.#add(((nowMs - this.#atMs) * clientLimits.retriesPerSecond) / 1_000);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** How long until `spend` grants one at the latest. */
  get waitMs(): number {
    return Math.max(1, ((1 - this.#tokens) * 1_000) / clientLimits.retriesPerSecond);
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(clientLimits.retriesMax, this.#tokens + tokens);
  }
}
