/**
 * What a shard's log holds, and what is said about it: records, outcomes, commands.
 *
 * Invariant: one record is the whole outcome of one command (its events, its reply, its sends, timers and calls), so a command
 * is in the log whole or not at all, whatever the engine does. See docs/decisions/0001-one-record-per-command.md.
 */
import type { Plain } from "../std/plain.ts";
import type { ErrorCode } from "./errors.ts";
import type { EntityRef, Epoch, Offset, ShardId } from "./ids.ts";
import type { MarkRecord } from "./marks.ts";

/** Who asks. Made by the authentication hook, or by the runtime for entities and timers. */
export interface Principal {
  readonly kind: "user" | "service" | "operator" | "entity" | "system" | "anonymous";
  /** Unique within its kind; for an entity `type/key`. */
  readonly id: string;
  readonly roles?: readonly string[];
}

/** Why a record exists. */
export type Cause =
  /** A client's command. */
  | {
      readonly kind: "request";
      readonly requestId: string;
      /** The same id as 16 bytes. */
      readonly idBytes: Uint8Array;
      /** Bytes that hold the same 16 at `place`, out of the log: spares a replay a view of each. */
      readonly column?: Uint8Array;
      readonly place?: number;
    }
  /** A timer of this entity fired; it is gone with this record. */
  | { readonly kind: "timer"; readonly name: string; readonly setAt: Offset }
  /** Another entity sent it. `sequence` counts the sends of that pair from 1. */
  | { readonly kind: "send"; readonly from: EntityRef; readonly sequence: number }
  /** The outcome of this entity's own send came back; the send is settled with this record. */
  | { readonly kind: "settled"; readonly to: EntityRef; readonly sequence: number }
  | CallCause;

/** What a record says of one of its entity's calls. */
export type CallCause =
  /** A call ended, with its result or (where it was made so) with its last failure; it is settled with this record. */
  | { readonly kind: "called"; readonly call: CallId; readonly attempt: number }
  /** An attempt at a call failed. The next one is at `retryAtMs`; null parks the call. */
  | {
      readonly kind: "call-failed";
      readonly call: CallId;
      readonly attempt: number;
      readonly error: string;
      readonly retryAtMs: number | null;
    }
  /** An operator had a parked call tried again. */
  | { readonly kind: "call-retried"; readonly call: CallId; readonly by: Principal }
  /** An operator gave a call up; it is settled with this record. */
  | { readonly kind: "call-dropped"; readonly call: CallId; readonly by: Principal };

/** Names a call of an entity: the record it was made in, and its place among that record's calls. */
export interface CallId {
  readonly at: Offset;
  readonly index: number;
}

export interface EventBody {
  readonly name: string;
  readonly version: number;
  readonly payload: Plain;
}

/** A command to another entity, kept in the sender until its outcome is recorded. */
export interface SendBody {
  readonly to: EntityRef;
  readonly sequence: number;
  readonly command: string;
  readonly input: Plain;
  /** Command of the sender that gets the outcome. */
  readonly reply?: string;
  /** Given back with the outcome. */
  readonly context?: Plain;
}

/**
 * What becomes of a call whose last attempt failed: it is parked for an operator; parked, and the entity is told; or it is
 * over, with the failure as its result.
 */
export type CallFailurePlan = "park" | "tell" | "settle";

/** Work outside, kept in the entity until its result is recorded. Nothing in it is a default: that may change. */
export interface CallBody {
  /** The handler, one of the definition's `calls`. */
  readonly name: string;
  readonly input: Plain;
  /** Command of the entity that gets the result. */
  readonly result?: string;
  /** Given back with the result. */
  readonly context?: Plain;
  /** For each attempt. */
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly failure: CallFailurePlan;
}

export type TimerChange =
  | { readonly name: string; readonly dueMs: number; readonly command: string; readonly input: Plain }
  | { readonly name: string; readonly dueMs: null };

export type Outcome =
  | { readonly ok: true; readonly value: Plain }
  | { readonly ok: false; readonly code: ErrorCode; readonly reason: string; readonly details: Plain };

/** One decided command. */
export interface StepRecord {
  readonly kind: "step";
  /** Recorded time, ms since 1970; never lower than that of an earlier record of the shard. */
  readonly time: number;
  readonly entity: EntityRef;
  readonly command: string;
  readonly cause: Cause;
  readonly events: readonly EventBody[];
  readonly outcome: Outcome;
  readonly sends: readonly SendBody[];
  readonly timers: readonly TimerChange[];
  readonly calls: readonly CallBody[];
}

/** A call as operators see it. */
export interface CallStatus {
  readonly entity: EntityRef;
  readonly id: CallId;
  readonly name: string;
  readonly input: Plain;
  /** `underway` includes those that wait for a free place on the node. */
  readonly phase: "underway" | "waiting" | "parked";
  readonly madeMs: number;
  /** Attempts that failed. */
  readonly failed: number;
  /** When the next attempt is due, while it waits. */
  readonly dueMs: number | null;
  readonly lastError: string | null;
}

export interface CallFilter {
  /** Only parked ones. */
  readonly parked?: boolean;
  /** Only of this entity type. */
  readonly type?: string;
  readonly limit: number;
}

/** An operator's word on one call. */
export interface CallOrder {
  readonly entity: EntityRef;
  readonly id: CallId;
  /** Retry a parked one, with as many attempts as it had; or give it up, parked or not. */
  readonly verb: "retry" | "drop";
  readonly principal: Principal;
}

/** The start of an ownership. */
export interface ClaimRecord {
  readonly kind: "claim";
  readonly time: number;
  readonly epoch: Epoch;
  readonly node: string;
}

export type LogRecord = StepRecord | ClaimRecord | MarkRecord;

/** A command as the node takes it in. */
export interface CommandCall {
  readonly entity: EntityRef;
  readonly command: string;
  readonly input: unknown;
  readonly requestId: string;
  readonly principal: Principal;
  /** Only if the entity is at this version. */
  readonly ifVersion?: Offset;
  /** False refuses a command that would bring a new entity into being. */
  readonly mayCreate?: boolean;
}

/** What a caller gets. */
export type CallResult =
  | {
      readonly ok: true;
      readonly value: Plain;
      /** Offset of the record that the entity's state rests on. */
      readonly version: Offset;
      /** This command was the entity's first. */
      readonly created?: boolean;
      /** Absent, or false: answered before its record was durable, as its definition allows. */
      readonly durable?: false;
      /** Of a query that a copy answered. Absent: its owner did. */
      readonly local?: LocalAnswer;
    }
  | CallFailure;

/** What an answer of a copy rests on. */
export interface LocalAnswer {
  /** The copy has all records of the shard before it. */
  readonly offset: Offset;
  /** So long ago, at most, these were all there were. ms */
  readonly lagMs: number;
}

export interface CallFailure {
  readonly ok: false;
  readonly code: ErrorCode;
  /** One sentence: what was wrong and what to do. */
  readonly detail: string;
  /** The application's word, with code `rejected`. */
  readonly reason?: string;
  readonly details?: Plain;
  readonly version?: Offset;
  /** Absent, or false: the entity said no before the record of that was durable. */
  readonly durable?: false;
}

export interface QueryCall {
  readonly entity: EntityRef;
  readonly query: string;
  readonly input: unknown;
  readonly principal: Principal;
  /**
   * `consistent`, the default: not older than any answer that was given before. `local`: the node that is asked may answer from its copy of the
   * shard, if that is at most `lagMs` behind (default 1,000), counted from when the question came.
   */
  readonly consistency?: "consistent" | "local";
  readonly lagMs?: number;
}

/** A feed's read of an entity: of its state, or of a view as the principal may see it. Who asks was checked before. */
export interface LookCall {
  readonly entity: EntityRef;
  /** A version that the entity is known to have reached; 0 if none is. */
  readonly least: Offset;
  readonly view: string | undefined;
  readonly principal: Principal;
}

export interface WatchCall {
  readonly entity: EntityRef;
  readonly view: string;
  readonly principal: Principal;
}

/** What a watcher hears: the durable view at a version, or the end. Versions grow; views in between may be skipped. */
export type WatchNews =
  | { readonly ok: true; readonly version: Offset; readonly value: Plain }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export type { EntityRef, Epoch, Offset, ShardId };
