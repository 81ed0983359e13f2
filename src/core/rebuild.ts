/**
 * Makes the state of one entity anew from the records of its shard, beside the owner: the owner goes on serving.
 *
 * Invariant: it evolves what a replay evolves, in the same order, by the same functions. So what it makes is the state
 * that every other replay of these records comes to.
 */
import type { EntityDefinition } from "../model/entity.ts";
import type { Offset } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import { copyPlain } from "../std/plain.ts";
import type { Built, RebuildOrder } from "./effects.ts";
import { evolveStored, makeSlot, type Slot } from "./slot.ts";

/** Times that a skip starts over, each with one more record left out. */
const leftMax = 16;

export class Rebuild {
  readonly order: RebuildOrder;
  readonly #definition: EntityDefinition;
  readonly #left = new Set<Offset>();
  #slot: Slot;
  /** The record that could not be evolved, unless a later mark made the state good again. */
  #broken: Offset = 0;

  constructor(order: RebuildOrder, definition: EntityDefinition) {
    this.order = order;
    this.#definition = definition;
    this.#slot = makeSlot(order.entity, definition);
    if (order.without !== undefined) this.#left.add(order.without);
  }

  /** Takes the shard's records in order. @throws `unknown-event` */
  feed(at: Offset, record: LogRecord): void {
    if (record.kind === "claim" || at >= this.order.below) return;
    const { type, key } = this.order.entity;
    if (record.entity.key !== key || record.entity.type !== type) return;
    const slot = this.#slot;
    if (record.kind === "mark") {
      if (record.state === null) return;
      slot.state = copyPlain(record.state.value, { depthMax: 256, bytesMax: Number.MAX_SAFE_INTEGER }).value;
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
    this.#slot = makeSlot(this.order.entity, this.#definition);
    this.#broken = 0;
    return "again";
  }
}
