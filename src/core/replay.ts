/**
 * Evolves an owner by a record of its log, while it recovers.
 *
 * Invariant: replaying records 1 .. n gives the same slots, dedup table and timers as having decided them.
 */
import { assert, HoldfastError } from "../model/errors.ts";
import { formatRef, type Offset } from "../model/ids.ts";
import type { EventBody, LogRecord, StepRecord } from "../model/records.ts";
import { armTimers } from "./alarms.ts";
import { rememberOutcome, rememberRequest, settleRequests } from "./dedup.ts";
import { noteChange } from "./image.ts";
import type { Owner } from "./owner-state.ts";
import { applyRecord, evolveSlot, makeSlot, type Slot, upcastEvent } from "./slot.ts";

/**
 * @throws `unknown-event` the code does not know an entity type or event of the record
 * @throws `evolve-failed` the author's evolve or upcast threw
 */
export function replayRecord(owner: Owner, at: Offset, record: LogRecord): void {
  assert(owner.phase === "recovering", "only a recovering owner replays");
  assert(at === owner.tail, "records are replayed in order, without a gap");
  owner.timeMs = Math.max(owner.timeMs, record.time);
  if (record.kind === "claim") {
    assert(record.epoch > owner.epoch, "epochs in a log only grow");
    owner.epoch = record.epoch;
  } else {
    replayStep(owner, at, record);
  }
  owner.tail = owner.cut = owner.durable = at + 1;
  if (owner.tail === owner.replay.tail) settleRequests(owner.dedup);
}

function replayStep(owner: Owner, at: Offset, record: StepRecord): void {
  const slot = slotFor(owner, record);
  // An image may contain records that come after the offset its shard's image was made at.
  const contained = slot !== undefined && at <= slot.touched;
  if (slot !== undefined && !contained) {
    if (record.events.length > 0) evolve(slot, record.events);
    applyRecord(slot, record, at);
    if (record.timers.length > 0) armTimers(owner, slot, record.timers, at);
    noteChange(owner, slot);
  }
  if (record.cause.kind === "request")
    rememberStep(owner, at, record, record.cause.idBytes, contained ? at : (slot?.version ?? 0));
}

/** Ids past their window are refused before anybody looks, and only the last outcomes would be kept: spare the rest. */
function rememberStep(owner: Owner, at: Offset, record: StepRecord, id: Uint8Array, version: Offset): void {
  const { dedup, replay, limits } = owner;
  if (record.time < replay.nowMs - limits.dedupWindowMs - 2 * limits.requestIdFutureMs) return;
  rememberRequest(dedup, id, at, record.time);
  if (at < replay.tail - limits.outcomesPerShardMax) return;
  rememberOutcome(dedup, at, { entity: record.entity, command: record.command, outcome: record.outcome, version }, 64);
}

/** A rejection of an entity that does not exist leaves no slot. */
function slotFor(owner: Owner, record: StepRecord): Slot | undefined {
  const known = owner.slots.get(record.entity);
  if (known !== undefined || !bringsIntoBeing(record)) return known;
  const definition = owner.definitions.get(record.entity.type);
  if (definition === undefined) {
    throw new HoldfastError(
      "unknown-event",
      `The log holds entity type "${record.entity.type}", which this service does not define. Deploy the code that wrote it.`,
    );
  }
  const slot = makeSlot(record.entity, definition);
  owner.slots.add(slot);
  return slot;
}

/** True if an entity exists because of this record. */
export function bringsIntoBeing(record: StepRecord): boolean {
  return (
    record.events.length > 0 || record.sends.length > 0 || record.timers.length > 0 || record.cause.kind === "send"
  );
}

function evolve(slot: Slot, events: readonly EventBody[]): void {
  let event: EventBody | undefined;
  try {
    for (event of events) evolveSlot(slot, [upcastEvent(slot.definition, event)]);
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause;
    throw new HoldfastError("evolve-failed", `Event "${event?.name}" of ${formatRef(slot.ref)} could not be evolved.`, {
      cause,
    });
  }
}
