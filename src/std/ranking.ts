/**
 * Names in the order of a number each has, the highest first; equal numbers by name.
 *
 * Invariant: `first(n)` is what sorting everything would give. What changed is put in its place when somebody asks: few changes
 * one by one, many of them by one merge, so that changes that nobody looks at cost a map entry each.
 */
import { sortInSlices } from "./sort-in-slices.ts";

interface Place {
  readonly name: string;
  readonly value: number;
}

/** Changes above which one merge is cheaper: a merge of 100,000 takes 5 ms, a place among them 40 us. */
const placedMax = 64;
/** Places that are sorted between two turns. */
const slice = 4_096;

export class Ranking {
  readonly #values = new Map<string, number>();
  #places: Place[] = [];
  /** Names whose place in `#places` is not the one they should have, with the value they are placed by. */
  readonly #moved = new Map<string, number | undefined>();

  get size(): number {
    return this.#values.size;
  }

  /** A value that is no number puts the name last. */
  set(name: string, value: number): void {
    const held = Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
    const before = this.#values.get(name);
    if (before === held) return;
    this.#values.set(name, held);
    if (!this.#moved.has(name)) this.#moved.set(name, before);
  }

  delete(name: string): void {
    const before = this.#values.get(name);
    if (before === undefined) return;
    this.#values.delete(name);
    if (!this.#moved.has(name)) this.#moved.set(name, before);
  }

  /** Sorts everything in slices, so that the first `first` need not do it at once. Meanwhile nothing may be set. */
  *prepare(): Generator<void, void> {
    this.#moved.clear();
    this.#places = yield* sortInSlices(placesOf(this.#values), slice, compare);
  }

  /** The names that come first. */
  first(count: number): string[] {
    if (this.#moved.size > placedMax) this.#merge();
    else for (const [name, placed] of this.#moved) this.#place(name, placed);
    this.#moved.clear();
    return this.#places.slice(0, count).map(({ name }) => name);
  }

  #place(name: string, placed: number | undefined): void {
    if (placed !== undefined) this.#places.splice(this.#find({ name, value: placed }), 1);
    const value = this.#values.get(name);
    if (value === undefined) return;
    const place = { name, value };
    this.#places.splice(this.#find(place), 0, place);
  }

  #merge(): void {
    const added: Place[] = [];
    for (const name of this.#moved.keys()) {
      const value = this.#values.get(name);
      if (value !== undefined) added.push({ name, value });
    }
    added.sort(compare);
    const merged: Place[] = [];
    let next = 0;
    for (const place of this.#places) {
      if (this.#moved.has(place.name)) continue;
      while (next < added.length && compare(added[next] as Place, place) < 0) merged.push(added[next++] as Place);
      merged.push(place);
    }
    while (next < added.length) merged.push(added[next++] as Place);
    this.#places = merged;
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

function* placesOf(values: ReadonlyMap<string, number>): Generator<Place> {
  for (const [name, value] of values) yield { name, value };
}

function compare(left: Place, right: Place): number {
  if (left.value !== right.value) return left.value > right.value ? -1 : 1;
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}
