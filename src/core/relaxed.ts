/**
 * Relaxed commands: answered before their record is durable, with a loss window that is enforced.
 *
 *   answered --wait 0.4--> cut --the append in flight ends, <= 0.25--> appended --<= 0.25--> durable     of `windowMs`
 *
 * Invariants:
 * 1. An answer leaves early only if the log, as fast as it is at present, makes it durable within its window.
 * 2. While an early answer is older than its window and not durable, no other leaves early: they wait at the gate. So
 *    what a crash takes back was answered within one window, however long the log did not answer.
 * 3. Nothing but the reply leaves early: views, sends, queries and durable replies go through the gate.
 */
import type { Durability } from "../model/entity.ts";
import { relaxedShare } from "../model/limits.ts";
import type { Owner } from "./owner-state.ts";

/** Until when answers may leave early: the end of the first window of those in flight, and of those that are pending. */
export interface Relaxed {
  inFlightMs: number;
  pendingMs: number;
}

const never = Number.POSITIVE_INFINITY;

export function makeRelaxed(): Relaxed {
  return { inFlightMs: never, pendingMs: never };
}

/** The window in which a command that is taken in now may be answered early; 0 if it is to be answered when durable. */
export function mayAnswerEarly(
  owner: Owner,
  durability: Durability | undefined,
  { nowMs, appendMs }: { readonly nowMs: number; readonly appendMs: number },
): number {
  if (durability === undefined || durability === "durable") return 0;
  const { windowMs } = durability.relaxed;
  if (appendMs > windowMs * relaxedShare.append || !answersEarly(owner, nowMs)) return 0;
  // What is pending must go into the log with one append, and callers who do not wait leave room for those who do.
  const { appendRecordsMax, appendBytesMax, mailboxMax, inflightRecordsMax } = owner.limits;
  if (owner.tail - owner.durable >= Math.min(appendRecordsMax, mailboxMax, inflightRecordsMax) / 2) return 0;
  if (owner.pendingBytes - owner.cutBytes > appendBytesMax / 4) return 0;
  return windowMs;
}

/** No early answer is older than its window. */
export function answersEarly({ relaxed }: Owner, nowMs: number): boolean {
  return nowMs < relaxed.inFlightMs && nowMs < relaxed.pendingMs;
}

/** An answer leaves early; its record is pending and must be durable by `dueMs`. */
export function noteEarly({ relaxed }: Owner, dueMs: number): void {
  relaxed.pendingMs = Math.min(relaxed.pendingMs, dueMs);
}

/** Pending records were cut, perhaps not all of them. */
export function noteCut(relaxed: Relaxed, all: boolean): void {
  relaxed.inFlightMs = relaxed.pendingMs;
  if (all) relaxed.pendingMs = never;
}

/** What was in flight is durable. */
export function noteDurable(relaxed: Relaxed): void {
  relaxed.inFlightMs = never;
}
