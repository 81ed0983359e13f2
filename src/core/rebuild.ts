/**
 * Makes the state of one entity anew from the records of its shard, beside the owner: the owner goes on serving.
 *
 * Invariant: it evolves what a replay evolves, in the same order, by the same functions, from the same image if there is
 * one. So what it makes is the state that every other replay of these records comes to.
 */
import type { EntityDefinition } from "../model/entity.ts";
import type { Offset } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { LogRecord } from "../model/records.ts";
import { copyPlain } from "../std/plain.ts";
import type { Built, RebuildOrder } from "./effects.ts";
import { evolveStored, makeSlot, type Slot } from "./slot.ts";

/** Times that a skip starts over, each with one more record left out. */
const leftMax = 16;
const whole = { depthMax: 256, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };

export class Rebuild {
  readonly order: RebuildOrder;
  readonly #definition: EntityDefinition;
  readonly #left = new Set<Offset>();
  /** What it begins with, if that does not contain what is to be left out. */
  readonly #image: EntityImage | undefined;
  #slot: Slot;
  /** The record that could not be evolved, unless a later mark made the state good again. */
  #broken: Offset = 0;

  constructor(order: RebuildOrder, definition: EntityDefinition) {
    this.order = order;
    this.#definition = definition;
    const { from, without = order.below } = order;
    this.#image = from !== undefined && from.touched < Math.min(order.below, without) ? from : undefined;
    this.#slot = this.#begin();
    if (order.without !== undefined) this.#left.add(order.without);
  }

  /** The first record that it needs. */
  get start(): Offset {
    return this.#image === undefined ? 1 : this.#image.touched + 1;
  }

  /** An image has what the log may have no longer, and it is none to begin with. */
  get needsWholeLog(): boolean {
    return this.#image === undefined && this.order.from !== undefined;
  }

  #begin(): Slot {
    const image = this.#image;
    const slot = makeSlot(this.order.entity, this.#definition);
    if (image === undefined) return slot;
    slot.state = copyPlain(image.state, whole).value;
    slot.version = image.version;
    return slot;
  }

  /** Takes the shard's records in order. @throws `unknown-event` */
  feed(at: Offset, record: LogRecord): void {
    if (record.kind === "claim" || at >= this.order.below || at < this.start) return;
    const { type, key } = this.order.entity;
    if (record.entity.key !== key || record.entity.type !== type) return;
    const slot = this.#slot;
    if (record.kind === "mark") {
      if (record.state === null) return;
      slot.state = copyPlain(record.state.value, whole).value;
      slot.version = at;
      this.#broken = 0;
    } else if (record.events.length > 0 && this.#broken === 0 && !this.#left.has(at)) {
      slot.version = at;
      if (evolveStored(slot, record.events) !== undefined) this.#broken = at;
    }
  }

  /** After the last record. @returns what came of it, or `again` if the records are to be fed once more */
  end(): Built | "again" | undefined {
    if (this.#broken === 0) return { state: this.#slot.state, version: this.#slot.version, left: [...this.#left] };
    if (this.order.without === undefined || this.#left.size >= leftMax) return undefined;
    this.#left.add(this.#broken);
    this.#slot = this.#begin();
    this.#broken = 0;
    return "again";
  }
}
