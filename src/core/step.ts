/**
 * One command, decided, evolved and recorded: the same way for a client's command, a timer, and a send.
 *
 * Invariants:
 * 1. User code that throws while deciding changes nothing. If it throws while evolving, the log has none of it and the
 *    entity is parked: what the evolve left in the slot is shown to nobody.
 * 2. State, bookkeeping and the pending record change together or not at all.
 */
import { type Chance } from "../model/entity.ts";
import { catalogue, HoldfastError, isErrorCode, isHoldfastError } from "../model/errors.ts";
import { formatRef, type Offset } from "../model/ids.ts";
import { relaxedShare } from "../model/limits.ts";
import type { Captured } from "../model/marks.ts";
import type { CallFailure, CallResult, Cause, EventBody, Outcome, Principal, StepRecord } from "../model/records.ts";
import { holdsMarks } from "../model/sealed.ts";
import { armTimers } from "./alarms.ts";
import { concernsCalls, noteCalls } from "./call-start.ts";
import { copyChecked, type Decision, decide } from "./decide.ts";
import { rememberOutcome, rememberRequest } from "./dedup.ts";
import type { Effect } from "./effects.ts";
import { noteSends } from "./outbox.ts";
import { addRecord, failure, forbidden, keepSlot, type Owner, recordedNow } from "./owner-state.ts";
import { sealInput } from "./personal.ts";
import { capture, park } from "./quarantine.ts";
import { bringsIntoBeing } from "./replay.ts";
import { applyRecord, evolveSlot, type Slot } from "./slot.ts";
import { growsTooLarge } from "./state-size.ts";
import { mayDo } from "./user-code.ts";

export interface StepFacts {
  readonly command: string;
  readonly value: unknown;
  /** As it came, before its schema (with personal data: after it, sealed): captured if the command breaks its entity. */
  readonly input: unknown;
  readonly principal: Principal;
  readonly cause: Cause;
  readonly nowMs: number;
  readonly chance: Chance;
  readonly mayCreate: boolean;
  /** The command is answered now, and its record is durable within this. Absent or 0: answered when durable. */
  readonly windowMs?: number;
}

export type StepResult =
  | { readonly recorded: true; readonly at: Offset; readonly answer: CallResult; readonly outcome: Outcome }
  | { readonly recorded: false; readonly failure: CallFailure };

/** Decides, evolves and records one command. */
export function runStep(owner: Owner, slot: Slot, asked: StepFacts, effects: Effect[]): StepResult {
  const now = recordedNow(owner, asked.nowMs);
  let facts = asked;
  let decision: Decision;
  try {
    if (slot.definition.personal) facts = sealFacts(owner, slot, asked);
    const { command, value, principal, chance } = facts;
    const { limits, vault } = owner;
    decision = decide({ slot, command, input: value, principal, now, chance, limits, vault });
  } catch (error) {
    return { recorded: false, failure: explain(error, slot, facts.command, effects) };
  }
  return recordStep(owner, slot, facts, decision, now, effects);
}

/** What its schema marked is sealed, in what is decided on and in what is captured if the command breaks its entity. */
function sealFacts(owner: Owner, slot: Slot, facts: StepFacts): StepFacts {
  const value = sealInput(owner, slot, facts.value);
  return { ...facts, value, input: value ?? null };
}

/** Records a step; also those that had nothing to decide. `outcome` overrules what the decision would answer. */
export function recordStep(
  owner: Owner,
  slot: Slot,
  facts: StepFacts,
  decision: Decision,
  now: number,
  effects: Effect[],
  outcome?: Outcome,
): StepResult {
  const { events, sends, timers, calls } = decision;
  const at = owner.tail;
  const draft = {
    kind: "step",
    time: now,
    entity: slot.ref,
    command: facts.command,
    cause: facts.cause,
    events,
    sends,
    timers,
    calls,
  } as const;
  const creates = slot.touched === 0 && bringsIntoBeing({ ...draft, outcome: okNull });
  if (creates && facts.cause.kind === "request") {
    if (!mayDo(slot.definition, facts.principal, { kind: "create", name: facts.command }, slot.ref.key))
      return { recorded: false, failure: forbidden() };
    if (!facts.mayCreate)
      return {
        recorded: false,
        failure: failure("overloaded", "This principal brings too many entities into being; wait a minute."),
      };
  }
  try {
    evolveSlot(slot, events);
  } catch (error) {
    effects.push({ kind: "fault", where: `evolve of ${formatRef(slot.ref)} after "${facts.command}"`, error });
    park(owner, slot, { why: "evolve", thrown: error, captured: captureOf(facts, now, events) }, false, effects);
    const detail = "An event of this command could not be evolved. Nothing was recorded, and the entity is parked.";
    return { recorded: false, failure: failure("decide-failed", detail) };
  }
  const [answered, replyBytes] =
    outcome === undefined ? outcomeOf(owner, slot, decision, facts.command, effects) : [outcome, 64];
  const record: StepRecord = { ...draft, outcome: answered };
  if (creates) keepSlot(owner, slot);
  applyRecord(slot, record, at);
  if (decision.bytes > 0) owner.slots.resize(slot, slot.imageBytes + decision.bytes);
  const windowMs = facts.windowMs ?? 0;
  const byMs = windowMs === 0 ? 0 : facts.nowMs + windowMs * relaxedShare.wait;
  addRecord(owner, { slot, record, bytes: decision.bytes + replyBytes + 96, byMs }, effects);
  if (facts.cause.kind === "request") {
    const early = windowMs > 0;
    noteRequest(owner, record, facts.cause.idBytes, { at, version: slot.version, early }, replyBytes);
  }
  if (timers.length > 0) armTimers(owner, slot, timers, at, effects);
  if (sends.length > 0) noteSends(owner, slot, sends, at, effects);
  if (concernsCalls(record)) noteCalls(owner, slot, effects);
  if (events.length > 0 && growsTooLarge(slot, decision.bytes, owner.limits)) parkLarge(owner, slot, effects);
  const answer = answerOf(answered, slot.version);
  return {
    recorded: true,
    at,
    outcome: answered,
    answer: creates && answer.ok ? { ...answer, created: true } : answer,
  };
}

/** What is kept of a command that breaks its entity. */
export function captureOf(facts: StepFacts, now: number, events: readonly EventBody[] = []): Captured {
  // A type that forgot to declare `personal` has its marks still: the input as it came must not be written down.
  const input = holdsMarks(facts.value) ? null : facts.input;
  return capture(facts.command, input, facts.principal, facts.cause, now, events);
}

/** What threw was thrown again and again, with nobody to tell: the entity is parked with it. */
export function parkAfterTries(owner: Owner, slot: Slot, facts: StepFacts, why: CallFailure, effects: Effect[]): void {
  const { triesMax } = owner.limits;
  const thrown = new HoldfastError(why.code, `${why.detail} ${triesMax} attempts failed.`);
  const captured = captureOf(facts, recordedNow(owner, facts.nowMs));
  park(owner, slot, { why: "throws", thrown, captured }, true, effects);
}

/** The same command may succeed later without anybody's doing. */
export function mayPass({ code }: CallFailure): boolean {
  return catalogue[code].recovery === "retry";
}

/** The command is recorded and its state is whole, but nothing more may be added to it. */
function parkLarge(owner: Owner, slot: Slot, effects: Effect[]): void {
  const thrown = new HoldfastError("too-large", `The state is over ${owner.limits.stateBytesMax} bytes.`);
  effects.push({ kind: "fault", where: `state of ${formatRef(slot.ref)}`, error: thrown });
  park(owner, slot, { why: "too-large", thrown, captured: null }, true, effects);
}

const okNull: Outcome = { ok: true, value: null };

function noteRequest(
  owner: Owner,
  record: StepRecord,
  id: Uint8Array,
  { at, version, early }: { at: Offset; version: Offset; early: boolean },
  bytes: number,
): void {
  rememberRequest(owner.dedup, id, at, record.time);
  rememberOutcome(owner.dedup, at, {
    entity: record.entity,
    command: record.command,
    outcome: record.outcome,
    version,
    early,
    bytes: bytes + 64,
  });
}

/** The reply is computed from the state after the events; one that cannot be made fails the reply, not the command. */
function outcomeOf(
  owner: Owner,
  slot: Slot,
  decision: Decision,
  command: string,
  effects: Effect[],
): [Outcome, number] {
  if (decision.rejection !== undefined) {
    return [{ ok: false, code: "rejected", ...decision.rejection }, 64];
  }
  if (decision.reply === undefined) return [okNull, 1];
  try {
    const bytesMax = owner.limits.recordBytesMax - Math.min(decision.bytes, owner.limits.recordBytesMax);
    const reply = copyChecked(
      decision.reply(slot.state) ?? null,
      { depthMax: owner.limits.depthMax, bytesMax, sealed: slot.definition.personal },
      "the reply",
    );
    return [{ ok: true, value: reply.value }, reply.bytes];
  } catch (error) {
    effects.push({ kind: "fault", where: `reply of "${command}" on ${formatRef(slot.ref)}`, error });
    const reason = "The command was carried out, but its reply could not be made.";
    return [{ ok: false, code: "decide-failed", reason, details: null }, 64];
  }
}

/** A caller's answer from what was recorded. */
export function answerOf(outcome: Outcome, version: Offset): CallResult {
  if (outcome.ok) return { ok: true, value: outcome.value, version };
  const detail = outcome.code === "rejected" ? `The entity refused the command: ${outcome.reason}.` : outcome.reason;
  return { ok: false, code: outcome.code, detail, reason: outcome.reason, details: outcome.details, version };
}

/** What a caller is told of a throw: the catalogue's code if it has one, never the author's words. */
function explain(error: unknown, slot: Slot, command: string, effects: Effect[]): CallFailure {
  effects.push({ kind: "fault", where: `decide of "${command}" on ${formatRef(slot.ref)}`, error });
  if (isHoldfastError(error) && isErrorCode(error.code) && error.recovery !== "crash")
    return failure(error.code, error.message);
  return failure("decide-failed", `The code of "${command}" threw; nothing was changed.`);
}
