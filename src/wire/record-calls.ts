/**
 * The parts of records and images that calls have, as arrays: calls that were made, causes that are about a call, and calls
 * that stand.
 *
 * Invariant: as in `record.ts`: positions never change meaning.
 */
import { HoldfastError } from "../model/errors.ts";
import type { CallImage } from "../model/images.ts";
import type { CallBody, CallFailurePlan, CallId, Cause, Principal } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";

export const callCauses = { called: 4, failed: 5, retried: 6, dropped: 7 } as const;

export type CallCause = Extract<Cause, { kind: "called" | "call-failed" | "call-retried" | "call-dropped" }>;

type Row = unknown[];

const plans = ["park", "tell", "settle"] as const;

export function callToRow(call: CallBody): Row {
  const { name, input, result, timeoutMs, attempts, failure, context } = call;
  const row: Row = [name, input, result ?? null, timeoutMs, attempts, plans.indexOf(failure)];
  if (context !== undefined) row.push(context);
  return row;
}

export function callFromRow(row: Row): CallBody {
  const [name, input, result, timeoutMs, attempts, plan] = row as [
    string,
    Plain,
    string | null,
    number,
    number,
    number,
  ];
  const failure: CallFailurePlan | undefined = plans[plan];
  if (failure === undefined) throw unknown("call plan", plan);
  return {
    name,
    input,
    ...(result === null ? {} : { result }),
    ...(row.length > 6 ? { context: row[6] as Plain } : {}),
    timeoutMs,
    attempts,
    failure,
  };
}

export function callImageToRow(call: CallImage): Row {
  const { id, body, madeMs, touched, failed, allowed, dueMs, lastError, parked } = call;
  return [id.at, id.index, callToRow(body), madeMs, touched, failed, allowed, dueMs, lastError, parked];
}

export function callImageFromRow(row: Row): CallImage {
  const [at, index, body, madeMs, touched, failed, allowed, dueMs] = row as [number, number, Row, ...number[]];
  return {
    id: { at, index },
    body: callFromRow(body),
    madeMs: madeMs as number,
    touched: touched as number,
    failed: failed as number,
    allowed: allowed as number,
    dueMs: dueMs as number,
    lastError: row[8] as string | null,
    parked: row[9] as boolean,
  };
}

export function callCauseToRow(cause: CallCause): Row {
  const { at, index } = cause.call;
  switch (cause.kind) {
    case "called":
      return [callCauses.called, at, index, cause.attempt];
    case "call-failed":
      return [callCauses.failed, at, index, cause.attempt, cause.error, cause.retryAtMs];
    case "call-retried":
      return [callCauses.retried, at, index, principalToRow(cause.by)];
    default:
      return [callCauses.dropped, at, index, principalToRow(cause.by)];
  }
}

/** @throws `log-damaged` a kind this code does not know */
export function callCauseFromRow(row: Row): CallCause {
  const [kind, at, index, fourth, error, retryAtMs] = row as [number, number, number, unknown, string, number | null];
  const call: CallId = { at, index };
  switch (kind) {
    case callCauses.called:
      return { kind: "called", call, attempt: fourth as number };
    case callCauses.failed:
      return { kind: "call-failed", call, attempt: fourth as number, error, retryAtMs };
    case callCauses.retried:
      return { kind: "call-retried", call, by: principalFromRow(fourth as Row) };
    case callCauses.dropped:
      return { kind: "call-dropped", call, by: principalFromRow(fourth as Row) };
    default:
      throw unknown("cause", kind);
  }
}

function principalToRow(principal: Principal): Row {
  const row: Row = [principal.kind, principal.id];
  if (principal.roles !== undefined) row.push([...principal.roles]);
  return row;
}

function principalFromRow(row: Row): Principal {
  const [kind, id, roles] = row as [Principal["kind"], string, string[] | undefined];
  return { kind, id, ...(roles === undefined ? {} : { roles }) };
}

function unknown(what: string, kind: unknown): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `The log holds a ${what} of kind ${String(kind)}, which this version does not know. Run the version that wrote it.`,
  );
}
