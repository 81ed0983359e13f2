/**
 * Names in the order of a number each has, the highest first; equal numbers by name.
 *
 * Invariant: `first(n)` is what sorting everything would give. A few changes are put in their places; after many the order is
 * made again when somebody asks, so that a thousand changes that nobody looks at cost a thousand map entries.
 */

interface Place {
  readonly name: string;
  readonly value: number;
}

/** Changes since somebody asked, above which the order is made again: placing one among 100,000 costs 20 µs, sorting them 60 ms. */
const placedMax = 256;

export class Ranking {
  readonly #values = new Map<string, number>();
  #places: Place[] = [];
  /** Names whose place in `#places` is not the one they should have, with the value they are placed by. */
  readonly #moved = new Map<string, number | undefined>();
  #stale = false;

  get size(): number {
    return this.#values.size;
  }

  /** A value that is no number puts the name last. */
  set(name: string, value: number): void {
    const held = Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
    const before = this.#values.get(name);
    if (before === held) return;
    this.#values.set(name, held);
    this.#note(name, before);
  }

  delete(name: string): void {
    const before = this.#values.get(name);
    if (before === undefined) return;
    this.#values.delete(name);
    this.#note(name, before);
  }

  /** The names that come first. */
  first(count: number): string[] {
    this.#settle();
    return this.#places.slice(0, count).map(({ name }) => name);
  }

  #note(name: string, before: number | undefined): void {
    if (this.#stale) return;
    if (!this.#moved.has(name)) this.#moved.set(name, before);
    if (this.#moved.size <= placedMax) return;
    this.#stale = true;
    this.#moved.clear();
  }

  #settle(): void {
    if (this.#stale) {
      this.#places = [...this.#values].map(([name, value]) => ({ name, value }));
      this.#places.sort(compare);
      this.#stale = false;
      return;
    }
    for (const [name, placed] of this.#moved) {
      if (placed !== undefined) this.#places.splice(this.#find({ name, value: placed }), 1);
      const value = this.#values.get(name);
      if (value === undefined) continue;
      const place = { name, value };
      this.#places.splice(this.#find(place), 0, place);
    }
    this.#moved.clear();
  }

  /** Where the place is, or would be. */
  #find(place: Place): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(this.#places[middle] as Place, place) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compare(left: Place, right: Place): number {
  if (left.value !== right.value) return left.value > right.value ? -1 : 1;
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}
