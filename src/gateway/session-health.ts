/**
 * The deadlines of one WebSocket that its traffic decides: half-sent frames and silence.
 *
 * Invariant: a connection on which nothing was heard for two pings, or on which one frame has been half sent for
 * `requestMs`, is found by the next `sweep`. Deadlines are checked now and then for all connections at once, not by a
 * timer each; while a connection is not read from it cannot be blamed.
 */
import type { Limits } from "../model/limits.ts";
import { FrameProgress } from "./frame-progress.ts";

export type Verdict = "well" | "ping" | "half-frame" | "silent";

export class SessionHealth {
  readonly progress = new FrameProgress();
  readonly #limits: Limits;
  #heard = true;
  #heardMs: number;
  #pinged = false;
  #partialMs = -1;
  #completed = 0;

  constructor(limits: Limits, nowMs: number) {
    this.#limits = limits;
    this.#heardMs = nowMs;
  }

  /** A whole frame came. */
  hear(): void {
    this.#heard = true;
  }

  sweep(nowMs: number, paused: boolean): Verdict {
    return this.#sweepFrame(nowMs, paused) ? "half-frame" : this.#sweepSilence(nowMs, paused);
  }

  #sweepFrame(nowMs: number, paused: boolean): boolean {
    const moved = this.progress.completed !== this.#completed;
    this.#completed = this.progress.completed;
    if (!this.progress.partial || paused) this.#partialMs = -1;
    else if (this.#partialMs < 0 || moved) this.#partialMs = nowMs;
    else return nowMs - this.#partialMs > this.#limits.requestMs;
    return false;
  }

  #sweepSilence(nowMs: number, paused: boolean): Verdict {
    if (this.#heard || paused) {
      this.#heard = false;
      this.#pinged = false;
      this.#heardMs = nowMs;
      return "well";
    }
    const silentMs = nowMs - this.#heardMs;
    if (silentMs > this.#limits.pingMs * 2) return "silent";
    if (this.#pinged || silentMs <= this.#limits.pingMs) return "well";
    this.#pinged = true;
    return "ping";
  }
}
