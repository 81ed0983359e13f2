/**
 * A map from 128-bit ids to numbers in typed arrays: 24 bytes a slot, nothing for the garbage collector to visit.
 * Open addressing with linear probing, at most half full; entries cannot be removed one by one, a table is dropped whole.
 *
 * Invariant: `get` finds exactly what was put, whatever ids an adversary chooses: the hash is keyed by `seed`.
 */

const idWords = 4;
const slotsMin = 64;
/** Small tables grow faster: moving entries is what growing costs. */
const slotsSmall = 65_536;

export class IdTable {
  #words: Uint32Array;
  #values: Float64Array;
  #mask: number;
  #size = 0;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed | 1;
    this.#words = new Uint32Array(slotsMin * idWords);
    this.#values = new Float64Array(slotsMin);
    this.#mask = slotsMin - 1;
  }

  get size(): number {
    return this.#size;
  }

  /** Value of the id whose four words stand in `id`, or 0. */
  get(id: Uint32Array): number {
    return this.#values[this.#find(id)] as number;
  }

  /** @param value any number but 0 */
  set(id: Uint32Array, value: number): void {
    if (this.#size * 2 >= this.#values.length) this.#grow();
    const slot = this.#find(id);
    if (this.#values[slot] === 0) {
      this.#size++;
      this.#words.set(id, slot * idWords);
    }
    this.#values[slot] = value;
  }

  #find(id: Uint32Array): number {
    const [a, b, c, d] = id as unknown as [number, number, number, number];
    let hash = Math.imul(a ^ this.#seed, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ b, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13) ^ c, 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 16) ^ d, 0x9e3779b1);
    let slot = (hash ^ (hash >>> 15)) & this.#mask;
    const words = this.#words;
    for (; this.#values[slot] !== 0; slot = (slot + 1) & this.#mask) {
      const at = slot * idWords;
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) break;
    }
    return slot;
  }

  #grow(): void {
    const words = this.#words;
    const values = this.#values;
    const factor = values.length < slotsSmall ? 4 : 2;
    this.#words = new Uint32Array(words.length * factor);
    this.#values = new Float64Array(values.length * factor);
    this.#mask = this.#values.length - 1;
    for (let slot = 0; slot < values.length; slot++) {
      const value = values[slot] as number;
      if (value === 0) continue;
      const id = words.subarray(slot * idWords, slot * idWords + idWords);
      const place = this.#find(id);
      this.#words.set(id, place * idWords);
      this.#values[place] = value;
    }
  }
}
