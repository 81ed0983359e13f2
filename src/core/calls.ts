/**
 * Calls: work outside, at least once, whose result comes back as a command, exactly once.
 *
 *   record with the call -> durable -> attempt 1 -> result -> record `called`, which runs the result command: settled
 *                                                -> failure -> record `call-failed` -> its time -> durable -> attempt 2 ...
 *                                                              the last one parks the call, for an operator
 *
 * Invariants:
 * 1. A call is settled by one record. A result that comes when none stands, or of an attempt that is not the one under
 *    way, is dropped.
 * 2. Failures are records, so attempts are bounded over restarts. Only attempts that a crash cut short are not counted.
 * 3. A call ends by its result, by its last failure where its author said so, or by an operator: never silently. A result
 *    that its command cannot take is a failure of the attempt; if it breaks the entity, the result is held with it.
 */
import type { Chance } from "../model/entity.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { CallId, Cause, Outcome } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { type Alarm, armCall, retryDelay } from "./alarms.ts";
import { startCall } from "./call-start.ts";
import { type Call, type CallAnswer, callName } from "./call-state.ts";
import { emptyDecision } from "./decide.ts";
import type { Effect, Input } from "./effects.ts";
import { checkRoom, type Owner, recordedNow, slotOf, systemPrincipal } from "./owner-state.ts";
import { isParked, type Slot } from "./slot.ts";
import { recordStep, runStep, type StepFacts } from "./step.ts";
import { validateInput } from "./user-code.ts";

/** The moment of an input. */
export interface Moment {
  readonly nowMs: number;
  readonly chance: Chance;
}

export interface Standing {
  readonly slot: Slot;
  readonly call: Call;
}

export function findCall(owner: Owner, entity: EntityRef, id: CallId): Standing | undefined {
  const slot = slotOf(owner, entity);
  const call = slot?.calls.get(callName(id));
  return slot === undefined || call === undefined ? undefined : { slot, call };
}

/** An attempt came to its end. */
export function takeCalled(owner: Owner, input: Extract<Input, { kind: "called" }>, effects: Effect[]): void {
  const standing = findCall(owner, input.entity, input.id);
  if (standing === undefined) return;
  const { call } = standing;
  if (!call.underway || call.answer !== undefined || input.attempt !== call.failed + 1) return;
  call.answer = input.answer;
  recordAnswer(owner, standing, input.answer, input, effects);
}

/** The time of a call has come: of its next attempt, or to record what the last one came to. */
export function wakeCall(owner: Owner, alarm: Extract<Alarm, { kind: "call" }>, now: Moment, effects: Effect[]): void {
  const { slot, call } = alarm;
  // held; armed again when an operator resumes the entity
  if (slot.parked !== undefined) return;
  if (slot.calls.get(callName(call.id)) !== call) return;
  if (call.answer !== undefined) recordAnswer(owner, alarm, call.answer, now, effects);
  else if (call.dueMs <= alarm.dueMs) startCall(owner, slot, call, effects);
}

function recordAnswer(owner: Owner, standing: Standing, answer: CallAnswer, now: Moment, effects: Effect[]): void {
  const { slot, call } = standing;
  // the answer is held
  if (isParked(slot)) return;
  if (checkRoom(owner, slot) !== undefined) {
    armCall(owner, slot, call, now.nowMs + retryDelay.firstMs, effects);
    return;
  }
  if (!answer.ok) return failCall(owner, standing, answer, now, effects);
  const cause: Cause = { kind: "called", call: call.id, attempt: call.failed + 1 };
  const refused = endCall(owner, standing, cause, { ok: true, value: answer.value }, now, effects);
  if (refused !== undefined && !isParked(slot))
    failCall(owner, standing, { error: refused, final: false }, now, effects);
}

/** The attempt under way failed: record it, with the time of the next; or park the call, or end it. */
function failCall(
  owner: Owner,
  standing: Standing,
  failed: { readonly error: string; readonly final: boolean },
  now: Moment,
  effects: Effect[],
): void {
  const { slot, call } = standing;
  const { body } = call;
  const attempt = call.failed + 1;
  const last = failed.final || attempt >= call.allowed;
  let { error } = failed;
  if (last && body.failure === "settle") {
    const cause: Cause = { kind: "called", call: call.id, attempt };
    const refused = endCall(owner, standing, cause, { ok: false, code: "failed", reason: error }, now, effects);
    if (refused === undefined || isParked(slot)) return;
    error = refused;
  }
  const retryAtMs = last ? null : recordedNow(owner, now.nowMs) + drawWait(owner, call, now.chance);
  const cause: Cause = { kind: "call-failed", call: call.id, attempt, error, retryAtMs };
  if (last) {
    const where = `call "${body.name}" of ${formatRef(slot.ref)}, which is parked; failed attempts: ${attempt}`;
    effects.push({ kind: "fault", where, error });
  }
  if (last && body.failure === "tell") {
    const refused = endCall(owner, standing, cause, { ok: false, code: "parked", reason: error }, now, effects);
    if (refused === undefined || isParked(slot)) return;
  }
  noteOnly(owner, standing, cause, now, effects);
  if (retryAtMs !== null) armCall(owner, slot, call, retryAtMs, effects);
}

/** Exponential, with full jitter: a receiver that comes back is not met by everybody at once. */
function drawWait(owner: Owner, call: Call, chance: Chance): number {
  const { callRetryFirstMs, callRetryMostMs } = owner.limits;
  const before = call.failed - (call.allowed - call.body.attempts);
  const mostMs = Math.min(callRetryMostMs, callRetryFirstMs * 2 ** Math.min(before, 30));
  return chance.integer(mostMs + 1);
}

export type Told =
  | { readonly ok: true; readonly value: Plain }
  | { readonly ok: false; readonly code: "failed" | "parked" | "dropped"; readonly reason: string };

/**
 * Records what became of a call by running its result command with it; without one, by a record alone.
 * @returns why it could not be; nothing was recorded then
 */
export function endCall(
  owner: Owner,
  standing: Standing,
  cause: Cause,
  told: Told,
  now: Moment,
  effects: Effect[],
): string | undefined {
  const { slot, call } = standing;
  const { result } = call.body;
  if (result === undefined) {
    noteOnly(owner, standing, cause, now, effects);
    return undefined;
  }
  const command = slot.definition.commands.get(result);
  if (command === undefined) return `There is no command "${result}" to take the result.`;
  const outcome = { ...told, call: call.body.name, context: call.body.context ?? null };
  const given = command.input === undefined ? null : outcome;
  const valid = validateInput(command.input, given, owner.limits, slot.definition.personal);
  if (!valid.ok) return `The command "${result}" does not take the result: ${valid.failure.code}.`;
  const step = runStep(owner, slot, { ...factsOf(call, cause, now), value: valid.value, input: outcome }, effects);
  return step.recorded ? undefined : `The command "${result}" did not take the result: ${step.failure.code}.`;
}

const noted: Outcome = { ok: true, value: null };

export function noteOnly(owner: Owner, { slot, call }: Standing, cause: Cause, now: Moment, effects: Effect[]): void {
  const at = recordedNow(owner, now.nowMs);
  recordStep(owner, slot, factsOf(call, cause, now), emptyDecision(), at, effects, noted);
}

function factsOf(call: Call, cause: Cause, { nowMs, chance }: Moment): StepFacts {
  const command = call.body.result ?? call.body.name;
  return { command, value: null, input: null, principal: systemPrincipal, cause, nowMs, chance, mayCreate: true };
}
