/**
 * The entities of a shard that are in memory, by type and key.
 *
 * Invariant: a slot stands under its own reference. Two levels, so that a lookup makes no string: it is done for every
 * command and for every record of a replay.
 */
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { Slot } from "./slot.ts";

export class Slots {
  readonly #byType = new Map<string, Map<string, Slot>>();

  get(ref: EntityRef): Slot | undefined {
    return this.#byType.get(ref.type)?.get(ref.key);
  }

  add(slot: Slot): void {
    const { type, key } = slot.ref;
    const ofType = this.#byType.get(type);
    if (ofType === undefined) this.#byType.set(type, new Map([[key, slot]]));
    else ofType.set(key, slot);
  }

  *values(): IterableIterator<Slot> {
    for (const ofType of this.#byType.values()) yield* ofType.values();
  }

  /** Pairs of the written reference and the slot. */
  *[Symbol.iterator](): IterableIterator<[string, Slot]> {
    for (const slot of this.values()) yield [formatRef(slot.ref), slot];
  }
}
