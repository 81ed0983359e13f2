/**
 * What operators see of calls and do to them.
 *
 * Invariant: what is shown is durable; what is done is a record that names the principal, and only operators do it.
 */
import type { CallStatus, Cause } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { startCall } from "./call-start.ts";
import type { Call } from "./call-state.ts";
import { endCall, findCall, noteOnly } from "./calls.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { checkRoom, failure, forbidden, type Owner } from "./owner-state.ts";
import { quarantined } from "./quarantine.ts";
import { isParked, type Slot } from "./slot.ts";

/** Calls of the shard that stand, or of these the parked ones; at most `limit` of them. */
export function listCalls(owner: Owner, input: Extract<Input, { kind: "list-calls" }>, effects: Effect[]): void {
  const { caller, filter } = input;
  const list: CallStatus[] = [];
  for (const slot of owner.calling) {
    if (filter.type !== undefined && filter.type !== slot.ref.type) continue;
    for (const call of slot.calls.values()) {
      if ((call.parked || filter.parked !== true) && list.length < filter.limit) list.push(statusOf(slot, call));
    }
  }
  const at = owner.tail - 1;
  const value = list as unknown as Plain;
  holdUntilDurable(
    owner.gate,
    at,
    owner.durable,
    { kind: "reply", caller, result: { ok: true, value, version: at } },
    effects,
  );
}

function statusOf(slot: Slot, call: Call): CallStatus {
  const { id, body, madeMs, failed, dueMs, lastError, parked, underway } = call;
  return {
    entity: { type: slot.ref.type, key: slot.ref.key },
    id,
    name: body.name,
    input: body.input,
    phase: parked ? "parked" : underway ? "underway" : "waiting",
    madeMs,
    failed,
    dueMs: parked || underway ? null : dueMs,
    lastError: lastError ?? null,
  };
}

/** Has a parked call tried again, or gives a call up. */
export function operateCall(owner: Owner, input: Extract<Input, { kind: "operate-call" }>, effects: Effect[]): void {
  const { caller, order } = input;
  const refuse = (result: ReturnType<typeof failure>) => effects.push({ kind: "reply", caller, result });
  if (order.principal.kind !== "operator") return void refuse(forbidden());
  const standing = findCall(owner, order.entity, order.id);
  if (standing === undefined || (order.verb === "retry" && !standing.call.parked)) {
    const detail = order.verb === "retry" ? "No such call is parked." : "No such call stands; it may be settled.";
    return void refuse(failure("not-found", detail));
  }
  const { slot, call } = standing;
  const busy = isParked(slot) ? quarantined(slot) : checkRoom(owner, slot);
  if (busy !== undefined) return void refuse(busy);
  const { principal: by } = order;
  if (order.verb === "retry") {
    noteOnly(owner, standing, { kind: "call-retried", call: call.id, by }, input, effects);
    startCall(owner, slot, call, effects);
  } else {
    const cause: Cause = { kind: "call-dropped", call: call.id, by };
    const reason = call.lastError ?? "An operator gave it up.";
    const refused = endCall(owner, standing, cause, { ok: false, code: "dropped", reason }, input, effects);
    // a result command that throws must not keep an operator from getting rid of the call
    if (refused !== undefined && isParked(slot)) return void refuse(quarantined(slot));
    if (refused !== undefined) noteOnly(owner, standing, cause, input, effects);
  }
  const result = { ok: true, value: null, version: slot.version } as const;
  holdUntilDurable(owner.gate, slot.touched, owner.durable, { kind: "reply", caller, result }, effects);
}
