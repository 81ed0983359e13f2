/**
 * Sends between entities: exactly once, in order per pair of sender and receiver.
 *
 *   sender: record with the send -> durable -> deliver -> receiver: record with the outcome -> durable -> settle
 *   -> sender: record that settles it (and decides the reply command) -> durable -> the next of the pair is delivered
 *
 * Invariants:
 * 1. At most one send of a pair is under way, and the next leaves only when the settling record is durable. So whatever
 *    is delivered again after a crash is the last one the receiver saw, and its inbox has the outcome.
 * 2. A send stays in the sender until its settling record; it is delivered again for as long as that takes.
 * 3. The receiver records every send it takes in, refused ones too: sequences have no gaps.
 */
import { formatRef, type Offset } from "../model/ids.ts";
import type { Cause, Outcome, Principal, SendBody } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { retryLater } from "./alarms.ts";
import { emptyDecision } from "./decide.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { startSend } from "./outbox.ts";
import { checkRoom, type Owner, recordedNow, slotOf, slotOrFresh, systemPrincipal } from "./owner-state.ts";
import { isParked, type Outbox, type Slot } from "./slot.ts";
import { mayPass, parkAfterTries, recordStep, runStep, type StepFacts } from "./step.ts";
import { mayDo, validateInput } from "./user-code.ts";

type Delivery = Extract<Input, { kind: "deliver" }>;
type Settlement = Extract<Input, { kind: "settle" }>;

/** Takes in a send of another entity. */
export function takeDelivery(owner: Owner, input: Delivery, effects: Effect[]): void {
  const { from, send } = input;
  const definition = owner.definitions.get(send.to.type);
  if (definition === undefined) {
    const outcome = refusal("unknown-type", `No entity type "${send.to.type}".`);
    effects.push({ kind: "settle", from, to: send.to, sequence: send.sequence, outcome });
    return;
  }
  const slot = slotOrFresh(owner, send.to, definition);
  const last = slot.inbox.get(formatRef(from));
  if (last !== undefined && send.sequence <= last.sequence) {
    settleAt(owner, input, last.outcome, last.at, effects);
    return;
  }
  if (slot.parked !== undefined || checkRoom(owner, slot) !== undefined) {
    effects.push({ kind: "undelivered", from, to: send.to });
    return;
  }
  const result = decideDelivery(owner, slot, input, effects);
  if (result.recorded) settleAt(owner, input, result.outcome, result.at, effects);
  else effects.push({ kind: "undelivered", from, to: send.to });
}

function settleAt(owner: Owner, input: Delivery, outcome: Outcome, at: Offset, effects: Effect[]): void {
  const effect: Effect = {
    kind: "settle",
    from: input.from,
    to: input.send.to,
    sequence: input.send.sequence,
    outcome,
  };
  holdUntilDurable(owner.gate, at, owner.durable, effect, effects);
}

function decideDelivery(owner: Owner, slot: Slot, input: Delivery, effects: Effect[]) {
  const { from, send } = input;
  const principal: Principal = { kind: "entity", id: formatRef(from) };
  const cause: Cause = { kind: "send", from, sequence: send.sequence };
  const facts: StepFacts = {
    command: send.command,
    value: undefined,
    input: send.input,
    principal,
    cause,
    nowMs: input.nowMs,
    chance: input.chance,
    mayCreate: true,
  };
  const refused = (outcome: Outcome) =>
    recordStep(owner, slot, facts, emptyDecision(), recordedNow(owner, input.nowMs), effects, outcome);
  const command = slot.definition.commands.get(send.command);
  if (command === undefined)
    return refused(refusal("unknown-command", `${slot.ref.type} has no command "${send.command}".`));
  if (!mayDo(slot.definition, principal, { kind: "command", name: send.command }, slot.ref.key)) {
    return refused(refusal("forbidden", "The receiver does not allow this to the sender."));
  }
  const valid = validateInput(command.input, send.input, owner.limits, slot.definition.personal);
  if (!valid.ok) return refused(refusal(valid.failure.code, valid.failure.detail));
  const result = runStep(owner, slot, { ...facts, value: valid.value }, effects);
  if (result.recorded || isParked(slot)) return result;
  return refused(refusal(result.failure.code, result.failure.detail));
}

/** The outcome of a send of ours has come: record that it is settled, and decide the reply command with it. */
export function takeSettlement(owner: Owner, input: Settlement, effects: Effect[]): void {
  const slot = slotOf(owner, input.from);
  const outbox = slot?.outbox.get(formatRef(input.to));
  const first = outbox?.queue.peek();
  if (slot === undefined || outbox === undefined || first?.send.sequence !== input.sequence || !outbox.underway) return;
  if (
    slot.parked !== undefined ||
    checkRoom(owner, slot) !== undefined ||
    !settle(owner, slot, outbox, first.send, input, effects)
  ) {
    takeUndelivered(owner, input, effects);
    return;
  }
  const settledAt = slot.touched;
  const next = outbox.queue.peek();
  if (next !== undefined) startSend(owner, slot, outbox, Math.max(settledAt, next.at), effects);
}

function settle(
  owner: Owner,
  slot: Slot,
  outbox: Outbox,
  send: SendBody,
  input: Settlement,
  effects: Effect[],
): boolean {
  const cause: Cause = { kind: "settled", to: input.to, sequence: input.sequence };
  const command = send.reply ?? send.command;
  const facts: StepFacts = {
    command,
    value: null,
    input: null,
    principal: systemPrincipal,
    cause,
    nowMs: input.nowMs,
    chance: input.chance,
    mayCreate: true,
  };
  if (send.reply === undefined) {
    return recordStep(owner, slot, facts, emptyDecision(), recordedNow(owner, input.nowMs), effects, {
      ok: true,
      value: null,
    }).recorded;
  }
  const value = outcomeInput(input, send.context ?? null);
  const { commands, personal } = slot.definition;
  const valid = validateInput(commands.get(send.reply)?.input, value, owner.limits, personal);
  const replied = { ...facts, input: value, value: valid.ok ? valid.value : value };
  const result = runStep(owner, slot, replied, effects);
  if (result.recorded) return true;
  if (!isParked(slot) && !mayPass(result.failure) && ++outbox.throws >= owner.limits.triesMax)
    parkAfterTries(owner, slot, replied, result.failure, effects);
  return false;
}

/** What the reply command gets: a `SendOutcome`. */
function outcomeInput(input: Settlement, context: Plain): Plain {
  const { outcome } = input;
  const to = { type: input.to.type, key: input.to.key };
  if (outcome.ok) return { ok: true, value: outcome.value, to, context };
  return { ok: false, code: outcome.code, reason: outcome.reason, details: outcome.details, to, context };
}

/** A send could not be taken in, or its settling could not be recorded: it is delivered again later. */
export function takeUndelivered(
  owner: Owner,
  input: Extract<Input, { kind: "undelivered" | "settle" }>,
  effects: Effect[],
): void {
  const slot = slotOf(owner, input.from);
  const outbox = slot?.outbox.get(formatRef(input.to));
  if (slot === undefined || outbox === undefined || !outbox.underway) return;
  outbox.underway = false;
  // held; delivered again when an operator resumes the entity
  if (slot.parked !== undefined) return;
  retryLater(owner, slot, outbox, input.nowMs, effects);
}

function refusal(code: Extract<Outcome, { ok: false }>["code"], reason: string): Outcome {
  return { ok: false, code, reason, details: null };
}
