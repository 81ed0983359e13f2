/**
 * One entity in memory: its state and everything about it that the log implies (timers, sends under way, sends received, calls).
 *
 * Invariant: a slot is a function of the entity's records up to `touched`, and of nothing else. `applyRecord` is the only
 * place that changes it, for a fresh decision and for a replay alike.
 */

import type { EntityDefinition, EventDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, type Offset } from "../model/ids.ts";
import type { Park } from "../model/marks.ts";
import type { EventBody, Outcome, SendBody, StepRecord } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { Queue } from "../std/queue.ts";
import { SmallMap } from "../std/small-map.ts";
import { applyCalls, type Call } from "./call-state.ts";

export interface Timer {
  readonly name: string;
  readonly dueMs: number;
  /** Offset of the record that set it; tells this setting from an earlier one of the same name. */
  readonly setAt: Offset;
  readonly command: string;
  readonly input: Plain;
}

/** Sends from this entity to one other. Delivered one by one: the next leaves when the one before is settled durably. */
export interface Outbox {
  readonly to: EntityRef;
  sequence: number;
  readonly queue: Queue<{ readonly send: SendBody; readonly at: Offset }>;
  /** The first of the queue was handed to the runtime and not heard of since. */
  underway: boolean;
  failures: number;
  /** How often in a row the reply command of its first send threw. */
  throws: number;
}

/** The last send received from one other entity. Earlier ones are settled, later ones were not sent yet. */
export interface Inbox {
  readonly sequence: number;
  readonly outcome: Outcome;
  readonly at: Offset;
}

/** An entity that takes no commands until an operator resumes it. */
export interface Parked {
  /** Offset of its mark; 0 until it has one. */
  at: Offset;
  sinceMs: number;
  readonly park: Park;
  /** The slot's state is the last good one. False from the moment an evolve threw until it was rebuilt from the log. */
  good: boolean;
  /** The last good state rests on the records below this offset. */
  readonly below: Offset;
  /** This code cannot evolve the record `park.poison`, and no operator has dealt with it. */
  stuck: boolean;
  /** The version by the log, which a stuck entity's state has not. */
  version: Offset;
}

export interface Slot {
  readonly ref: EntityRef;
  readonly definition: EntityDefinition;
  state: unknown;
  /** Offset of the last record with events; 0 before the first. */
  version: Offset;
  /** Offset of the last record of any kind. */
  touched: Offset;
  /** Records of this entity that are decided and not durable. */
  waiting: number;
  outboxSize: number;
  parked: Parked | undefined;
  /** Bytes of the state when it was measured last, of events since, and when to measure again. See `state-size.ts`. */
  stateBytes: number;
  grownBytes: number;
  /** Size of its image when it was encoded or decoded last, and of the events since: what it costs to have it in memory. */
  imageBytes: number;
  readonly timers: SmallMap<string, Timer>;
  readonly outbox: SmallMap<string, Outbox>;
  readonly inbox: SmallMap<string, Inbox>;
  /** Calls that are not settled. */
  readonly calls: SmallMap<string, Call>;

  /** Offset up to which a store has the slot's records; 0 if it has no image. */
  stored: Offset;
  /** Stands in the owner's queue of slots to be imaged. */
  dirty: boolean;
  /** Was looked up since the last round of evictions. */
  used: boolean;
  /** Index among the slots in memory. */
  place: number;
}

export function makeSlot(ref: EntityRef, definition: EntityDefinition): Slot {
  return {
    ref,
    definition,
    state: definition.state(ref.key),
    version: 0,
    touched: 0,
    waiting: 0,
    outboxSize: 0,
    parked: undefined,
    stateBytes: -1,
    grownBytes: 0,
    imageBytes: 0,
    timers: new SmallMap(),
    outbox: new SmallMap(),
    inbox: new SmallMap(),
    calls: new SmallMap(),
    stored: 0,
    dirty: false,
    used: true,
    place: -1,
  };
}

/** Asked after a step: it may have parked the entity. */
export function isParked(slot: Slot): boolean {
  return slot.parked !== undefined;
}

/** Evolves the state by events that are in their current shape. */
export function evolveSlot(slot: Slot, events: readonly EventBody[]): void {
  for (const event of events) {
    slot.definition.events.get(event.name)?.evolve(slot.state, event.payload);
  }
}

/** Everything a record says beside its events. `at` is the record's offset. */
export function applyRecord(slot: Slot, record: StepRecord, at: Offset): void {
  const { cause } = record;
  slot.touched = at;
  if (record.events.length > 0) slot.version = at;
  if (cause.kind === "timer") {
    if (slot.timers.get(cause.name)?.setAt === cause.setAt) slot.timers.delete(cause.name);
  } else if (cause.kind === "send") {
    slot.inbox.set(formatRef(cause.from), { sequence: cause.sequence, outcome: record.outcome, at });
  } else if (cause.kind === "settled") {
    const outbox = slot.outbox.get(formatRef(cause.to));
    if (outbox?.queue.peek()?.send.sequence === cause.sequence) {
      outbox.queue.shift();
      outbox.underway = false;
      outbox.failures = outbox.throws = 0;
      slot.outboxSize--;
    }
  }
  for (const change of record.timers) {
    if (change.dueMs === null) slot.timers.delete(change.name);
    else slot.timers.set(change.name, { ...change, setAt: at });
  }
  for (const send of record.sends) {
    outboxTo(slot, send.to).queue.push({ send, at });
    slot.outboxSize++;
    outboxTo(slot, send.to).sequence = send.sequence;
  }
  applyCalls(slot.calls, record, at);
}

export function outboxTo(slot: Slot, to: EntityRef): Outbox {
  const name = formatRef(to);
  let outbox = slot.outbox.get(name);
  if (outbox === undefined) {
    outbox = { to, sequence: 0, queue: new Queue(), underway: false, failures: 0, throws: 0 };
    slot.outbox.set(name, outbox);
  }
  return outbox;
}

/** @throws `unknown-event` the name, or a version newer than the code's: the shard must not be served by this code */
export function knownEvent(definition: EntityDefinition, event: EventBody): EventDefinition {
  const known = definition.events.get(event.name);
  if (known === undefined || event.version > known.version) {
    throw new HoldfastError(
      "unknown-event",
      `The log holds ${definition.name} event "${event.name}" version ${event.version}; this code knows ${
        known === undefined ? "no such event" : `versions up to ${known.version}`
      }. Deploy the code that wrote it, or add the event back.`,
    );
  }
  return known;
}

/**
 * An event as the present code knows it: payloads of older versions go through their upcasts.
 * @throws `unknown-event` as `knownEvent`
 * @throws `evolve-failed` an upcast threw
 */
export function upcastEvent(definition: EntityDefinition, event: EventBody): EventBody {
  const known = knownEvent(definition, event);
  if (event.version === known.version) return event;
  let payload: unknown = event.payload;
  try {
    for (let version = event.version; version < known.version; version++) payload = known.upcast[version]?.(payload);
  } catch (cause) {
    throw new HoldfastError(
      "evolve-failed",
      `The upcast of ${definition.name} event "${event.name}" from version ${event.version} threw.`,
      { cause },
    );
  }
  return { name: event.name, version: known.version, payload: payload as Plain };
}

/**
 * Evolves a slot by events of the log. If the author's code throws, the state is half of something.
 * @returns what it threw, and at which event
 * @throws `unknown-event` as `knownEvent`
 */
export function evolveStored(
  slot: Slot,
  events: readonly EventBody[],
): { readonly event: EventBody; readonly thrown: unknown } | undefined {
  for (const event of events) {
    try {
      evolveSlot(slot, [upcastEvent(slot.definition, event)]);
    } catch (thrown) {
      checkKnown(slot, events);
      return { event, thrown };
    }
  }
  return undefined;
}

/** @throws `unknown-event` as `knownEvent` */
export function checkKnown(slot: Slot, events: readonly EventBody[]): void {
  for (const event of events) knownEvent(slot.definition, event);
}
