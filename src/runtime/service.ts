/**
 * What the door and in-process callers may ask of a node. The node implements it; the gateway knows nothing else of it.
 *
 * Invariants: every call is answered exactly once, by a callback that never runs inside the call itself; nothing is
 * answered before the record it rests on is durable; input validation and access are decided behind this interface,
 * because both are user code and the gateway runs none.
 */
import type { OwnerPhase } from "../core/owner-state.ts";
import type { ClusterFigures } from "../model/cluster-view.ts";
import type { EntityDefinition } from "../model/entity.ts";
import type { EraseCall } from "../model/erasure.ts";
import type { ErrorCode } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import type { OperatorCall, ParkedEntry } from "../model/marks.ts";
import type { ProjectionStatus } from "../model/projection-status.ts";
import type {
  CallFilter,
  CallOrder,
  CallResult,
  CallStatus,
  CommandCall,
  Principal,
  QueryCall,
  WatchCall,
  WatchNews,
} from "../model/records.ts";

import type { ClusterVerbs } from "./cluster/verbs.ts";

export type Phase = "starting" | "recovering" | "serving" | "draining" | "stopped";

export interface Health {
  readonly phase: Phase;
  /** Records replayed and to be replayed, while recovering. */
  readonly recovered: number;
  readonly toRecover: number;
  /** How long the recovery will take still, if it goes on as it went; undefined before anything is known of that. */
  readonly etaMs?: number;
  /** The disk is full: reads work, commands are refused with `disk-full`. */
  readonly readOnly: boolean;
  /** Entities in memory, and images of entities in the state store. */
  readonly hot: number;
  readonly stored: number;
  /** Bytes that the images of the entities in memory would have, as far as they are known. */
  readonly hotBytes: number;
  /** Records that snapshots have and that wait in the log for the archive: it grows while the archive does not answer. */
  readonly unarchived: number;
  /** Lookups of entities since the start, and those of them that had to read the state store. */
  readonly lookups: number;
  readonly activations: number;
  /** Entities that are parked. */
  readonly quarantined: number;
  /** Steps that took longer than `decideBudgetMs` in the author's code, since the start. */
  readonly overBudget: number;
}

/** The worst of the shards that changed since. */
export interface Behind {
  /** Records that are not in it. */
  readonly lagRecords: number;
  /** For how long. */
  readonly ageMs: number;
}

/** What people and their alarms look at. Counts are since the start of the process; none holds a key or a payload. */
export interface Figures extends Health {
  readonly commands: number;
  readonly queries: number;
  /** Answers to commands, queries and operators, by `ok` or the code of the error. */
  readonly replies: Readonly<Partial<Record<"ok" | ErrorCode, number>>>;
  /** Appends of the log and what became durable by them. */
  readonly commits: { readonly count: number; readonly records: number; readonly bytes: number };
  /** Shards by the phase of their owner. */
  readonly shards: Readonly<Record<OwnerPhase, number>>;
  /** Entities that were forgotten to make room. */
  readonly evictions: number;
  /** Calls that are not settled, those of them that are parked, and handlers that run. */
  readonly calls: number;
  readonly callsParked: number;
  readonly callsRunning: number;
  /** What a crash would have to replay; and shards that are not checkpointed until an operator has dealt with an entity. */
  readonly checkpoint: Behind & { readonly withheld: number };
  readonly snapshot: Behind;
  /** What went to the snapshot store and came from it. */
  readonly snapshots: { readonly objects: number; readonly writtenBytes: number; readonly readBytes: number };
  /** The node's part in its cluster, where it is one of several. */
  readonly cluster?: ClusterFigures;
  /** Projections, where the service has any. */
  readonly projections?: readonly ProjectionStatus[];
  /** Records that the log still has, and those before them that it was allowed to drop. Not there while it does not answer. */
  readonly log?: { readonly records: number; readonly trimmed: number };
}

/** A call, with what its handler is told as `key`. */
export interface ShownCall extends CallStatus {
  readonly key: string;
}

/** What operators see and do. Only for code that knows its principal to be one: here nobody is asked before a list is given. */
export interface OperatorVerbs {
  /**
   * Calls that are not settled, parked ones among them.
   * @throws `unavailable` a shard is not being served at the moment
   */
  listCalls(filter?: Partial<CallFilter>): Promise<readonly ShownCall[]>;
  /** Has a parked call tried again, or drops one. Recorded with the principal, which must be of kind `operator`. */
  operateCall(order: CallOrder, done: (result: CallResult) => void): void;
}

export interface Service extends OperatorVerbs {
  /** Definitions by entity type name. */
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  /** Names this running of the service; another after every restart, and after an erasure. */
  readonly run: string;
  /** Runs a command; the callback gets its outcome when it is durable, or at once, marked so, if the command is relaxed. */
  execute(call: CommandCall, done: (result: CallResult) => void): void;
  /** Consistent query: the answer rests on durable records only. */
  query(call: QueryCall, done: (result: CallResult) => void): void;
  /**
   * Watches a view: first its present value (of an entity that does not exist: its initial state, version 0), then one
   * value per durable change. Ends with `ok: false`. Access is checked again for every value.
   * @returns stops it; after that the listener is not called again
   */
  watch(call: WatchCall, listener: (news: WatchNews) => void): () => void;
  /**
   * What an operator does about a parked entity. Each verb is a record; it is answered when that is durable.
   * Answers `forbidden` unless the principal is of kind `operator`, `rejected` with a reason if the verb does not fit.
   */
  operate(call: OperatorCall, done: (result: CallResult) => void): void;
  /**
   * Erases a subject: destroys the key of everything that was sealed for it, and records who asked. What was sealed reads as
   * null from then on, everywhere. Idempotent; `value.erased` says whether there was something to erase.
   * Answers `forbidden` unless the principal is of kind `operator`.
   */
  erase(call: EraseCall, done: (result: CallResult) => void): void;
  /** The parked entities. @throws `forbidden` unless the principal is of kind `operator` */
  quarantined(principal: Principal): readonly ParkedEntry[];
  /** What operators may do with the cluster that it is a node of. */
  readonly cluster?: ClusterVerbs;
  health(): Health;
  figures(): Promise<Figures>;
}
