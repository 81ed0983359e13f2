/**
 * Lets few operations run at once; the others wait in the order they came.
 *
 * Node does file operations on four threads, which the log's appends need as well: a few slow syncs of large files would hold
 * every command up. Invariant: a permit is given back however the work ends.
 */
export class Permits {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async use<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
