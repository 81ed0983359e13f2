/**
 * Evolves entities by their records, one by one, as a recovery would, but without an owner: nothing is served from here.
 *
 * Invariant: a slot after `replay` is what an owner's slot is after the same records, unless it is `broken`.
 */
import { ownTypes } from "../core/changefeed/own-types.ts";
import { apart, slotFrom } from "../core/image.ts";
import type { Apart } from "../core/owner-state.ts";
import { applyMark, parkAtReplay } from "../core/quarantine.ts";
import { bringsIntoBeing } from "../core/replay.ts";
import { applyRecord, checkKnown, evolveStored, makeSlot, type Slot } from "../core/slot.ts";
import { Slots } from "../core/slots.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { formatRef, isOwnType, type Offset } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { EntityRef, EventBody, StepRecord } from "../model/records.ts";
import type { Definitions, Start } from "./source.ts";

/** With those of Holdfast's own types, which may be in any log. */
export function indexDefinitions(entities: Iterable<EntityDefinition>): Definitions {
  return new Map([...ownTypes, ...entities].map((entity) => [entity.name, entity]));
}

/** @throws `unknown-type` the service has no such entity type */
export function definitionOf(definitions: Definitions, type: string): EntityDefinition {
  const definition = definitions.get(type);
  if (definition !== undefined) return definition;
  const known = [...definitions.keys()].filter((name) => !isOwnType(name)).join(", ");
  throw new HoldfastError("unknown-type", `The service has no entity type "${type}"; it has: ${known || "none"}.`);
}

/** A state that is half of something, because the code cannot evolve the record at this offset. */
export interface Broken {
  readonly at: Offset;
  readonly error: HoldfastError;
}

/** Slots of the past of one shard. */
export class PastSlots {
  readonly #slots = new Slots();
  readonly #definitions: Definitions;
  readonly #apart: Apart = { parked: new Set(), calling: new Set() };
  readonly #broken = new Map<Slot, Broken>();
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
    this.#add(slotFrom(apart(image), definitionOfRecord(this.#definitions, image.entity, image.touched)));
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

  /** What could not be evolved, unless an operator has dealt with it later: as of the record that was replayed last. */
  get broken(): ReadonlyMap<Slot, Broken> {
    return this.#broken;
  }

  /**
   * Takes a record of an entity. One that the code cannot evolve makes its entity `broken`.
   * @throws `unknown-event` the code does not know the type or the event
   */
  replay(at: Offset, record: StepRecord | MarkRecord): void {
    if (record.kind === "mark" && record.verb === "erase") return;
    let slot = this.#slots.get(record.entity);
    if (slot === undefined) {
      if (record.kind === "step" && !bringsIntoBeing(record)) return;
      slot = this.#add(makeSlot(record.entity, definitionOfRecord(this.#definitions, record.entity, at)));
    }
    if (at <= slot.touched) return; // an image that is newer than its shard's start contains it already
    if (record.kind === "step") this.#replayStep(slot, at, record);
    else applyMark(this.#apart, slot, record, at);
    if (slot.parked?.stuck !== true) this.#broken.delete(slot);
  }

  #replayStep(slot: Slot, at: Offset, record: StepRecord): void {
    const { version } = slot;
    if (slot.parked?.stuck === true) checkKnown(slot, record.events);
    else {
      const failed = evolveStored(slot, record.events);
      if (failed !== undefined) {
        parkAtReplay(this.#apart, slot, at, record, failed.thrown);
        this.#broken.set(slot, { at, error: evolveFailed(slot, at, failed) });
      }
    }
    applyRecord(slot, record, at);
    if (slot.parked?.stuck === true) slot.version = version;
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

function evolveFailed(slot: Slot, at: Offset, { event, thrown }: { event: EventBody; thrown: unknown }): HoldfastError {
  if (thrown instanceof HoldfastError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new HoldfastError(
    "evolve-failed",
    `Offset ${at}: event "${event.name}" version ${event.version} of ${formatRef(slot.ref)} could not be evolved: ${why}`,
    { cause: thrown, details: { offset: at, event: event.name } },
  );
}
