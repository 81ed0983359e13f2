/**
 * Takes a client's command in: checks, dedup, one step, and a reply.
 *
 * Invariants:
 * 1. A caller is answered exactly once: through the gate when the record is durable; now, if the command was refused
 *    before it was decided, or is relaxed (`relaxed.ts`).
 * 2. What is refused before it is decided leaves no trace; what is decided is recorded, a rejection too, so that a retry
 *    of the same request id gets the same answer.
 */
import type { EntityDefinition } from "../model/entity.ts";
import { isKey, type Offset } from "../model/ids.ts";
import type { CallFailure, CallResult, CommandCall, StepRecord } from "../model/records.ts";
import { parseUuidV7 } from "../std/uuid-bytes.ts";
import { findRequest, requestAge } from "./dedup.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { checkRoom, diskFull, failure, forbidden, type Owner, recordedNow, slotOrFresh } from "./owner-state.ts";
import { answersEarly, mayAnswerEarly, noteEarly } from "./relaxed.ts";
import type { Slot } from "./slot.ts";
import { answerOf, runStep, type StepFacts } from "./step.ts";
import { mayDo, validateInput } from "./user-code.ts";

type CommandInput = Extract<Input, { kind: "command" }>;

export function takeCommand(owner: Owner, input: CommandInput, effects: Effect[]): void {
  const { call, caller } = input;
  const refused = (failure: CallFailure) => effects.push({ kind: "reply", caller, result: failure });
  const definition = owner.definitions.get(call.entity.type);
  const id = parseUuidV7(call.requestId);
  const problem = checkCall(owner, call, definition, id, input.nowMs);
  if (problem !== undefined || definition === undefined || id === undefined) {
    refused(problem ?? failure("unknown-type", `No entity type "${call.entity.type}".`));
    return;
  }
  if (answerAgain(owner, input, id, effects)) return;
  const slot = slotOrFresh(owner, call.entity, definition);
  const busy = checkRoom(owner, slot) ?? checkVersion(slot, call.ifVersion);
  if (busy !== undefined) {
    refused(busy);
    return;
  }
  const valid = validateInput(definition.commands.get(call.command)?.input, call.input, owner.limits);
  if (!valid.ok) {
    refused(valid.failure);
    return;
  }
  const windowMs = mayAnswerEarly(owner, definition.commands.get(call.command)?.durability, input);
  const facts: StepFacts = {
    command: call.command,
    value: valid.value,
    principal: call.principal,
    cause: { kind: "request", requestId: call.requestId, idBytes: id },
    nowMs: input.nowMs,
    chance: input.chance,
    mayCreate: call.mayCreate ?? true,
    windowMs,
  };
  const result = runStep(owner, slot, facts, effects);
  if (!result.recorded) refused(result.failure);
  else if (windowMs > 0) {
    noteEarly(owner, input.nowMs + windowMs);
    effects.push({ kind: "reply", caller, result: { ...result.answer, durable: false } });
  } else
    holdUntilDurable(owner.gate, result.at, owner.durable, { kind: "reply", caller, result: result.answer }, effects);
}

/** What can be refused from the call alone. The same answer whether the entity exists or not. */
function checkCall(
  owner: Owner,
  call: CommandCall,
  definition: EntityDefinition | undefined,
  id: Uint8Array | undefined,
  nowMs: number,
): CallFailure | undefined {
  if (definition === undefined) return failure("unknown-type", `No entity type "${call.entity.type}".`);
  if (!isKey(call.entity.key)) return failure("invalid-key", "A key is 1 to 128 of letters, digits, _ and -.");
  if (!definition.commands.has(call.command))
    return failure("unknown-command", `${definition.name} has no command "${call.command}".`);
  if (!mayDo(definition, call.principal, { kind: "command", name: call.command }, call.entity.key)) return forbidden();
  if (id === undefined) {
    return failure("invalid-request-id", "A request id is a UUIDv7, made once per command and kept for its retries.");
  }
  const age = requestAge(id, recordedNow(owner, nowMs), owner.limits);
  if (age === "too-new")
    return failure("invalid-request-id", "The request id lies in the future; correct the clock by the server's.");
  if (age === "too-old") {
    return failure(
      "request-expired",
      `Request ids are remembered for ${owner.limits.dedupWindowMs / 1000} s. Read the entity to learn whether it was carried out.`,
    );
  }
  return undefined;
}

/** Answers a request id that was used before, from memory or by a recall from the log. */
function answerAgain(owner: Owner, input: CommandInput, id: Uint8Array, effects: Effect[]): boolean {
  const { call, caller } = input;
  const at = findRequest(owner.dedup, id);
  if (at === 0) return false;
  const known = owner.dedup.outcomes.get(at);
  if (known === undefined) {
    holdUntilDurable(owner.gate, at, owner.durable, { kind: "recall", caller, at, call }, effects);
    return true;
  }
  const result = sameCommand(known, call) ? answerOf(known.outcome, known.version) : reusedId();
  if (owner.full && at >= owner.durable) effects.push({ kind: "reply", caller, result: diskFull() });
  else if (known.early === true && at >= owner.durable && answersEarly(owner, input.nowMs))
    effects.push({ kind: "reply", caller, result: { ...result, durable: false } });
  else holdUntilDurable(owner.gate, at, owner.durable, { kind: "reply", caller, result }, effects);
  return true;
}

function sameCommand(known: { entity: { type: string; key: string }; command: string }, call: CommandCall): boolean {
  return (
    known.command === call.command && known.entity.key === call.entity.key && known.entity.type === call.entity.type
  );
}

/** The answer to a repeated request id, from the record it is in. For the runtime, after a `recall`. */
export function answerFromRecord(record: StepRecord, call: CommandCall, version: Offset): CallResult {
  return sameCommand(record, call) ? answerOf(record.outcome, version) : reusedId();
}

function reusedId(): CallFailure {
  return failure("invalid-request-id", "This request id was used for another command; make one id per command.");
}

function checkVersion(slot: Slot, expected: Offset | undefined): CallFailure | undefined {
  if (expected === undefined || expected === slot.version) return undefined;
  return {
    ...failure("version-mismatch", `The entity is at version ${slot.version}, not ${expected}.`),
    version: slot.version,
  };
}
