/**
 * What goes into the owner of a shard and what comes out. Inputs and effects are data: nothing in `core/` calls a port,
 * reads a clock, throws dice or awaits.
 *
 * Invariant: callers and watchers are opaque tokens of the runtime; the core hands them back, once per caller.
 */
import type { Chance } from "../model/entity.ts";
import type { EntityRef, Epoch, Offset, ShardId } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type {
  CallResult,
  CommandCall,
  LogRecord,
  Outcome,
  QueryCall,
  SendBody,
  WatchCall,
  WatchNews,
} from "../model/records.ts";

/** Whoever waits for an answer; known to the runtime only. */
export type Caller = object;
/** Whoever watches a view; known to the runtime only. */
export type WatcherToken = object;

export type Input =
  /** A record of the log, in order. Only while recovering. */
  | { readonly kind: "replay"; readonly at: Offset; readonly record: LogRecord }
  /** Everything up to the tail was replayed. The owner asks for a claim. */
  | {
      readonly kind: "recovered";
      readonly epoch: Epoch;
      readonly tail: Offset;
      readonly nowMs: number;
      readonly node: string;
    }
  | { readonly kind: "claimed"; readonly nowMs: number }
  | {
      readonly kind: "command";
      readonly call: CommandCall;
      readonly caller: Caller;
      readonly nowMs: number;
      readonly chance: Chance;
      /** How long an append takes at present, or has taken so far. */
      readonly appendMs: number;
    }
  | { readonly kind: "query"; readonly call: QueryCall; readonly caller: Caller; readonly nowMs: number }
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
  /** No append is in flight: hand over what is decided. */
  | { readonly kind: "cut"; readonly bytesMax: number }
  | { readonly kind: "appended"; readonly tail: Offset }
  /** `full` keeps the batch, to be appended again; the others end this incarnation. */
  | { readonly kind: "append-failed"; readonly reason: "fenced" | "full" | "unknown" }
  | { readonly kind: "tick"; readonly nowMs: number; readonly chance: Chance }
  /** Take no new work. */
  | { readonly kind: "drain" }
  /** Give images of entities that changed, of at most so many. */
  | { readonly kind: "collect"; readonly imagesMax: number }
  /** A store has the image that contains the entity's records up to `touched`. */
  | { readonly kind: "stored"; readonly entity: EntityRef; readonly touched: Offset }
  /** The image of the entity could not be stored: it is to be given again. */
  | { readonly kind: "unstored"; readonly entity: EntityRef }
  /** Forget up to so many entities that a store has. */
  | { readonly kind: "evict"; readonly count: number }
  /** Bring this entity into memory, since its timers or sends wait. Only while recovering. */
  | { readonly kind: "activate"; readonly entity: EntityRef };

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
  /** Tick at this time, or earlier. */
  | { readonly kind: "wake"; readonly atMs: number }
  /** User code failed. No payload in it: it goes to the node's log. */
  | { readonly kind: "fault"; readonly where: string; readonly error: unknown }
  /** This incarnation is over: what was not durable is dropped, nobody is answered from it again. */
  | { readonly kind: "release"; readonly reason: "fenced" | "unknown" | "faulty"; readonly shard: ShardId };
