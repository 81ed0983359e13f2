/**
 * One timer for many: calls back for each holder at the earliest time that was set for it.
 *
 * Invariant: a holder is called at or after the time it asked for, never before, and at most once per earliest time; it
 * sets the next one itself.
 */
import type { Clock } from "../ports/clock.ts";
import { Heap } from "../std/heap.ts";

export class Alarm<Holder> {
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #ring: (holder: Holder) => void;
  readonly #due = new Heap<{ atMs: number; holder: Holder }>((item) => item.atMs);
  readonly #earliest = new Map<Holder, number>();
  #armedMs = Number.POSITIVE_INFINITY;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(clock: Clock, now: () => number, ring: (holder: Holder) => void) {
    this.#clock = clock;
    this.#now = now;
    this.#ring = ring;
  }

  set(holder: Holder, atMs: number): void {
    const known = this.#earliest.get(holder);
    if (this.#closed || (known !== undefined && known <= atMs)) return;
    this.#earliest.set(holder, atMs);
    this.#due.push({ atMs, holder });
    this.#arm();
  }

  clear(holder: Holder): void {
    this.#earliest.delete(holder);
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #arm(): void {
    const first = this.#due.peek();
    if (this.#closed || first === undefined || first.atMs >= this.#armedMs) return;
    this.#cancel?.();
    this.#armedMs = first.atMs;
    // setTimeout takes at most 2^31 - 1 ms; a longer wait is asked for again.
    const waitMs = Math.min(Math.max(0, first.atMs - this.#now()), 2 ** 30);
    this.#cancel = this.#clock.after(waitMs, () => this.#run());
  }

  #run(): void {
    this.#armedMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#now();
    for (let first = this.#due.peek(); first !== undefined && first.atMs <= nowMs; first = this.#due.peek()) {
      this.#due.pop();
      if (this.#earliest.get(first.holder) !== first.atMs) continue;
      this.#earliest.delete(first.holder);
      this.#ring(first.holder);
      if (this.#closed) return;
    }
    this.#arm();
  }
}
