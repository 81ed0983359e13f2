/**
 * The calls of one entity: what its records say of each, and what the present incarnation knows beside that.
 *
 * Invariant: all but `underway` and `answer` is a function of the entity's records. A call stands from the record it was
 * made in to the one that settles it; of the attempts at it, the one record of cause `called` or `call-dropped` counts.
 */
import type { Offset } from "../model/ids.ts";
import type { CallImage } from "../model/images.ts";
import type { CallBody, CallId, StepRecord } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import type { SmallMap } from "../std/small-map.ts";

/** What an attempt came to. `final`: no further attempt can do better. */
export type CallAnswer =
  | { readonly ok: true; readonly value: Plain }
  | { readonly ok: false; readonly error: string; readonly final: boolean };

export interface Call {
  readonly id: CallId;
  readonly body: CallBody;
  /** Recorded time of the record it was made in. */
  readonly madeMs: number;
  /** Offset of the last record about it: what the next attempt rests on. */
  touched: Offset;
  /** Attempts that failed, and how many may before it is parked. */
  failed: number;
  allowed: number;
  /** When the next attempt is due. */
  dueMs: number;
  lastError: string | undefined;
  parked: boolean;
  /** An attempt was handed to the runtime and not heard of since. */
  underway: boolean;
  /** What that attempt came to, while it cannot be recorded. */
  answer: CallAnswer | undefined;
}

/** The key of `Slot.calls`. */
export function callName(id: CallId): string {
  return `${id.at}.${id.index}`;
}

/** What a record says of calls: those it makes, and the one it is about. */
export function applyCalls(calls: SmallMap<string, Call>, record: StepRecord, at: Offset): void {
  const { cause } = record;
  switch (cause.kind) {
    case "called":
    case "call-dropped":
      calls.delete(callName(cause.call));
      break;
    case "call-failed":
    case "call-retried":
      applyToCall(calls.get(callName(cause.call)), cause, at);
      break;
    default:
  }
  if (record.calls.length > 0) addCalls(calls, record, at);
}

function addCalls(calls: SmallMap<string, Call>, record: StepRecord, at: Offset): void {
  for (const [index, body] of record.calls.entries()) {
    const call: Call = {
      id: { at, index },
      body,
      madeMs: record.time,
      touched: at,
      failed: 0,
      allowed: body.attempts,
      dueMs: 0,
      lastError: undefined,
      parked: false,
      underway: false,
      answer: undefined,
    };
    calls.set(callName(call.id), call);
  }
}

type Change = Extract<StepRecord["cause"], { kind: "call-failed" | "call-retried" }>;

function applyToCall(call: Call | undefined, change: Change, at: Offset): void {
  if (call === undefined) return;
  call.touched = at;
  call.underway = false;
  call.answer = undefined;
  if (change.kind === "call-failed") {
    call.failed = change.attempt;
    call.lastError = change.error;
    call.parked = change.retryAtMs === null;
    call.dueMs = change.retryAtMs ?? 0;
  } else {
    call.parked = false;
    call.allowed = call.failed + call.body.attempts;
    call.dueMs = 0;
  }
}

export function imageOfCall(call: Call): CallImage {
  const { id, body, madeMs, touched, failed, allowed, dueMs, lastError, parked } = call;
  return { id, body, madeMs, touched, failed, allowed, dueMs, lastError: lastError ?? null, parked };
}

/** Nothing is under way: the incarnation that made the image is over. */
export function callFrom(image: CallImage): Call {
  return { ...image, lastError: image.lastError ?? undefined, underway: false, answer: undefined };
}
