/**
 * What one running of a subscriber is made of: what it can be asked to do, what becomes of that, and what it knows.
 *
 * Invariant: all of it is data; `subscriber.ts` alone changes a `Run`, `subscriber-failures.ts` for it after a failure.
 */
import type { FeedItem, FeedLag } from "../../model/feeds.ts";
import type { Offset } from "../../model/ids.ts";
import type { SubscriberConfig, SubscriberOrders, SubscriberTrouble } from "../../model/subscribers.ts";

export interface RunBatch {
  readonly items: readonly FeedItem[];
  readonly from: string;
  readonly cursor: string;
  /** Recorded time up to which it was read. */
  readonly readMs: number;
  /** Of a shard's present states, which are read again from the first after a `seek`. */
  readonly whole: boolean;
}

/** The work that a commit covers. */
export interface Taken {
  items: number;
  batches: number;
  /** Records that the place moved since the last commit. */
  records: number;
}

export type Next =
  /** Nothing to do until the orders change. */
  | { readonly kind: "rest" }
  /** Try again after so long, unless the orders change before. */
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "begin" }
  /** Sink and feed. Null: where the config's start says. `rewound`: the sink forgets where it stood. */
  | {
      readonly kind: "open";
      readonly cursor: string | null;
      /** A sink that stands just there has everything before `cursor`, though its own is behind. */
      readonly mark: string | null;
      readonly rewound: boolean;
      /** Of the orders that it is opened by: others may have come when it is open. */
      readonly config: SubscriberConfig;
      readonly rewinds: number;
    }
  /** The feed alone, from the place on. */
  | { readonly kind: "seek"; readonly cursor: string }
  | { readonly kind: "read"; readonly itemsMax: number; readonly waitMs: number }
  | { readonly kind: "deliver"; readonly batch: RunBatch }
  | {
      readonly kind: "commit";
      readonly cursor: string;
      readonly cursorMs: number;
      readonly items: number;
      readonly batches: number;
    }
  | { readonly kind: "trouble"; readonly trouble: Omit<SubscriberTrouble, "sinceMs"> }
  /** Rewinds itself: what it has not read is gone, and it goes on with the present states. */
  | { readonly kind: "begin-again" }
  | { readonly kind: "set-aside"; readonly batch: RunBatch; readonly detail: string }
  /** Reads the record again and delivers its items. */
  | { readonly kind: "replay"; readonly id: number; readonly cursor: string }
  | { readonly kind: "replayed"; readonly id: number; readonly refused: string | null }
  /** Lets sink and feed go. */
  | { readonly kind: "close" }
  | { readonly kind: "stop" };

export type Outcome =
  /** It was done, or it was let be since the orders changed. Of a record: the entity's version, and where the sink stood. */
  | { readonly kind: "done"; readonly version?: Offset; readonly mark?: string }
  | { readonly kind: "begun"; readonly orders: SubscriberOrders; readonly version: Offset }
  /** `fresh`: this place was never recorded. */
  | { readonly kind: "opened"; readonly cursor: string; readonly fresh: boolean }
  | { readonly kind: "read"; readonly batch: RunBatch; readonly records: number }
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly detail: string;
      /** Not to be tried again sooner, ms. */
      readonly retryAfterMs?: number | undefined;
      /** Of a command that the subscriber's entity refused, and the entity's version then. */
      readonly reason?: string | undefined;
      readonly version?: Offset | undefined;
    };

/** What is known of now. */
export interface Facts {
  /** Monotonic, ms. */
  readonly nowMs: number;
  /** 0 .. 1. */
  readonly chance: number;
  /** Of `place`. */
  readonly lag: FeedLag;
}

export interface RunLimits {
  readonly subscriberCommitMs: number;
  readonly subscriberIdleRecords: number;
}

export interface Run {
  readonly limits: RunLimits;
  orders: SubscriberOrders;
  /** Version of the entity that they are of; and one that they must reach before anything is done. */
  heard: Offset;
  due: Offset;
  /** 0 before it has begun. */
  epoch: number;
  /** What it was opened with; undefined while it is closed. */
  opened: { readonly config: string; readonly rewinds: number } | undefined;
  place: string | undefined;
  placeMs: number;
  /** The place was never recorded. */
  fresh: boolean;
  readonly taken: Taken;
  committedMs: number;
  /** Not taken yet. */
  batch: RunBatch | undefined;
  /** Items that are still read one by one, to find those that the sink refuses. */
  narrow: number;
  /** What must be done before anything else. */
  urgent: Next | undefined;
  /** Attempts at the present step that failed. */
  failures: number;
  /** What the next wait takes at least, ms. */
  waitMs: number;
  waiting: boolean;
  lastError: string | null;
  /** How far it was behind when it opened: from beyond its bounds it may take its time. */
  allowed: { records: number; seconds: number } | undefined;
  stopping: boolean;
  /** A later running was heard of. */
  past: boolean;
  last: Next;
}
