/**
 * Evolves an owner by a record of its log, while it recovers.
 *
 * Invariant: replaying records 1 .. n gives the same slots, dedup table and timers as having decided them.
 */
import { assert, HoldfastError } from "../model/errors.ts";
import type { EntityRef, Offset } from "../model/ids.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { Cause, LogRecord, StepRecord } from "../model/records.ts";
import { armTimers } from "./alarms.ts";
import { concernsCalls, trackCalls } from "./call-start.ts";
import { rememberOutcome, rememberRequest, settleRequests } from "./dedup.ts";
import { noteChange } from "./image.ts";
import type { Owner } from "./owner-state.ts";
import { applyMark, parkAtReplay } from "./quarantine.ts";
import { applyRecord, checkKnown, evolveStored, makeSlot, type Slot } from "./slot.ts";

/**
 * @throws `unknown-event` the code does not know an entity type or event of the record
 */
export function replayRecord(owner: Owner, at: Offset, record: LogRecord): void {
  assert(owner.phase === "recovering", "only a recovering owner replays");
  assert(at === owner.tail, "records are replayed in order, without a gap");
  owner.timeMs = Math.max(owner.timeMs, record.time);
  if (record.kind === "claim") {
    assert(record.epoch > owner.epoch, "epochs in a log only grow");
    owner.epoch = record.epoch;
  } else if (record.kind === "step") {
    replayStep(owner, at, record);
  } else {
    replayMark(owner, at, record);
  }
  owner.tail = owner.cut = owner.durable = at + 1;
  if (owner.tail === owner.replay.tail) settleRequests(owner.dedup);
}

function replayStep(owner: Owner, at: Offset, record: StepRecord): void {
  const slot = slotFor(owner, record);
  // An image may contain records that come after the offset its shard's image was made at.
  const contained = slot !== undefined && at <= slot.touched;
  if (slot !== undefined && !contained) {
    const { version } = slot;
    if (record.events.length > 0) evolve(owner, slot, at, record);
    applyRecord(slot, record, at);
    // the state stays where it was; what else the record says (timers, sends) holds all the same
    if (slot.parked?.stuck === true) {
      if (record.events.length > 0) slot.parked.version = at;
      slot.version = version;
    }
    if (record.timers.length > 0) armTimers(owner, slot, record.timers, at);
    if (concernsCalls(record)) trackCalls(owner, slot);
    noteChange(owner, slot);
  }
  if (record.cause.kind === "request") rememberStep(owner, at, record, record.cause, contained ? at : versionOf(slot));
}

/** As the log tells it, which the state of a stuck entity does not follow. */
function versionOf(slot: Slot | undefined): Offset {
  return slot?.parked?.stuck === true ? slot.parked.version : (slot?.version ?? 0);
}

type Request = Extract<Cause, { kind: "request" }>;

/** Ids past their window are refused before anybody looks, and only the last outcomes would be kept: spare the rest. */
function rememberStep(owner: Owner, at: Offset, record: StepRecord, cause: Request, version: Offset): void {
  const { dedup, replay, limits } = owner;
  if (record.time < replay.nowMs - limits.dedupWindowMs - 2 * limits.requestIdFutureMs) return;
  rememberRequest(dedup, cause.column ?? cause.idBytes, at, record.time, cause.place);
  if (at < replay.tail - limits.outcomesPerShardMax) return;
  const { entity, command, outcome } = record;
  rememberOutcome(dedup, at, { entity, command, outcome, version, bytes: 64 });
}

/** A rejection of an entity that does not exist leaves no slot. */
function slotFor(owner: Owner, record: StepRecord): Slot | undefined {
  return owner.slots.get(record.entity) ?? (bringsIntoBeing(record) ? makeKnown(owner, record.entity) : undefined);
}

function makeKnown(owner: Owner, entity: EntityRef): Slot {
  const definition = owner.definitions.get(entity.type);
  if (definition === undefined) {
    throw new HoldfastError(
      "unknown-event",
      `The log holds entity type "${entity.type}", which this service does not define. Deploy the code that wrote it.`,
    );
  }
  const slot = makeSlot(entity, definition);
  owner.slots.add(slot);
  return slot;
}

/** True if an entity exists because of this record. */
export function bringsIntoBeing(record: StepRecord): boolean {
  return (
    record.events.length > 0 ||
    record.sends.length > 0 ||
    record.timers.length > 0 ||
    record.calls.length > 0 ||
    record.cause.kind === "send"
  );
}

/** An entity whose code cannot evolve a record is parked at the state before it; its neighbours are replayed on. */
function evolve(owner: Owner, slot: Slot, at: Offset, record: StepRecord): void {
  if (slot.parked?.stuck === true) return checkKnown(slot, record.events);
  const failed = evolveStored(slot, record.events);
  if (failed !== undefined) parkAtReplay(owner, slot, at, record, failed.thrown);
}

function replayMark(owner: Owner, at: Offset, record: MarkRecord): void {
  if (record.verb === "erase") return;
  const slot = owner.slots.get(record.entity) ?? makeKnown(owner, record.entity);
  // An image contains what its marks say, too.
  if (at <= slot.touched) return;
  applyMark(owner, slot, record, at);
  noteChange(owner, slot);
}
