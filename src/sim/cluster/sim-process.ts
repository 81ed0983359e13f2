/**
 * One running of a simulated node's process: nothing reaches it and nothing of it runs but by way of `run`.
 *
 * Invariants: after its end nothing of it runs, whatever it waited for; while it is paused everything waits, its timers too, and comes in
 * order afterwards: first the timers that are due, then what arrived, each in its own turn, as a process that was stopped and goes on.
 */
import { wallDefaultMs } from "../../adapters/virtual/clock.ts";
import type { Timeline } from "../../adapters/virtual/timeline.ts";
import type { Clock } from "../../ports/clock.ts";

type Work = () => void;

export interface SimProcessOptions {
  /** Of its node. */
  readonly name: string;
  readonly timeline: Timeline;
  /** Of its clock, relative to the timeline. */
  readonly rate: number;
  /** By how much its wall clock is off. */
  readonly wallErrorMs: number;
  readonly deferMs: () => number;
}

export class SimProcess {
  readonly name: string;
  readonly clock: ProcessClock;
  #alive = true;
  #paused = false;
  #draining = false;
  /** How often it was paused. */
  pauses = 0;
  readonly #timers: Work[] = [];
  readonly #arrivals: Work[] = [];
  readonly #timeline: Timeline;

  constructor(options: SimProcessOptions) {
    this.name = options.name;
    this.#timeline = options.timeline;
    this.clock = new ProcessClock(options, this);
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  end(): void {
    this.#alive = false;
  }

  pause(): void {
    this.pauses++;
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#drainSoon();
  }

  run(work: Work, isTimer = false): void {
    if (!this.#alive) return;
    if (!this.#paused && !this.#draining) return work();
    (isTimer ? this.#timers : this.#arrivals).push(work);
  }

  /** A call of something outside: what was asked goes on without the process, its answer does not reach one that is gone. */
  ask<T>(call: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#alive) return;
      call().then(
        (value) => this.run(() => resolve(value)),
        (error: unknown) => this.run(() => reject(error as Error)),
      );
    });
  }

  #drainSoon(): void {
    this.#draining = true;
    this.#timeline.after(0, () => {
      if (!this.#alive || this.#paused) return;
      const work = this.#timers.shift() ?? this.#arrivals.shift();
      if (work === undefined) {
        this.#draining = false;
        return;
      }
      work();
      this.#drainSoon();
    });
  }
}

/** Its rate and its wall time are its own. */
class ProcessClock implements Clock {
  readonly #options: SimProcessOptions;
  readonly #process: SimProcess;
  readonly #startMs: number;
  #wallErrorMs: number;

  constructor(options: SimProcessOptions, process: SimProcess) {
    this.#options = options;
    this.#process = process;
    this.#startMs = options.timeline.nowMs;
    this.#wallErrorMs = options.wallErrorMs;
  }

  now(): number {
    return Math.floor(wallDefaultMs + this.#wallErrorMs + this.#startMs + this.monotonic());
  }

  monotonic(): number {
    return (this.#options.timeline.nowMs - this.#startMs) * this.#options.rate;
  }

  after(ms: number, callback: () => void): () => void {
    let cancelled = false;
    const { timeline, rate } = this.#options;
    const dueMs = this.monotonic() + ms;
    const fire = () => {
      if (cancelled) return;
      // a timer never fires before its own clock says so
      if (this.monotonic() < dueMs) cancel = timeline.after(0.001, turn);
      else callback();
    };
    const turn = () => this.#process.run(fire, true);
    let cancel = timeline.after(Math.max(0, ms) / rate, turn);
    return () => {
      cancelled = true;
      cancel();
    };
  }

  defer(callback: () => void): void {
    this.#options.timeline.after(this.#options.deferMs(), () => this.#process.run(callback, true));
  }

  /** Sets the wall clock. */
  jump(errorMs: number): void {
    this.#wallErrorMs = errorMs;
  }
}
