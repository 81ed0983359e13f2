/**
 * A small repeatable generator of chance: xoshiro128**, seeded through splitmix32. For simulations and tests; anybody who
 * has seen a few numbers knows all that follow, so nothing that is secret comes from here.
 * Source: Blackman and Vigna, prng.di.unimi.it.
 *
 * Invariant: one seed gives one sequence, on every machine and version.
 */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed any safe integer; all of its bits count */
  constructor(seed: number) {
    let state = (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32) | 0, 0x9e3779b1);
    const split = () => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = split();
    this.#b = split();
    this.#c = split();
    this.#d = split() | 1; // the state may not be all zeros
  }

  /** 0 .. 2^32 - 1 */
  next(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** 0 <= value < 1 */
  fraction(): number {
    return this.next() / 2 ** 32;
  }

  /** 0 <= value < `below`. Slightly uneven for large `below`, which no simulation notices. */
  integer(below: number): number {
    return Math.floor(this.fraction() * below);
  }

  /** `least` <= value <= `most` */
  between(least: number, most: number): number {
    return least + this.integer(most - least + 1);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)] as T;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let index = 0; index < count; index += 4) {
      let word = this.next();
      for (let at = index; at < Math.min(index + 4, count); at++, word >>>= 8) bytes[at] = word & 0xff;
    }
    return bytes;
  }
}
