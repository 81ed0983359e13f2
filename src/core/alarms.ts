/**
 * When something of a shard is due: its timers, and sends and calls to be tried again.
 *
 * Invariant: an alarm is a hint. The slot it names decides whether the timer, send or call still stands.
 */
import type { Offset } from "../model/ids.ts";
import type { TimerChange } from "../model/records.ts";
import { Heap } from "../std/heap.ts";
import type { Call } from "./call-state.ts";
import type { Effect } from "./effects.ts";
import type { Owner } from "./owner-state.ts";
import type { Outbox, Slot, Timer } from "./slot.ts";

export type Alarm =
  | {
      readonly kind: "timer";
      readonly dueMs: number;
      readonly slot: Slot;
      readonly timer: Timer;
      readonly failures: number;
      /** How many of them the author's code threw. */
      readonly throws: number;
    }
  | { readonly kind: "send"; readonly dueMs: number; readonly slot: Slot; readonly outbox: Outbox }
  | { readonly kind: "call"; readonly dueMs: number; readonly slot: Slot; readonly call: Call };

export interface Alarms {
  readonly heap: Heap<Alarm>;
}

/** Waits between attempts of something that failed: 50 ms doubling to a minute. */
export const retryDelay = { firstMs: 50, mostMs: 60_000 };

export function makeAlarms(): Alarms {
  return { heap: new Heap<Alarm>((alarm) => alarm.dueMs) };
}

/** Puts the timers that a record set into the heap. */
export function armTimers(
  owner: Owner,
  slot: Slot,
  changes: readonly TimerChange[],
  at: Offset,
  effects?: Effect[],
): void {
  for (const change of changes) {
    const timer = slot.timers.get(change.name);
    if (timer === undefined || timer.setAt !== at) continue;
    owner.alarms.heap.push({ kind: "timer", dueMs: timer.dueMs, slot, timer, failures: 0, throws: 0 });
    effects?.push({ kind: "wake", atMs: timer.dueMs });
  }
}

/** Tries an outbox again after its last failure's delay. */
export function retryLater(owner: Owner, slot: Slot, outbox: Outbox, nowMs: number, effects: Effect[]): void {
  const dueMs = nowMs + backoff(outbox.failures++);
  owner.alarms.heap.push({ kind: "send", dueMs, slot, outbox });
  effects.push({ kind: "wake", atMs: dueMs });
}

export function armCall(owner: Owner, slot: Slot, call: Call, dueMs: number, effects: Effect[]): void {
  owner.alarms.heap.push({ kind: "call", dueMs, slot, call });
  effects.push({ kind: "wake", atMs: dueMs });
}

export function backoff(failures: number): number {
  return Math.min(retryDelay.mostMs, retryDelay.firstMs * 2 ** Math.min(failures, 20));
}
