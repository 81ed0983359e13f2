/**
 * What operators do about a parked entity: inspect, skip, repair, resume.
 *
 * Invariants:
 * 1. Each verb that is carried out is a record with the principal who asked, inspecting too; it is answered when that is
 *    durable. Nobody but a principal of kind `operator` learns even whether there is such an entity.
 * 2. An operator decides what becomes of what is held; nothing takes an entity back into service but `resume`, and that
 *    only with a state that is known to be good.
 */
import { formatRef, isKey, type Offset } from "../model/ids.ts";
import type { OperatorCall } from "../model/marks.ts";
import type { CallFailure, CallResult, Principal } from "../model/records.ts";
import { copyPlain, type Plain, PlainError } from "../std/plain.ts";
import type { Caller, Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { noteChange } from "./image.ts";
import { diskFull, failure, forbidden, type Owner, slotOf } from "./owner-state.ts";
import { addMark, type MarkDraft } from "./quarantine.ts";
import type { Parked, Slot } from "./slot.ts";
import { isTooLarge } from "./state-size.ts";
import { publishNow } from "./views.ts";

type OperateInput = Extract<Input, { kind: "operate" }>;
type RebuiltInput = Extract<Input, { kind: "rebuilt" }>;

export function takeOperate(owner: Owner, input: OperateInput, effects: Effect[]): void {
  const { call, caller, nowMs } = input;
  const answer = (result: CallResult) => effects.push({ kind: "reply", caller, result });
  if (call.principal.kind !== "operator") return void answer(forbidden());
  if (!owner.definitions.has(call.entity.type))
    return void answer(failure("unknown-type", `No entity type "${call.entity.type}".`));
  if (!isKey(call.entity.key))
    return void answer(failure("invalid-key", "A key is 1 to 128 of letters, digits, _ and -."));
  const slot = slotOf(owner, call.entity);
  const parked = slot?.parked;
  if (slot === undefined || parked === undefined)
    return void answer(refusal("not-parked", "The entity is not parked; there is nothing to do."));
  if (call.ifParkedAt !== undefined && call.ifParkedAt !== parked.at)
    return void answer({
      ...failure("version-mismatch", `The entity was parked at ${parked.at}, not at ${call.ifParkedAt}.`),
      version: parked.at,
    });
  if (owner.full) return void answer(diskFull());
  const refused = carryOut(owner, slot, parked, call, { caller, nowMs }, effects);
  if (refused !== undefined) answer(refused);
}

interface Asked {
  readonly caller: Caller;
  readonly nowMs: number;
}

function carryOut(
  owner: Owner,
  slot: Slot,
  parked: Parked,
  call: OperatorCall,
  asked: Asked,
  effects: Effect[],
): CallFailure | undefined {
  const { verb, principal } = call;
  switch (verb) {
    case "inspect":
      return record(owner, slot, { verb, principal }, asked, effects);
    case "repair": {
      const state = plainState(owner, slot, call.state);
      return "failure" in state
        ? state.failure
        : record(owner, slot, { verb, principal, state: { value: state.value } }, asked, effects);
    }
    case "skip":
      if (parked.park.why === "too-large")
        return refusal("nothing-to-skip", "The state is too large as it is; repair it, or raise the limit and resume.");
      if (parked.park.poison === 0) return record(owner, slot, { verb, principal, park: parked.park }, asked, effects);
      if (slot.touched >= owner.durable) return rebuilding();
      effects.push({
        kind: "rebuild",
        order: {
          entity: slot.ref,
          from: owner.cold?.(slot.ref)?.image,
          below: owner.tail,
          without: parked.park.poison,
          asked: { caller: asked.caller, principal },
        },
      });
      return undefined;
    case "resume":
      if (parked.stuck)
        return refusal("poisoned", "The log holds a record that this code cannot evolve; skip it or repair the state.");
      if (!parked.good) return rebuilding();
      if (isTooLarge(slot, owner.limits)) return refusal("too-large", "The state is over its limit; repair it.");
      return record(owner, slot, { verb, principal }, asked, effects);
    default:
      verb satisfies never;
      return failure("not-found", "An operator may inspect, skip, repair and resume.");
  }
}

function rebuilding(): CallFailure {
  return failure("unavailable", "The entity's last good state is being rebuilt from the log; ask again.");
}

function refusal(reason: string, detail: string): CallFailure {
  return { ...failure("rejected", detail), reason, details: null };
}

function record(
  owner: Owner,
  slot: Slot,
  draft: MarkDraft,
  { caller, nowMs }: Asked,
  effects: Effect[],
): CallFailure | undefined {
  const { parked } = slot;
  const at = addMark(owner, slot, draft, nowMs, effects);
  const value = draft.verb === "inspect" ? inspection(slot, parked) : summary(slot, parked, draft.left ?? []);
  const result: CallResult = { ok: true, value, version: slot.version };
  holdUntilDurable(owner.gate, at, owner.durable, { kind: "reply", caller, result }, effects);
  return undefined;
}

/** Everything that is needed to run the command again on another machine: `given(entity, [], { state }).when(…)`. */
function inspection(slot: Slot, parked: Parked | undefined): Plain {
  return {
    ...summary(slot, parked, []),
    type: slot.ref.type,
    key: slot.ref.key,
    error: parked?.park.error ?? null,
    poison: parked?.park.poison ?? 0,
    captured: (parked?.park.captured ?? null) as unknown as Plain,
    state: parked?.good === true ? plainOrNull(slot.state) : null,
    timers: [...slot.timers.values()].map(({ name, dueMs, command, input }) => ({ name, dueMs, command, input })),
    sends: [...slot.outbox.values()].map(({ to, queue }) => ({ to: formatRef(to), waiting: queue.size })),
  };
}

function summary(slot: Slot, parked: Parked | undefined, left: readonly Offset[]): { [name: string]: Plain } {
  return {
    parked: slot.parked !== undefined,
    parkedAt: parked?.at ?? 0,
    sinceMs: parked?.sinceMs ?? 0,
    why: parked?.park.why ?? null,
    readable: slot.parked?.good !== false,
    version: slot.version,
    left,
  };
}

const whole = { depthMax: 256, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };

function plainOrNull(state: unknown): Plain {
  try {
    return copyPlain(state as Plain, whole).value;
  } catch {
    return null;
  }
}

/** An operator may give back what `inspect` showed: sealed values as they are. */
function plainState(
  owner: Owner,
  slot: Slot,
  state: unknown,
): { readonly value: Plain } | { readonly failure: CallFailure } {
  const { depthMax, stateBytesMax } = owner.limits;
  try {
    const { value } = copyPlain(state as Plain, {
      depthMax,
      bytesMax: stateBytesMax,
      sealed: slot.definition.personal,
    });
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { value };
    return { failure: failure("invalid-input", "A repair takes the whole state, as an object.") };
  } catch (fault) {
    if (!(fault instanceof PlainError)) throw fault;
    const code = fault.reason === "not-plain" ? "invalid-input" : "too-large";
    return { failure: failure(code, `In the state: ${fault.message}.`) };
  }
}

/** The runtime has rebuilt a state from the log: after an evolve that threw, or for a skip. */
export function takeRebuilt(owner: Owner, input: RebuiltInput, effects: Effect[]): void {
  const { order, built } = input;
  const slot = slotOf(owner, order.entity);
  const parked = slot?.parked;
  if (order.asked !== undefined) return finishSkip(owner, input, order.asked, slot, effects);
  if (slot === undefined || parked === undefined || parked.good || parked.below !== order.below) return;
  if (built === undefined) {
    const where = `rebuild of ${formatRef(order.entity)} up to offset ${order.below}`;
    effects.push({ kind: "fault", where, error: new Error("its records could not be read or evolved again") });
    return;
  }
  slot.state = built.state;
  slot.version = built.version;
  parked.good = true;
  noteChange(owner, slot);
  publishNow(owner, slot, effects);
}

function finishSkip(
  owner: Owner,
  { order, built, nowMs }: RebuiltInput,
  asked: { readonly caller: Caller; readonly principal: Principal },
  slot: Slot | undefined,
  effects: Effect[],
): void {
  const { caller, principal } = asked;
  const answer = (result: CallResult) => effects.push({ kind: "reply", caller, result });
  // somebody else's verb came first, and its mark may have changed the state
  if (slot?.parked === undefined || slot.parked.park.poison !== order.without || slot.touched >= order.below)
    return void answer(refusal("not-parked", "Somebody else dealt with the entity meanwhile; look again."));
  if (built === undefined)
    return void answer(refusal("poisoned", "The state cannot be rebuilt without that record; repair it instead."));
  const state = plainState(owner, slot, built.state);
  if ("failure" in state) return void answer(state.failure);
  const draft: MarkDraft = { verb: "skip", principal, state: { value: state.value }, left: built.left };
  record(owner, slot, draft, { caller, nowMs }, effects);
}
