/**
 * A map for entries that come and go all the time, by string or number.
 *
 * A `Map` of strings is a trap there: V8 replaces its table every few hundred insertions, and a dead table that has
 * reached the old generation keeps all its successors, with everything they held, until the next full collection. Scavenges
 * then copy what is dead (measured on a client with 64 calls in flight: 20 MB and 15 ms a scavenge). This one has one
 * table that it writes over: open addressing with linear probing, at most half full.
 *
 * Invariants: a removed entry is not kept alive; the table holds at most four times the entries it held at most.
 */

type Key = string | number;

const slotsMin = 64;

export class LiveTable<Value> {
  #keys: (Key | undefined)[] = new Array<Key | undefined>(slotsMin).fill(undefined);
  #values: (Value | undefined)[] = new Array<Value | undefined>(slotsMin).fill(undefined);
  #mask = slotsMin - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(key: Key): boolean {
    return this.#keys[this.#find(key)] !== undefined;
  }

  get(key: Key): Value | undefined {
    return this.#values[this.#find(key)];
  }

  set(key: Key, value: Value): void {
    let slot = this.#find(key);
    if (this.#keys[slot] === undefined) {
      if (++this.#size * 2 > this.#keys.length) {
        this.#grow();
        slot = this.#find(key);
      }
      this.#keys[slot] = key;
    }
    this.#values[slot] = value;
  }

  /** @returns whether it was there */
  delete(key: Key): boolean {
    const slot = this.#find(key);
    if (this.#keys[slot] === undefined) return false;
    this.#size--;
    this.#closeGap(slot);
    return true;
  }

  /** The keys there are now, in no order. */
  keys(): Key[] {
    return this.#keys.filter((key) => key !== undefined);
  }

  clear(): void {
    this.#keys.fill(undefined);
    this.#values.fill(undefined);
    this.#size = 0;
  }

  /** Slot of the key, or the free one where it would go. */
  #find(key: Key): number {
    const keys = this.#keys;
    let slot = hashOf(key) & this.#mask;
    for (let found = keys[slot]; found !== undefined && found !== key; found = keys[slot])
      slot = (slot + 1) & this.#mask;
    return slot;
  }

  /** Moves what was displaced by the entry at `gap` back, so that every search still ends (Knuth 6.4, algorithm R). */
  #closeGap(gap: number): void {
    const keys = this.#keys;
    const mask = this.#mask;
    for (let slot = (gap + 1) & mask; ; slot = (slot + 1) & mask) {
      const key = keys[slot];
      if (key === undefined) break;
      const home = hashOf(key) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      keys[gap] = key;
      this.#values[gap] = this.#values[slot];
      gap = slot;
    }
    keys[gap] = undefined;
    this.#values[gap] = undefined;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Array<Key | undefined>(keys.length * 2).fill(undefined);
    this.#values = new Array<Value | undefined>(keys.length * 2).fill(undefined);
    this.#mask = this.#keys.length - 1;
    for (const [index, key] of keys.entries()) {
      if (key === undefined) continue;
      const slot = this.#find(key);
      this.#keys[slot] = key;
      this.#values[slot] = values[index];
    }
  }
}

/** FNV-1a over UTF-16 units, the high bits folded in. Tables are small and bounded: collisions on purpose cost little. */
function hashOf(key: Key): number {
  if (typeof key === "number") return Math.imul(key, 0x9e3779b1) >>> 15;
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return hash ^ (hash >>> 15);
}
