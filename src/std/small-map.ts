/**
 * A map that is empty most of the time: it costs one word until something is put in.
 *
 * An empty `Map` takes about 200 bytes; a node holds several for each of its entities, and collections copy them.
 * Invariant: it answers what a `Map` with the same entries answers, in the order of their insertion.
 */
export class SmallMap<Key, Value> {
  #entries: Map<Key, Value> | undefined;

  get size(): number {
    return this.#entries === undefined ? 0 : this.#entries.size;
  }

  has(key: Key): boolean {
    return this.#entries !== undefined && this.#entries.has(key);
  }

  get(key: Key): Value | undefined {
    return this.#entries === undefined ? undefined : this.#entries.get(key);
  }

  set(key: Key, value: Value): void {
    this.#entries ??= new Map();
    this.#entries.set(key, value);
  }

  /** @returns whether it was there */
  delete(key: Key): boolean {
    return this.#entries !== undefined && this.#entries.delete(key);
  }

  values(): Iterable<Value> {
    return this.#entries === undefined ? nothing : this.#entries.values();
  }

  [Symbol.iterator](): Iterator<[Key, Value]> {
    return this.#entries === undefined ? none() : this.#entries[Symbol.iterator]();
  }
}

const nothing: readonly never[] = [];

function none(): Iterator<never> {
  return nothing[Symbol.iterator]();
}
