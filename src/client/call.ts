/**
 * One command or query on its way, and what is known of its outcome.
 *
 *   queued -> in flight -> settled
 *     ^          |
 *     +- waiting +   (refused for now; asked again after a while)
 *
 * Invariant: `mayHaveRun` is false only if it is certain that the command was not carried out: it was never given to a
 * socket, or each time it was the server said so.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { Plain } from "../std/plain.ts";
import type { ClientMessage, ServerMessage } from "../wire/protocol.ts";
import type { Reply } from "./types.ts";

export type ErrorMessage = Extract<ServerMessage, { t: "error" }>;

/** What is asked for. */
export interface Request {
  readonly kind: "command" | "query";
  readonly type: string;
  readonly key: string;
  readonly name: string;
  readonly input: Plain | undefined;
  readonly inputBytes: number;
  readonly ifVersion: Offset | undefined;
  /** Of a query that a copy may answer. */
  readonly local: { readonly lagMs?: number | undefined } | undefined;
}

export interface Call {
  readonly request: Request;
  /** Its index among the unsettled calls. */
  place: number;
  /** Of a command the request id, undefined until it is first sent; of a query its number. */
  id: string | number | undefined;
  /** The id was given by the caller and may not be replaced. */
  readonly idGiven: boolean;
  state: "queued" | "in-flight" | "waiting" | "settled";
  /** Times the server refused it for now. */
  refusals: number;
  mayHaveRun: boolean;
  /** A retry that the budget paid for and that has no answer yet. */
  paid: boolean;
  /** What went wrong last. */
  problem: HoldfastError | undefined;
  /** By the monotonic clock. */
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Listens to `signal`. */
  abort: () => void;
  cancelWait: () => void;
  readonly resolve: (reply: Reply<Plain>) => void;
  readonly reject: (error: HoldfastError) => void;
}

/** What the server's answer means for a call. */
export type Verdict = "final" | "again" | "new-id";

/** After these the command was not carried out by the attempt they answer. Others of class `retry` leave it open. */
const certainlyNot: ReadonlySet<string> = new Set(["overloaded", "unavailable"]);
/** These come from the entity, after the server looked whether the request id was used before. */
const outcome: ReadonlySet<string> = new Set([
  "rejected",
  "version-mismatch",
  "invalid-input",
  "decide-failed",
  "too-large",
]);
const staleId: ReadonlySet<string> = new Set(["request-expired", "invalid-request-id"]);

export function judge(call: Call, error: HoldfastError): Verdict {
  // `redirect`: who asks again, asks a door that has heard more meanwhile.
  if (error.retryable || error.recovery === "redirect") {
    if (!certainlyNot.has(error.code)) call.mayHaveRun ||= call.request.kind === "command";
    return "again";
  }
  // An id that lay in a queue too long, or was made before our clock was corrected.
  if (staleId.has(error.code) && !call.mayHaveRun && !call.idGiven && call.refusals === 0) return "new-id";
  return "final";
}

/** The error to settle with, after a final answer. */
export function finalError(call: Call, error: HoldfastError): HoldfastError {
  if (!call.mayHaveRun || outcome.has(error.code)) return error;
  return outcomeUnknown(call, `It was asked before without an answer, and then refused (${error.code}).`, error);
}

/** The error to settle with when there will be no answer. */
export function unansweredError(call: Call, why: string, connected: boolean): HoldfastError {
  if (call.mayHaveRun) return outcomeUnknown(call, why, call.problem);
  const { problem } = call;
  const options = { details: detailsOf(call), ...(problem === undefined ? undefined : { cause: problem }) };
  // The server's own word says more than that there was no time left.
  if (problem !== undefined && problem.retryable)
    return new HoldfastError(problem.code, `${why} ${problem.message}`, options);
  const code = !connected ? "disconnected" : call.state === "in-flight" ? "unavailable" : "overloaded";
  return new HoldfastError(code, why, options);
}

/** The error to settle with when the client is closed because of `error`. */
export function closedError(call: Call, error: HoldfastError): HoldfastError {
  if (call.mayHaveRun) return outcomeUnknown(call, error.message, error);
  return new HoldfastError(error.code, error.message, { cause: error.cause, details: detailsOf(call) });
}

export function abortedError(call: Call, signal: AbortSignal): HoldfastError {
  return new HoldfastError("aborted", "The caller cancelled.", {
    cause: signal.reason,
    details: {
      ...detailsOf(call),
      sent: call.mayHaveRun || (call.state === "in-flight" && call.request.kind === "command"),
    },
  });
}

function outcomeUnknown(call: Call, why: string, cause: HoldfastError | undefined): HoldfastError {
  return new HoldfastError("outcome-unknown", `The command may have been carried out. ${why}`, {
    details: detailsOf(call),
    ...(cause === undefined ? undefined : { cause }),
  });
}

function detailsOf(call: Call): Record<string, unknown> {
  return typeof call.id === "string" ? { requestId: call.id } : {};
}

export function errorOf(call: Call, message: ErrorMessage): HoldfastError {
  const { code, detail, reason, details, version, durable, retryAfterMs } = message;
  return new HoldfastError(code, detail, {
    details: {
      ...detailsOf(call),
      ...(reason === undefined ? undefined : { reason }),
      ...(details === undefined ? undefined : { details }),
      ...(version === undefined ? undefined : { version }),
      ...(durable === false ? { durable } : undefined),
      ...(retryAfterMs === undefined ? undefined : { retryAfterMs }),
    },
  });
}

/** The message of a call that has its id. */
export function messageOf(call: Call): ClientMessage {
  const { kind, type, key, name, input, ifVersion, local } = call.request;
  const rest = { type, key, name, ...(input === undefined ? undefined : { input }) };
  return kind === "query"
    ? { t: "query", id: call.id as number, ...rest, ...readOf(local) }
    : { t: "command", id: call.id as string, ...rest, ...(ifVersion === undefined ? undefined : { ifVersion }) };
}

function readOf(local: Request["local"]): { readonly consistency?: "local"; readonly lagMs?: number } {
  if (local === undefined) return {};
  return { consistency: "local", ...(local.lagMs === undefined ? undefined : { lagMs: local.lagMs }) };
}
