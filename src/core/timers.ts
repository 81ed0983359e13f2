/**
 * Durable timers of a shard: which of its entities wakes next.
 *
 * Invariants:
 * 1. A timer fires at most once in the log: the record of its firing names it, and `applyRecord` takes it away. It fires
 *    at least once, because a slot keeps it until then and replay puts it back.
 * 2. Never early: a firing is decided only at a recorded time at or after `dueMs`.
 * 3. An alarm in the heap is a hint: the slot decides whether the timer it names still stands.
 */
import type { Chance } from "../model/entity.ts";
import { type Alarm, backoff, retryDelay } from "./alarms.ts";
import { wakeCall } from "./calls.ts";
import type { Effect } from "./effects.ts";
import { deliverNext } from "./outbox.ts";
import { checkRoom, type Owner, systemPrincipal } from "./owner-state.ts";
import { isParked } from "./slot.ts";
import { mayPass, parkAfterTries, runStep, type StepFacts } from "./step.ts";
import { validateInput } from "./user-code.ts";

/** Fires what is due. Stops early when the log cannot take more; the rest stays due. */
export function fireTimers(owner: Owner, nowMs: number, chance: Chance, effects: Effect[]): void {
  const { heap } = owner.alarms;
  for (let first = heap.peek(); first !== undefined && first.dueMs <= nowMs; first = heap.peek()) {
    if (checkRoom(owner, first.slot) !== undefined) {
      effects.push({ kind: "wake", atMs: nowMs + retryDelay.firstMs });
      return;
    }
    heap.pop();
    if (first.kind === "send") deliverNext(owner, first.slot, first.outbox, effects);
    else if (first.kind === "call") wakeCall(owner, first, { nowMs, chance }, effects);
    else fire(owner, first, nowMs, chance, effects);
    if (owner.phase !== "serving") return;
  }
  const next = heap.peek();
  if (next !== undefined) effects.push({ kind: "wake", atMs: next.dueMs });
}

function fire(
  owner: Owner,
  alarm: Extract<Alarm, { kind: "timer" }>,
  nowMs: number,
  chance: Chance,
  effects: Effect[],
): void {
  const { slot, timer } = alarm;
  // held; armed again when an operator resumes the entity
  if (slot.parked !== undefined) return;
  if (slot.timers.get(timer.name)?.setAt !== timer.setAt) return;
  const { commands, personal } = slot.definition;
  const valid = validateInput(commands.get(timer.command)?.input, timer.input, owner.limits, personal);
  const facts: StepFacts = {
    command: timer.command,
    value: valid.ok ? valid.value : timer.input,
    input: timer.input,
    principal: systemPrincipal,
    cause: { kind: "timer", name: timer.name, setAt: timer.setAt },
    nowMs,
    chance,
    mayCreate: true,
  };
  const result = runStep(owner, slot, facts, effects);
  if (result.recorded || isParked(slot)) return;
  const throws = alarm.throws + (mayPass(result.failure) ? 0 : 1);
  if (throws >= owner.limits.triesMax) {
    parkAfterTries(owner, slot, facts, result.failure, effects);
    return;
  }
  const dueMs = nowMs + backoff(alarm.failures);
  owner.alarms.heap.push({ ...alarm, dueMs, failures: alarm.failures + 1, throws });
}
