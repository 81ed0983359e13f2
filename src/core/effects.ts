/**
 * What goes into the owner of a shard and what comes out. Inputs and effects are data: nothing in `core/` calls a port,
 * reads a clock, throws dice or awaits.
 *
 * Invariant: callers and watchers are opaque tokens of the runtime; the core hands them back, once per caller.
 */
import type { Chance } from "../model/entity.ts";
import type { EntityRef, Epoch, Offset, ShardId } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { OperatorCall } from "../model/marks.ts";
import type {
  CallBody,
  CallFilter,
  CallId,
  CallOrder,
  CallResult,
  CommandCall,
  LogRecord,
  LookCall,
  Outcome,
  Principal,
  QueryCall,
  SendBody,
  WatchCall,
  WatchNews,
} from "../model/records.ts";
import type { CallAnswer } from "./call-state.ts";

/** An entity's state, to be made anew from its records. */
export interface RebuildOrder {
  readonly entity: EntityRef;
  /** What is kept of it; the log holds every record that comes after. Left out, it has all of the entity's records. */
  readonly from: EntityImage | undefined;
  /** By its records below this offset. */
  readonly below: Offset;
  /** Without the events of this record, and of any other that cannot be evolved then: what `skip` asks for. */
  readonly without: Offset | undefined;
  /** Who asked for the skip. */
  readonly asked: { readonly caller: Caller; readonly principal: Principal } | undefined;
}

export interface Built {
  readonly state: unknown;
  readonly version: Offset;
  /** Records whose events were left out. */
  readonly left: readonly Offset[];
}

/** Whoever waits for an answer; known to the runtime only. */
export type Caller = object;
/** Whoever watches a view; known to the runtime only. */
export type WatcherToken = object;

export type Input =
  /** A record of the log, in order. Only while recovering. */
  | { readonly kind: "replay"; readonly at: Offset; readonly record: LogRecord }
  /** The log goes on to this tail: what comes is replayed as well. Only while recovering: a standby does it again and again. */
  | { readonly kind: "extend"; readonly tail: Offset; readonly nowMs: number }
  /** Everything up to the tail was replayed. The owner asks for a claim. */
  | {
      readonly kind: "recovered";
      readonly epoch: Epoch;
      readonly tail: Offset;
      readonly nowMs: number;
      readonly node: string;
    }
  | { readonly kind: "claimed"; readonly nowMs: number }
  /** The claim was refused, or nobody knows: the log goes on, and so does the recovery. */
  | { readonly kind: "unclaimed" }
  | {
      readonly kind: "command";
      readonly call: CommandCall;
      readonly caller: Caller;
      readonly nowMs: number;
      readonly chance: Chance;
      /** How long an append takes at present, or has taken so far. */
      readonly appendMs: number;
    }
  /** `copy`: also of an owner that recovers, if everything that it knows of was replayed. All of that is durable. */
  | {
      readonly kind: "query";
      readonly call: QueryCall;
      readonly caller: Caller;
      readonly nowMs: number;
      readonly copy?: true;
    }
  | { readonly kind: "look"; readonly call: LookCall; readonly caller: Caller }
  | { readonly kind: "watch"; readonly call: WatchCall; readonly watcher: WatcherToken }
  | { readonly kind: "unwatch"; readonly watcher: WatcherToken }
  /** Another entity's send arrives. */
  | {
      readonly kind: "deliver";
      readonly from: EntityRef;
      readonly send: SendBody;
      readonly nowMs: number;
      readonly chance: Chance;
    }
  /** The outcome of a send of ours is durable at its receiver. */
  | {
      readonly kind: "settle";
      readonly from: EntityRef;
      readonly to: EntityRef;
      readonly sequence: number;
      readonly outcome: Outcome;
      readonly nowMs: number;
      readonly chance: Chance;
    }
  /** A send of ours could not be taken in at the moment. */
  | { readonly kind: "undelivered"; readonly from: EntityRef; readonly to: EntityRef; readonly nowMs: number }
  /** An operator has the subject of this name erased. Its key is destroyed already. */
  | {
      readonly kind: "erase";
      readonly subject: EntityRef;
      readonly principal: Principal;
      readonly caller: Caller;
      readonly nowMs: number;
    }
  /** An operator's verb. */
  | { readonly kind: "operate"; readonly call: OperatorCall; readonly caller: Caller; readonly nowMs: number }
  /** What was asked for by `rebuild`; without `built` it could not be done. */
  | {
      readonly kind: "rebuilt";
      readonly order: RebuildOrder;
      readonly built: Built | undefined;
      readonly nowMs: number;
    }
  /** An attempt at a call of ours came to its end. */
  | {
      readonly kind: "called";
      readonly entity: EntityRef;
      readonly id: CallId;
      readonly attempt: number;
      readonly answer: CallAnswer;
      readonly nowMs: number;
      readonly chance: Chance;
    }
  | { readonly kind: "list-calls"; readonly filter: CallFilter; readonly caller: Caller }
  | {
      readonly kind: "operate-call";
      readonly order: CallOrder;
      readonly caller: Caller;
      readonly nowMs: number;
      readonly chance: Chance;
    }
  /** No append is in flight: hand over what is decided. */
  | { readonly kind: "cut"; readonly bytesMax: number }
  | { readonly kind: "appended"; readonly tail: Offset }
  /** `full` keeps the batch, to be appended again; the others end this incarnation. */
  | { readonly kind: "append-failed"; readonly reason: "fenced" | "full" | "unknown" }
  | { readonly kind: "tick"; readonly nowMs: number; readonly chance: Chance }
  /** Take no new work. */
  | { readonly kind: "drain" }
  /** Another node is to own the shard. Only while draining, when everything is durable. */
  | { readonly kind: "leave" }
  /** Give images of entities that changed, of at most so many. */
  | { readonly kind: "collect"; readonly imagesMax: number }
  /** A store has the image that contains the entity's records up to `touched`, in so many bytes. */
  | { readonly kind: "stored"; readonly entity: EntityRef; readonly touched: Offset; readonly bytes: number }
  /** The image of the entity could not be stored: it is to be given again. */
  | { readonly kind: "unstored"; readonly entity: EntityRef }
  /** Forget up to so many entities that a store has. */
  | { readonly kind: "evict"; readonly count: number }
  /** Bring this entity into memory, since its timers or sends wait. Only while recovering. */
  | { readonly kind: "activate"; readonly entity: EntityRef }
  /** Bring this entity into memory, since it will probably be asked for. */
  | { readonly kind: "warm"; readonly entity: EntityRef };

export type Effect =
  | { readonly kind: "claim"; readonly at: Offset; readonly epoch: Epoch; readonly record: LogRecord }
  | { readonly kind: "append"; readonly at: Offset; readonly epoch: Epoch; readonly records: readonly LogRecord[] }
  /** Records wait to be cut, by then at the latest (0: at once). Emitted for the first of them, and when it gets sooner. */
  | { readonly kind: "pending"; readonly byMs: number }
  | { readonly kind: "reply"; readonly caller: Caller; readonly result: CallResult }
  /** The outcome of this request id stands in the log at `at`; read it there. */
  | { readonly kind: "recall"; readonly caller: Caller; readonly at: Offset; readonly call: CommandCall }
  /** To be encoded at once, and kept only when every record up to its `touched` is durable. */
  | { readonly kind: "image"; readonly image: EntityImage }
  | { readonly kind: "publish"; readonly watcher: WatcherToken; readonly news: WatchNews }
  /** Hand a send to its receiver's owner. */
  | { readonly kind: "send"; readonly from: EntityRef; readonly send: SendBody }
  /** Tell the sender's owner what became of its send. */
  | {
      readonly kind: "settle";
      readonly from: EntityRef;
      readonly to: EntityRef;
      readonly sequence: number;
      readonly outcome: Outcome;
    }
  /** The send cannot be taken in now; the sender tries again. */
  | { readonly kind: "undelivered"; readonly from: EntityRef; readonly to: EntityRef }
  /** Run a handler; hand back what it comes to, once, or nothing if this incarnation ends before. */
  | {
      readonly kind: "call";
      readonly entity: EntityRef;
      readonly id: CallId;
      readonly body: CallBody;
      readonly madeMs: number;
      readonly attempt: number;
    }
  /** Tick at this time, or earlier. */
  | { readonly kind: "wake"; readonly atMs: number }
  /** User code failed. No payload in it: it goes to the node's log. */
  | { readonly kind: "fault"; readonly where: string; readonly error: unknown }
  /** The state of this entity cannot be trusted: rebuild it from the log, and hand it back by `rebuilt`. */
  | { readonly kind: "rebuild"; readonly order: RebuildOrder }
  /** This incarnation is over: what was not durable is dropped, nobody is answered from it again. */
  | { readonly kind: "release"; readonly reason: "fenced" | "unknown" | "left"; readonly shard: ShardId };
