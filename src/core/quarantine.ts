/**
 * Quarantine: one broken entity is parked at its last good version, and its neighbours do not notice.
 *
 * Invariants:
 * 1. That an entity is parked, and why, is a record: it is parked after a restart and on every other node too. Only one
 *    that a replay found is parked before its mark is written, and that mark is the first thing its owner does.
 * 2. A parked entity takes no command, fires no timer, takes in and starts no send, starts and settles no call. All of it
 *    is held, none dropped.
 * 3. A state that an evolve left half done is shown to nobody: `good` is false until it was rebuilt.
 */
import { HoldfastError } from "../model/errors.ts";
import { formatRef, type Offset } from "../model/ids.ts";
import type { Captured, MarkRecord, Park, ParkedEntry, ParkWhy } from "../model/marks.ts";
import type { CallFailure, EventBody, StepRecord } from "../model/records.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import { armTimers } from "./alarms.ts";
import { resumeCalls, trackCalls } from "./call-start.ts";
import type { Effect } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { deliverNext } from "./outbox.ts";
import { type Apart, addRecord, failure, keepSlot, type Owner, recordedNow, systemPrincipal } from "./owner-state.ts";
import { applyRecord, type Slot } from "./slot.ts";

/** The answer to whoever asks something of a parked entity that it cannot do. */
export function quarantined(slot: Slot): CallFailure {
  const why = slot.parked?.good === false ? "its last good state is not in memory" : "an operator must resume it";
  return failure("quarantined", `The entity is parked because its code or data is broken; ${why}.`);
}

/** Why a slot's state may not be shown. */
export function unreadable(slot: Slot): CallFailure | undefined {
  return slot.parked?.good === false ? quarantined(slot) : undefined;
}

/** What is known of the command that broke an entity. */
export interface Culprit {
  readonly why: ParkWhy;
  readonly thrown: unknown;
  readonly captured: Captured | null;
}

/** Parks an entity whose code broke just now. `good` says whether its state is still whole. */
export function park(owner: Owner, slot: Slot, culprit: Culprit, good: boolean, effects: Effect[]): void {
  const { why, thrown, captured } = culprit;
  if (owner.slots.get(slot.ref) === undefined) keepSlot(owner, slot);
  const known: Park = { why, error: describeThrown(thrown), captured: fitting(captured, owner), poison: 0 };
  slot.parked = {
    at: 0,
    sinceMs: owner.timeMs,
    park: known,
    good,
    below: owner.tail,
    stuck: false,
    version: slot.version,
  };
  markParked(owner, slot, owner.timeMs, effects);
}

/** A replay could not evolve the record at `at`. */
export function parkAtReplay(apart: Apart, slot: Slot, at: Offset, record: StepRecord, thrown: unknown): void {
  const captured = capture(record.command, null, null, record.cause, record.time, record.events);
  const known: Park = { why: "replay", error: describeThrown(thrown), captured, poison: at };
  slot.parked = { at: 0, sinceMs: record.time, park: known, good: false, below: at, stuck: true, version: at };
  apart.parked.add(slot);
}

/** @throws `evolve-failed` a replay parked more entities than broken ones can explain */
export function checkParkedAtReplay(owner: Owner): void {
  let fresh = 0;
  let last: Slot | undefined;
  for (const slot of owner.parked) {
    if (slot.parked?.at !== 0) continue;
    fresh++;
    last = slot;
  }
  if (last === undefined || fresh <= owner.limits.parkedAtReplayMax) return;
  throw new HoldfastError(
    "evolve-failed",
    `${fresh} entities of shard ${owner.shard} have an event that this code cannot evolve, among them ${formatRef(last.ref)}. ` +
      "So many are not broken entities but broken code: deploy the code that wrote them. Nothing was written.",
    { cause: last.parked?.park.error },
  );
}

/** After a recovery: entities that the replay parked get their marks, and what is not whole is rebuilt. */
export function markAllParked(owner: Owner, nowMs: number, effects: Effect[]): void {
  for (const slot of owner.parked) {
    const { parked } = slot;
    if (parked === undefined) continue;
    if (parked.at === 0) {
      const where = `evolve of ${formatRef(slot.ref)} at offset ${parked.park.poison} of shard ${owner.shard}`;
      effects.push({ kind: "fault", where, error: new HoldfastError("evolve-failed", parked.park.error) });
      markParked(owner, slot, nowMs, effects);
    } else if (!parked.good) orderRebuild(owner, slot, effects);
  }
}

function markParked(owner: Owner, slot: Slot, nowMs: number, effects: Effect[]): void {
  const { parked } = slot;
  if (parked === undefined) return;
  addMark(owner, slot, { verb: "park", principal: systemPrincipal, park: parked.park }, nowMs, effects);
  if (!parked.good) orderRebuild(owner, slot, effects);
}

function orderRebuild(owner: Owner, slot: Slot, effects: Effect[]): void {
  const from = owner.cold?.(slot.ref)?.image;
  const order = { entity: slot.ref, from, below: slot.parked?.below ?? 0, without: undefined, asked: undefined };
  holdUntilDurable(owner.gate, slot.touched, owner.durable, { kind: "rebuild", order }, effects);
}

export type MarkDraft = Pick<MarkRecord, "verb" | "principal"> & Partial<Pick<MarkRecord, "park" | "state" | "left">>;

/** Records a mark. @returns its offset */
export function addMark(owner: Owner, slot: Slot, draft: MarkDraft, nowMs: number, effects: Effect[]): Offset {
  const at = owner.tail;
  const { park = null, state = null, left = [] } = draft;
  const time = recordedNow(owner, nowMs);
  const record: MarkRecord = { kind: "mark", time, entity: slot.ref, ...draft, park, state, left };
  const bytes = copyPlain([park, state] as unknown as Plain, markCopy).bytes + 256;
  applyMark(owner, slot, record, at);
  addRecord(owner, { slot, record, bytes, byMs: 0 }, effects);
  if (record.verb === "resume") goOn(owner, slot, nowMs, effects);
  return at;
}

/** Nested a little deeper than what it carries. */
const markCopy = { depthMax: 128, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };

/** What a mark changes: the same for one that is made and one that is replayed. */
export function applyMark(apart: Apart, slot: Slot, mark: MarkRecord, at: Offset): void {
  slot.touched = at;
  if (mark.state !== null) {
    slot.state = copyPlain(mark.state.value, markCopy).value;
    slot.version = at;
    slot.stateBytes = -1;
  }
  if (mark.verb === "park") applyPark(apart, slot, mark, at);
  const { parked } = slot;
  if (parked === undefined) return;
  if (mark.verb === "skip" || mark.verb === "repair") {
    if (mark.verb === "skip" && mark.park !== null) {
      leaveOut(slot, mark.park, mark.time, at);
      trackCalls(apart, slot);
    }
    if (mark.state !== null) {
      parked.good = true;
      parked.stuck = false;
    }
  } else if (mark.verb === "resume") {
    // recorded under code that could evolve what this code cannot: parked anew
    if (parked.stuck) parked.at = 0;
    else {
      slot.parked = undefined;
      apart.parked.delete(slot);
    }
  }
}

function applyPark(apart: Apart, slot: Slot, mark: MarkRecord, at: Offset): void {
  if (mark.park === null) return;
  slot.parked ??= {
    at,
    sinceMs: mark.time,
    park: mark.park,
    good: true,
    below: at,
    stuck: false,
    version: slot.version,
  };
  apart.parked.add(slot);
  // a mark of other code about something else: what this code found gets a mark of its own
  if (slot.parked.stuck && slot.parked.park.poison !== mark.park.poison) return;
  slot.parked.at = at;
  slot.parked.sinceMs = mark.time;
}

/**
 * The command that was held is over: its timer is gone, its send is answered, the reply to its send is not decided, the
 * call that it was the end of is settled.
 */
function leaveOut(slot: Slot, { captured }: Park, time: number, at: Offset): void {
  if (captured === null || captured.cause.kind === "request") return;
  const reason = "an operator skipped the command";
  applyRecord(
    slot,
    {
      kind: "step",
      time,
      entity: slot.ref,
      command: captured.command,
      cause: captured.cause,
      events: [],
      outcome: { ok: false, code: "quarantined", reason, details: null },
      sends: [],
      timers: [],
      calls: [],
    },
    at,
  );
}

/** Everything that was held goes on. */
function goOn(owner: Owner, slot: Slot, nowMs: number, effects: Effect[]): void {
  for (const timer of slot.timers.values()) armTimers(owner, slot, [timer], timer.setAt, effects);
  for (const outbox of slot.outbox.values()) {
    outbox.throws = 0;
    deliverNext(owner, slot, outbox, effects);
  }
  resumeCalls(owner, slot, nowMs, effects);
}

export function capture(
  command: string,
  input: unknown,
  principal: Captured["principal"],
  cause: StepRecord["cause"],
  now: number,
  events: readonly EventBody[],
): Captured {
  const { kind } = cause;
  const plainCause = kind === "request" ? { kind, requestId: cause.requestId } : cause;
  return { command, input: (input ?? null) as Plain, principal, cause: plainCause, now, events };
}

/** A capture as plain data within the limits: events first go, then the input; both can be had from the caller. */
function fitting(captured: Captured | null, owner: Owner): Captured | null {
  if (captured === null) return null;
  const { depthMax, recordBytesMax } = owner.limits;
  for (const kept of [captured, { ...captured, events: [] }, { ...captured, events: [], input: null }]) {
    try {
      return copyPlain(kept as unknown as Plain, { depthMax: depthMax + 4, bytesMax: recordBytesMax, sealed: true })
        .value as unknown as Captured;
    } catch {
      // the next has less in it
    }
  }
  return null;
}

const errorCharsMax = 2_000;

function describeThrown(thrown: unknown): string {
  let text: string;
  try {
    text = thrown instanceof Error ? withCause(thrown) : String(thrown);
  } catch {
    text = "something that cannot be put into words";
  }
  return text.slice(0, errorCharsMax).toWellFormed();
}

function withCause(error: Error): string {
  const { cause } = error;
  const own = error.stack ?? `${error.name}: ${error.message}`;
  return cause instanceof Error ? `${error.message}\ncaused by ${cause.stack ?? cause.message}` : own;
}

/** The parked entities whose marks are durable. */
export function listParked(owner: Owner): ParkedEntry[] {
  const entries: ParkedEntry[] = [];
  for (const { ref, version, parked } of owner.parked) {
    if (parked === undefined || parked.at === 0 || parked.at >= owner.durable) continue;
    const { at, sinceMs, good, park } = parked;
    entries.push({ entity: ref, parkedAt: at, sinceMs, why: park.why, readable: good, version });
  }
  return entries;
}
