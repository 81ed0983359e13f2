/**
 * The clock of one simulated process, on a timeline that may be shared.
 *
 * Invariant: a clock that was stopped calls nobody back, as a process that ended.
 */
import type { Clock } from "../../ports/clock.ts";
import type { Timeline } from "./timeline.ts";

export interface VirtualClockOptions {
  readonly timeline: Timeline;
  /** What the wall clock shows at the timeline's start, ms since 1970. Default 2026-01-01. */
  readonly wallMs?: number;
  /** How long a `defer` takes. Default 0. */
  readonly deferMs?: () => number;
}

export const wallDefaultMs = 1_767_225_600_000;

export class VirtualClock implements Clock {
  readonly #timeline: Timeline;
  readonly #deferMs: () => number;
  readonly #startMs: number;
  #wallMs: number;
  #stopped = false;

  constructor(options: VirtualClockOptions) {
    this.#timeline = options.timeline;
    this.#wallMs = options.wallMs ?? wallDefaultMs;
    this.#deferMs = options.deferMs ?? (() => 0);
    this.#startMs = options.timeline.nowMs;
  }

  now(): number {
    return Math.floor(this.#wallMs + this.#timeline.nowMs);
  }

  monotonic(): number {
    return this.#timeline.nowMs - this.#startMs;
  }

  after(ms: number, callback: () => void): () => void {
    return this.#timeline.after(ms, () => this.#call(callback));
  }

  defer(callback: () => void): void {
    this.#timeline.after(this.#deferMs(), () => this.#call(callback));
  }

  /** Sets the wall clock forward or back. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  /** Nobody is called back any more. */
  stop(): void {
    this.#stopped = true;
  }

  #call(callback: () => void): void {
    if (!this.#stopped) callback();
  }
}
