/**
 * Time that passes only when it is told to: a queue of what happens when.
 *
 * Invariant: things happen in the order of their times, those of one time in the order they were put down; time never
 * goes back. So one program on one timeline has one history.
 */

interface Planned {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export class Timeline {
  #nowMs = 0;
  #order = 0;
  #live = 0;
  readonly #heap: Planned[] = [];

  /** Milliseconds since the start. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How much is planned. */
  get size(): number {
    return this.#live;
  }

  /** When the next thing happens. */
  get nextMs(): number | undefined {
    this.#drop();
    return this.#heap[0]?.atMs;
  }

  /** Plans something, at once at the earliest. Returns a function that cancels it. */
  after(ms: number, run: () => void): () => void {
    const planned: Planned = { atMs: this.#nowMs + exact(ms), order: this.#order++, run };
    this.#push(planned);
    this.#live++;
    return () => {
      if (planned.run !== undefined) this.#live--;
      planned.run = undefined;
    };
  }

  /** Lets the next thing happen. @returns false if nothing is planned */
  runNext(): boolean {
    this.#drop();
    const next = this.#pop();
    if (next?.run === undefined) return false;
    this.#nowMs = next.atMs;
    const { run } = next;
    next.run = undefined;
    this.#live--;
    run();
    return true;
  }

  /** Passes time in which nothing happens. */
  skipTo(ms: number): void {
    this.#nowMs = Math.max(this.#nowMs, Math.min(ms, this.nextMs ?? ms));
  }

  /** Takes what was cancelled off the top. */
  #drop(): void {
    while (this.#heap.length > 0 && this.#heap[0]?.run === undefined) this.#pop();
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let index = heap.push(planned) - 1;
    while (index > 0) {
      const up = (index - 1) >> 1;
      const above = heap[up] as Planned;
      if (before(above, planned)) break;
      heap[index] = above;
      index = up;
    }
    heap[index] = planned;
  }

  #pop(): Planned | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let index = 0;
    for (let down = 1; down < heap.length; down = 2 * index + 1) {
      const right = heap[down + 1];
      if (right !== undefined && before(right, heap[down] as Planned)) down++;
      const below = heap[down] as Planned;
      if (before(last, below)) break;
      heap[index] = below;
      index = down;
    }
    heap[index] = last;
    return top;
  }
}

/** In steps of 1/1024 ms, which add up without an error of rounding. */
function exact(ms: number): number {
  return Math.max(0, Math.ceil(ms * 1024) / 1024);
}

function before(a: Planned, b: Planned): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
