/**
 * The entities of a shard that are in memory, by type and key; others are brought in when they are asked for.
 *
 * Invariant: a slot stands under its own reference, and once in the ring, at its `place`. The index has two levels, so
 * that a lookup makes no string: it is done for every command and for every record of a replay.
 */
import { type EntityRef, formatRef } from "../model/ids.ts";
import { LiveTable } from "../std/live-table.ts";
import type { Slot } from "./slot.ts";

/** The slot of an entity that is not in memory, made from its image; undefined if there is none. */
export type Activate = (ref: EntityRef) => Slot | undefined;

export class Slots {
  readonly #byType = new Map<string, LiveTable<Slot>>();
  readonly #activate: Activate | undefined;
  readonly #ring: Slot[] = [];
  #hand = 0;
  #bytes = 0;
  /** Lookups that found the slot in memory, and those that brought it in. */
  hits = 0;
  activations = 0;
  evictions = 0;

  constructor(activate?: Activate) {
    this.#activate = activate;
  }

  get size(): number {
    return this.#ring.length;
  }

  /** Of the slots' images, as far as they are known. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The slot's image would have so many bytes. */
  resize(slot: Slot, imageBytes: number): void {
    if (slot.place !== -1) this.#bytes += imageBytes - slot.imageBytes;
    slot.imageBytes = imageBytes;
  }

  get(ref: EntityRef): Slot | undefined {
    const hot = this.#byType.get(ref.type)?.get(ref.key);
    if (hot !== undefined) {
      hot.used = true;
      this.hits++;
      return hot;
    }
    const cold = this.#activate?.(ref);
    if (cold === undefined) return undefined;
    this.activations++;
    this.add(cold);
    return cold;
  }

  /** Brings a slot in before it is asked for; it is the first to be forgotten again. */
  warm(ref: EntityRef): void {
    const cold = this.peek(ref) === undefined ? this.#activate?.(ref) : undefined;
    if (cold === undefined) return;
    cold.used = false;
    this.add(cold);
  }

  /** Only if it is in memory. */
  peek(ref: EntityRef): Slot | undefined {
    return this.#byType.get(ref.type)?.get(ref.key);
  }

  add(slot: Slot): void {
    const { type, key } = slot.ref;
    let ofType = this.#byType.get(type);
    if (ofType === undefined) {
      ofType = new LiveTable();
      this.#byType.set(type, ofType);
    }
    ofType.set(key, slot);
    slot.place = this.#ring.push(slot) - 1;
    this.#bytes += slot.imageBytes;
  }

  /**
   * Forgets up to `count` slots that `mayGo`, those first that were not used since the hand came by last (CLOCK, Corbato
   * 1968: nearly the least recently used, without a list to keep in order). Two rounds at most.
   */
  evict(count: number, mayGo: (slot: Slot) => boolean): void {
    let left = count;
    for (let looks = 2 * this.#ring.length; left > 0 && looks > 0; looks--) {
      if (this.#hand >= this.#ring.length) this.#hand = 0;
      const slot = this.#ring[this.#hand];
      if (slot === undefined) return;
      if (slot.used || !mayGo(slot)) {
        slot.used = false;
        this.#hand++;
        continue;
      }
      this.#remove(slot);
      left--;
    }
  }

  #remove(slot: Slot): void {
    this.evictions++;
    this.#byType.get(slot.ref.type)?.delete(slot.ref.key);
    this.#bytes -= slot.imageBytes;
    const last = this.#ring.pop() as Slot;
    if (last !== slot) {
      this.#ring[slot.place] = last;
      last.place = slot.place;
    }
    slot.place = -1;
  }

  values(): readonly Slot[] {
    return this.#ring;
  }

  /** Pairs of the written reference and the slot. */
  *[Symbol.iterator](): IterableIterator<[string, Slot]> {
    for (const slot of this.#ring) yield [formatRef(slot.ref), slot];
  }
}
