/** The steps of a simulated disk, taken one by one, so that a test can end a life after any of them. */

/** Runs what the disk has scheduled, in order, until `steps` are done. */
export class Steps {
  readonly #due: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  #nowMs = 0;
  taken = 0;

  readonly schedule = (delayMs: number, run: () => void): void => {
    this.#due.push({ atMs: this.#nowMs + delayMs, order: this.#order++, run });
  };

  /** @returns false if nothing was left to do before that */
  async take(stepsMax: number, until: () => boolean): Promise<boolean> {
    while (this.taken < stepsMax && !until()) {
      await new Promise((done) => setImmediate(done));
      if (this.#due.length === 0) {
        if (until()) break;
        continue;
      }
      this.#due.sort((one, other) => one.atMs - other.atMs || one.order - other.order);
      const next = this.#due.shift();
      if (next === undefined) continue;
      this.#nowMs = next.atMs;
      this.taken++;
      next.run();
    }
    return until();
  }
}
