/**
 * The start of attempts at calls.
 *
 * Invariant: an attempt leaves only when every record it rests on is durable: the one that made the call, the one of the
 * failure before, the operator's; and only while its call stands. Those of one shard leave in the order of these records. A
 * parked entity starts none.
 */
import type { StepRecord } from "../model/records.ts";
import { armCall } from "./alarms.ts";
import { type Call, callName } from "./call-state.ts";
import type { Effect } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import type { Apart, Owner } from "./owner-state.ts";
import type { Slot } from "./slot.ts";

/** True if a record makes calls or settles one. */
export function concernsCalls(record: StepRecord): boolean {
  return record.calls.length > 0 || record.cause.kind === "called" || record.cause.kind === "call-dropped";
}

/** After a record about calls: keeps the owner's list of the entities that have any. */
export function trackCalls(apart: Apart, slot: Slot): void {
  if (slot.calls.size > 0) apart.calling.add(slot);
  else apart.calling.delete(slot);
}

/** After a record that made calls. */
export function noteCalls(owner: Owner, slot: Slot, effects: Effect[]): void {
  trackCalls(owner, slot);
  for (const call of slot.calls.values()) if (call.id.at === slot.touched) startCall(owner, slot, call, effects);
}

/** After a recovery: every call that stands is tried again, or waits for its time. */
export function startCalls(owner: Owner, nowMs: number, effects: Effect[]): void {
  const standing: { readonly slot: Slot; readonly call: Call }[] = [];
  for (const slot of owner.calling) for (const call of slot.calls.values()) standing.push({ slot, call });
  standing.sort((one, other) => one.call.touched - other.call.touched || one.call.id.index - other.call.id.index);
  for (const { slot, call } of standing) {
    if (call.parked) continue;
    if (call.dueMs > nowMs) armCall(owner, slot, call, call.dueMs, effects);
    else startCall(owner, slot, call, effects);
  }
}

/** After an entity was parked: its calls go on, and what came of the attempts under way is recorded. */
export function resumeCalls(owner: Owner, slot: Slot, nowMs: number, effects: Effect[]): void {
  for (const call of slot.calls.values()) {
    if (call.parked) continue;
    if (call.answer !== undefined || call.dueMs > nowMs)
      armCall(owner, slot, call, Math.max(nowMs, call.dueMs), effects);
    else startCall(owner, slot, call, effects);
  }
}

export function startCall(owner: Owner, slot: Slot, call: Call, effects: Effect[]): void {
  if (call.parked || call.underway || slot.parked !== undefined) return;
  call.underway = true;
  const { id, body, madeMs } = call;
  const effect: Effect = { kind: "call", entity: slot.ref, id, body, madeMs, attempt: call.failed + 1 };
  holdUntilDurable(owner.gate, call.touched, owner.durable, effect, effects);
}

/** False of an attempt whose call a later record has settled while it waited to leave: an operator dropped it. */
export function isWanted(owner: Owner, effect: Effect): boolean {
  if (effect.kind !== "call") return true;
  const call = owner.slots.peek(effect.entity)?.calls.get(callName(effect.id));
  return call?.underway === true && effect.attempt === call.failed + 1;
}
