/**
 * The closed catalogue of errors, keyed by what the caller should do.
 *
 * Invariant: every error that leaves Holdfast carries one of these codes; nobody has to parse a message. Each code has
 * a section in `docs/errors/README.md` (a test compares the two lists).
 *
 * Recovery:
 * - `retry`    the same request, with the same request id, may succeed later; nothing happened, or it is safe to ask again
 * - `redirect` another node serves it
 * - `reject`   asking again without a change gives the same answer
 * - `crash`    an invariant or the disk is broken: the process stops rather than serve from bad state
 */

export type Recovery = "retry" | "redirect" | "reject" | "crash";

interface Entry {
  readonly recovery: Recovery;
  readonly status: number;
  readonly title: string;
}

export const catalogue = {
  // what the caller sent
  "invalid-frame": { recovery: "reject", status: 400, title: "The bytes are not a message of this protocol" },
  "invalid-input": { recovery: "reject", status: 400, title: "The input does not fit the schema" },
  "invalid-key": { recovery: "reject", status: 400, title: "The entity key is not 1 to 128 of A-Z a-z 0-9 _ -" },
  "invalid-request-id": { recovery: "reject", status: 400, title: "The request id is not a UUIDv7 of about now" },
  "too-large": { recovery: "reject", status: 413, title: "The message, event, reply or state is over its size limit" },
  "unknown-type": { recovery: "reject", status: 404, title: "No entity type of this name" },
  "unknown-command": { recovery: "reject", status: 404, title: "The entity type has no command of this name" },
  "unknown-query": { recovery: "reject", status: 404, title: "The entity type has no query of this name" },
  "unknown-view": { recovery: "reject", status: 404, title: "The entity type has no view of this name" },
  "invalid-cursor": { recovery: "reject", status: 400, title: "The cursor is none of this service's feeds" },
  "cursor-lost": { recovery: "reject", status: 410, title: "The records after this cursor are not kept any more" },
  "not-found": { recovery: "reject", status: 404, title: "No such path" },
  "method-not-allowed": { recovery: "reject", status: 405, title: "The path does not take this method" },
  "unsupported-media-type": { recovery: "reject", status: 415, title: "The body is not application/json" },
  "request-timeout": { recovery: "retry", status: 408, title: "The request did not arrive whole in time" },
  unauthenticated: { recovery: "reject", status: 401, title: "No valid token" },
  forbidden: { recovery: "reject", status: 403, title: "This principal may not do this" },
  "origin-refused": { recovery: "reject", status: 403, title: "The page's origin is not on the list" },
  // what the entity or the log answered
  rejected: { recovery: "reject", status: 409, title: "The entity refused the command" },
  "version-mismatch": { recovery: "reject", status: 412, title: "The entity is not at the version that was expected" },
  "request-expired": { recovery: "reject", status: 410, title: "The request id is older than the dedup window" },
  quarantined: {
    recovery: "reject",
    status: 423,
    title: "The entity is parked at its last good version until an operator resumes it",
  },
  "projection-failed": {
    recovery: "reject",
    status: 500,
    title: "The projection's code cannot go on; nothing newer than its documents is known",
  },
  "decide-failed": { recovery: "reject", status: 500, title: "The command's code threw; nothing was changed" },
  // ask again
  overloaded: { recovery: "retry", status: 503, title: "A limit is reached" },
  unavailable: { recovery: "retry", status: 503, title: "The shard is not being served at the moment" },
  fenced: { recovery: "retry", status: 503, title: "Another owner claimed the shard" },
  "disk-full": { recovery: "retry", status: 507, title: "The log has no space to write to" },
  "outcome-unknown": {
    recovery: "retry",
    status: 504,
    title: "No answer in time; the command may have been carried out",
  },
  disconnected: { recovery: "retry", status: 503, title: "The connection is down" },
  aborted: { recovery: "reject", status: 499, title: "The caller cancelled" },
  // ours to mend
  "invalid-definition": { recovery: "crash", status: 500, title: "A definition cannot work" },
  "invalid-configuration": { recovery: "crash", status: 500, title: "A setting cannot work" },
  "directory-in-use": { recovery: "crash", status: 500, title: "Another process uses the data directory" },
  "restore-unfinished": { recovery: "crash", status: 500, title: "A restore of the data directory was not finished" },
  "log-damaged": { recovery: "crash", status: 500, title: "The log fails its checks" },
  "state-damaged": { recovery: "crash", status: 500, title: "An image in the state store fails its checks" },
  "keys-damaged": { recovery: "crash", status: 500, title: "The key store fails its checks, or lacks a key" },
  "log-failed": { recovery: "crash", status: 500, title: "The disk refused to write or sync" },
  "snapshot-damaged": { recovery: "crash", status: 500, title: "An object of a snapshot fails its checks" },
  "unknown-event": { recovery: "crash", status: 500, title: "The log holds an event this code does not know" },
  "evolve-failed": { recovery: "crash", status: 500, title: "An event could not be evolved" },
  internal: { recovery: "crash", status: 500, title: "A broken invariant in Holdfast" },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof catalogue;

const mark = Symbol.for("holdfast.error");

/** An error of the catalogue. Branch on `code` or `recovery`, never on `message`. */
export class HoldfastError extends Error {
  readonly code: ErrorCode;
  /** Plain data that a program can use; never payloads or secrets. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options?: { details?: Record<string, unknown>; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HoldfastError";
    this.code = code;
    this.details = options?.details;
    Object.defineProperty(this, mark, { value: true });
  }

  get recovery(): Recovery {
    return catalogue[this.code].recovery;
  }

  get retryable(): boolean {
    return this.recovery === "retry";
  }
}

/** True for our errors, also those made by another copy of this package (`instanceof` is not). */
export function isHoldfastError(value: unknown): value is HoldfastError {
  return typeof value === "object" && value !== null && mark in value;
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(catalogue, value);
}

/** A broken invariant of our own. Stays on in production: stopping is better than serving from bad state. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new HoldfastError("internal", `Broken invariant: ${invariant}`);
}
