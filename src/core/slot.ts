/**
 * One entity in memory: its state and everything about it that the log implies (timers, sends under way, sends received).
 *
 * Invariant: a slot is a function of the entity's records up to `touched`, and of nothing else. `applyRecord` is the only
 * place that changes it, for a fresh decision and for a replay alike.
 */

import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, type Offset } from "../model/ids.ts";
import type { EventBody, Outcome, SendBody, StepRecord } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { Queue } from "../std/queue.ts";

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
}

/** The last send received from one other entity. Earlier ones are settled, later ones were not sent yet. */
export interface Inbox {
  readonly sequence: number;
  readonly outcome: Outcome;
  readonly at: Offset;
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
  readonly timers: Map<string, Timer>;
  readonly outbox: Map<string, Outbox>;
  readonly inbox: Map<string, Inbox>;

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
    timers: new Map(),
    outbox: new Map(),
    inbox: new Map(),
    stored: 0,
    dirty: false,
    used: true,
    place: -1,
  };
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
      outbox.failures = 0;
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
}

export function outboxTo(slot: Slot, to: EntityRef): Outbox {
  const name = formatRef(to);
  let outbox = slot.outbox.get(name);
  if (outbox === undefined) {
    outbox = { to, sequence: 0, queue: new Queue(), underway: false, failures: 0 };
    slot.outbox.set(name, outbox);
  }
  return outbox;
}

/**
 * An event as the present code knows it: payloads of older versions go through their upcasts.
 * @throws `unknown-event` the name, or a version newer than the code's: the shard must not be served by this code
 * @throws `evolve-failed` an upcast threw
 */
export function upcastEvent(definition: EntityDefinition, event: EventBody): EventBody {
  const known = definition.events.get(event.name);
  if (known === undefined || event.version > known.version) {
    throw new HoldfastError(
      "unknown-event",
      `The log holds ${definition.name} event "${event.name}" version ${event.version}; this code knows ${
        known === undefined ? "no such event" : `versions up to ${known.version}`
      }. Deploy the code that wrote it, or add the event back.`,
    );
  }
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
