/**
 * Evolves entities by their records, one by one, as a recovery would, but without an owner: nothing is served from here.
 *
 * Invariant: a slot after `replayStep` is what an owner's slot is after the same records.
 */
import { bringsIntoBeing } from "../core/replay.ts";
import { applyRecord, evolveSlot, makeSlot, type Slot, upcastEvent } from "../core/slot.ts";
import { Slots } from "../core/slots.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { formatRef, type Offset } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { EntityRef, StepRecord } from "../model/records.ts";
import { slotOfImage } from "./images.ts";
import type { Start } from "./source.ts";

export type Definitions = ReadonlyMap<string, EntityDefinition>;

export function indexDefinitions(entities: Iterable<EntityDefinition>): Definitions {
  return new Map([...entities].map((entity) => [entity.name, entity]));
}

/** @throws `unknown-type` the service has no such entity type */
export function definitionOf(definitions: Definitions, type: string): EntityDefinition {
  const definition = definitions.get(type);
  if (definition !== undefined) return definition;
  const known = [...definitions.keys()].join(", ");
  throw new HoldfastError("unknown-type", `The service has no entity type "${type}"; it has: ${known || "none"}.`);
}

/** Slots of the past of one shard. */
export class PastSlots {
  readonly #slots = new Slots();
  readonly #definitions: Definitions;
  #size = 0;

  constructor(definitions: Definitions) {
    this.#definitions = definitions;
  }

  get size(): number {
    return this.#size;
  }

  /** Takes in what stands for the records before a start; of one entity only, if one is given. */
  async load(start: Start, only?: EntityRef): Promise<void> {
    if (only === undefined) {
      for await (const image of start.entities()) this.#load(image);
      return;
    }
    const image = await start.entity(formatRef(only));
    if (image !== undefined) this.#load(image);
  }

  #load(image: EntityImage): void {
    this.#add(slotOfImage(image, definitionOfRecord(this.#definitions, image.entity, image.touched)));
  }

  #add(slot: Slot): Slot {
    this.#slots.add(slot);
    this.#size++;
    return slot;
  }

  get(entity: EntityRef): Slot | undefined {
    return this.#slots.get(entity);
  }

  values(): Iterable<Slot> {
    return this.#slots.values();
  }

  /**
   * @throws `unknown-event` the code does not know the type or the event
   * @throws `evolve-failed` the author's evolve or upcast threw; the slot is not to be used any more
   */
  replayStep(at: Offset, record: StepRecord): void {
    let slot = this.#slots.get(record.entity);
    if (slot === undefined) {
      if (!bringsIntoBeing(record)) return;
      slot = this.#add(makeSlot(record.entity, definitionOfRecord(this.#definitions, record.entity, at)));
    }
    if (at <= slot.touched) return; // an image that is newer than its shard's start contains it already
    evolve(slot, at, record);
    applyRecord(slot, record, at);
  }
}

function definitionOfRecord(definitions: Definitions, { type }: EntityRef, at: Offset): EntityDefinition {
  const definition = definitions.get(type);
  if (definition !== undefined) return definition;
  throw new HoldfastError(
    "unknown-event",
    `Offset ${at}: the log holds entity type "${type}", which this service does not define. Deploy the code that wrote it.`,
    { details: { type, offset: at } },
  );
}

function evolve(slot: Slot, at: Offset, record: StepRecord): void {
  for (const event of record.events) {
    try {
      evolveSlot(slot, [upcastEvent(slot.definition, event)]);
    } catch (cause) {
      if (cause instanceof HoldfastError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new HoldfastError(
        "evolve-failed",
        `Offset ${at}: event "${event.name}" version ${event.version} of ${formatRef(slot.ref)} could not be evolved: ${why}`,
        { cause, details: { offset: at, event: event.name } },
      );
    }
  }
}
