/**
 * A progress bar on a terminal; on anything else a plain line now and then.
 *
 * Invariant: what is drawn is taken away again before anything else is printed, and it goes to the error stream only, so
 * that output that is piped on has none of it.
 */
import type { Clock } from "../ports/clock.ts";
import { etaMs, progressLine } from "../std/progress.ts";

/** The part of `process.stderr` that is used. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const drawEveryMs = 100;
const sayEveryMs = 5_000;

export class ProgressBar {
  readonly #what: string;
  readonly #stream: ProgressStream;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #unit: string;
  #toldMs: number;
  #done = 0;
  #total = 0;
  #drawn = false;

  constructor(what: string, stream: ProgressStream, clock: Clock, unit = "records") {
    this.#what = what;
    this.#unit = unit;
    this.#stream = stream;
    this.#clock = clock;
    this.#startMs = this.#toldMs = clock.monotonic();
  }

  expect(count: number): void {
    this.#total += count;
  }

  advance(count: number): void {
    this.set(this.#done + count, this.#total);
  }

  /** Tells how far it is. Draws only if the last drawing is old enough. */
  set(done: number, total: number, leftMs?: number): void {
    this.#done = done;
    this.#total = total;
    const nowMs = this.#clock.monotonic();
    const terminal = this.#stream.isTTY === true;
    if (nowMs - this.#toldMs < (terminal ? drawEveryMs : sayEveryMs)) return;
    this.#toldMs = nowMs;
    const line = progressLine(this.#what, done, total, leftMs ?? etaMs(done, total, nowMs - this.#startMs), this.#unit);
    if (!terminal) {
      this.#stream.write(`${line.replace(/[█░]+ /, "")}\n`);
      return;
    }
    this.#drawn = true;
    // A line longer than the terminal would wrap, and the next drawing would leave a part of it behind.
    this.#stream.write(`\r\u001b[2K${line.slice(0, Math.max(20, (this.#stream.columns ?? 80) - 1))}`);
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.#drawn) this.#stream.write("\r\u001b[2K");
    this.#drawn = false;
  }
}
