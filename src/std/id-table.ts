/**
 * A map from 128-bit ids to numbers in typed arrays, nothing for the garbage collector to visit. Entries stand in the order
 * in which they were put; an index of four bytes a slot, at most half full, finds them. Entries cannot be removed one by
 * one, a table is dropped whole. An entry takes 24 bytes, at most twice that where memory was taken ahead, and 8 to 32
 * bytes of index.
 *
 * Invariants:
 * 1. `get` finds exactly what was put, whatever ids an adversary chooses: the hash is keyed by `seed`.
 * 2. What `ids` and `values` gave never changes.
 * 3. Entries below `indexed` are in the index, each id once. Those from there on were added and are not: to index many at
 *    once is cheaper than one by one between other work, each time in memory that is cold. Only indexed ones are shown.
 */

const idBytes = 16;
const slotsMin = 64;
/** Small tables grow faster: making the index anew is what growing costs. */
const slotsSmall = 65_536;

export class IdTable {
  /** Of all entries, and behind them one free place: an id that is looked up is put there first. */
  #ids: Uint8Array;
  /** The same memory as words. */
  #words: Uint32Array;
  #values: Float64Array;
  /** What `values` gave is the array itself, so far. */
  #valuesShown = false;
  #size = 0;
  #indexed = 0;
  /** Open addressing with linear probing. A slot holds an entry's number from 1, and above it the same bits of its hash. */
  #index: Int32Array;
  #mask: number;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed | 1;
    this.#ids = new Uint8Array((slotsMin / 2 + 1) * idBytes);
    this.#words = new Uint32Array(this.#ids.buffer);
    this.#values = new Float64Array(slotsMin / 2);
    this.#index = new Int32Array(slotsMin);
    this.#mask = slotsMin - 1;
  }

  /** Entries; an id that was added again may be counted twice until something is looked up. */
  get size(): number {
    return this.#size;
  }

  /** Value of the id that begins at `from`, or 0. */
  get(id: Uint8Array, from = 0): number {
    this.index();
    this.#place(id, from);
    const found = this.#index[this.#find(this.#hash(this.#size), this.#size)] as number;
    return found === 0 ? 0 : (this.#values[(found & this.#mask) - 1] as number);
  }

  /** @param value any number but 0 */
  set(id: Uint8Array, value: number, from = 0): void {
    this.add(id, value, from);
    this.index();
  }

  /** The same as `set`, done in full when something is looked up. */
  add(id: Uint8Array, value: number, from = 0): void {
    if (this.#size === this.#values.length) this.#growEntries(this.#size * 2);
    this.#place(id, from);
    this.#values[this.#size++] = value;
  }

  /** Adds many: 16 bytes each in `ids`. */
  addAll(ids: Uint8Array, values: Float64Array): void {
    const size = this.#size + values.length;
    if (size > this.#values.length) this.#growEntries(size);
    this.#ids.set(ids, this.#size * idBytes);
    this.#values.set(values, this.#size);
    this.#size = size;
  }

  /** Brings the index up to the last entry; whatever looks something up does it as well. */
  index(): void {
    const size = this.#size;
    if (this.#indexed === size) return;
    this.#growIndex();
    for (let entry = this.#indexed; entry < size; entry++) {
      const hash = this.#hash(entry);
      const slot = this.#find(hash, entry);
      const found = this.#index[slot] as number;
      if (found !== 0) {
        this.#change((found & this.#mask) - 1, this.#values[entry] as number);
        continue;
      }
      if (entry !== this.#indexed) this.#move(entry, this.#indexed);
      this.#index[slot] = (hash & ~this.#mask) | ++this.#indexed;
    }
    this.#size = this.#indexed;
  }

  /** All ids, 16 bytes each, in the order in which they were put. A view, no copy. */
  ids(): Uint8Array {
    this.index();
    return this.#ids.subarray(0, this.#size * idBytes);
  }

  /** Their values. A view, no copy. */
  values(): Float64Array {
    this.index();
    this.#valuesShown = true;
    return this.#values.subarray(0, this.#size);
  }

  #change(entry: number, value: number): void {
    if (this.#values[entry] === value) return;
    if (this.#valuesShown) this.#values = this.#values.slice();
    this.#valuesShown = false;
    this.#values[entry] = value;
  }

  #move(from: number, to: number): void {
    this.#ids.copyWithin(to * idBytes, from * idBytes, (from + 1) * idBytes);
    this.#values[to] = this.#values[from] as number;
  }

  /** Puts an id into the free place. */
  #place(id: Uint8Array, from: number): void {
    const ids = this.#ids;
    const at = this.#size * idBytes;
    // one by one: for sixteen bytes a copy in one call costs more
    for (let index = 0; index < idBytes; index++) ids[at + index] = id[from + index] as number;
  }

  #hash(entry: number): number {
    const words = this.#words;
    const at = entry * 4;
    let hash = Math.imul((words[at] as number) ^ this.#seed, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ (words[at + 1] as number), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13) ^ (words[at + 2] as number), 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 16) ^ (words[at + 3] as number), 0x9e3779b1);
    return hash ^ (hash >>> 15);
  }

  /** Slot of the id that stands at `entry`, or the empty one where it belongs. */
  #find(hash: number, entry: number): number {
    const index = this.#index;
    const mask = this.#mask;
    let slot = hash & mask;
    for (; ; slot = (slot + 1) & mask) {
      const found = index[slot] as number;
      if (found === 0) return slot;
      if (((found ^ hash) & ~mask) === 0 && this.#same((found & mask) - 1, entry)) return slot;
    }
  }

  #same(one: number, other: number): boolean {
    const words = this.#words;
    for (let word = 0; word < 4; word++) if (words[one * 4 + word] !== words[other * 4 + word]) return false;
    return true;
  }

  #growEntries(count: number): void {
    const ids = new Uint8Array((count + 1) * idBytes);
    ids.set(this.#ids.subarray(0, this.#size * idBytes));
    this.#ids = ids;
    this.#words = new Uint32Array(ids.buffer);
    const values = new Float64Array(count);
    values.set(this.#values.subarray(0, this.#size));
    this.#values = values;
    this.#valuesShown = false;
  }

  /** Makes room in the index for every entry there is; a larger one is made anew. */
  #growIndex(): void {
    let slots = this.#index.length;
    while (this.#size * 2 > slots) slots *= slots < slotsSmall ? 4 : 2;
    if (slots === this.#index.length) return;
    const mask = slots - 1;
    this.#index = new Int32Array(slots);
    this.#mask = mask;
    for (let entry = 0; entry < this.#indexed; entry++) {
      const hash = this.#hash(entry);
      let slot = hash & mask;
      while (this.#index[slot] !== 0) slot = (slot + 1) & mask;
      this.#index[slot] = (hash & ~mask) | (entry + 1);
    }
  }
}
