/**
 * What is said about durable subscribers: what somebody asks for, and how it goes.
 *
 * Invariant: a subscriber's cursor stands behind records only that its sink, or whoever pulls, has taken or that an operator
 * skipped, or set aside where they can be seen.
 */
import type { FeedFilter, FeedForm, FeedLag, FeedStart } from "./feeds.ts";
import type { Offset, ShardId } from "./ids.ts";
import type { Principal } from "./records.ts";

/**
 * When it lags:
 * - `archive`  (default) what it has not read is kept for it, within a cap; beyond the cap it is kept no longer
 * - `park`     it is parked, and nothing is kept for it
 * - `conflate` nothing is kept for it; where its records are gone it goes on with the present states. Not of `changes`
 */
export type SlowPolicy = "archive" | "park" | "conflate";
export const slowPolicies: readonly SlowPolicy[] = ["archive", "park", "conflate"];

/** What a sink will never take: the subscriber is parked in front of it; or it is set aside, record by record, and the rest goes on. */
export type RejectedPolicy = "park" | "aside";
export const rejectedPolicies: readonly RejectedPolicy[] = ["park", "aside"];

/** Who answers for a subscriber, and may pull from it. */
export type SubscriberOwner = Pick<Principal, "kind" | "id">;

/** What is asked for; the rest is filled in. */
export interface SubscriberAsk {
  readonly form: FeedForm;
  readonly filter?: FeedFilter;
  /** Absolutes and deltas: of this view, as the service itself sees it, instead of the whole state. */
  readonly view?: string;
  /** Where it begins. Default `now`. */
  readonly start?: FeedStart;
  /** One of the service's `sinks`. Left out: it is pulled, and acknowledged, by its owner. */
  readonly sink?: string;
  /** Default: who creates it. */
  readonly owner?: SubscriberOwner;
  readonly slow?: SlowPolicy;
  readonly rejected?: RejectedPolicy;
  /** It lags when it is further behind than this. Default `subscriberLagRecords`, `subscriberLagMs`. */
  readonly lagRecords?: number;
  readonly lagMs?: number;
  /** Of one batch. Default 1,000 items, `feedBatchBytesMax`, no waiting for more. */
  readonly batchItems?: number;
  readonly batchBytes?: number;
  readonly batchLingerMs?: number;
  /** Attempts at one batch before it is parked. Default `subscriberTriesMax`. */
  readonly tries?: number;
}

/** Of code: created when the service starts if it is not there, changed if this was changed. */
export interface SubscriberDeclaration extends SubscriberAsk {
  readonly name: string;
}

export interface SubscriberConfig {
  readonly form: FeedForm;
  readonly filter: FeedFilter;
  readonly view: string | null;
  readonly start: FeedStart;
  readonly sink: string | null;
  readonly owner: SubscriberOwner;
  readonly slow: SlowPolicy;
  readonly rejected: RejectedPolicy;
  readonly lagRecords: number;
  readonly lagMs: number;
  readonly batchItems: number;
  readonly batchBytes: number;
  readonly batchLingerMs: number;
  readonly tries: number;
}

export interface TroubledBatch {
  readonly items: number;
  /** `shard-offset` of the first. */
  readonly first: string;
  readonly cursor: string;
  /** Of a shard's present states: skipped, they begin again, and what is refused of them is set aside. */
  readonly ofStates?: true;
}

/** Why it does not run although nobody paused it. */
export interface SubscriberTrouble {
  /** `parked`: an operator decides. `failed`: its records are gone; it must be rewound. */
  readonly kind: "parked" | "failed";
  /** A code of the catalogue; `lagging`; or `aside-full`. */
  readonly code: string;
  readonly detail: string;
  readonly sinceMs: number;
  /** The batch it is parked in front of, if it is one: what `skip` leaves out ends at `cursor`. */
  readonly batch: TroubledBatch | null;
}

/** A record whose items the sink refused. */
export interface AsideRecord {
  /** Names it among the subscriber's. */
  readonly id: number;
  readonly shard: ShardId;
  readonly offset: Offset;
  readonly items: number;
  /** `type/key` of its entity. */
  readonly entity: string;
  readonly detail: string;
  readonly atMs: number;
  /** An operator asked for it to be delivered again. */
  readonly again: boolean;
}

/** What is kept of a subscriber in the log; what its runner sees. */
export interface SubscriberOrders {
  /** Null: it was deleted, or never created. */
  readonly config: SubscriberConfig | null;
  readonly paused: boolean;
  readonly trouble: SubscriberTrouble | null;
  /** Null: where `config.start` says, which was not looked up yet. */
  readonly cursor: string | null;
  /** Where a sink that keeps a cursor stood by itself when this one was recorded; null: not known. */
  readonly mark: string | null;
  /** Recorded time up to which it was read, ms since 1970, about. */
  readonly cursorMs: number;
  /** How often it was rewound. A cursor of before the last time counts no more. */
  readonly rewinds: number;
  /** `rewinds` when the cursor was recorded last: if it is another one, the sink does not know of the last rewind. */
  readonly settled: number;
  /** A batch of present states was skipped, and they begin again: what the sink refuses of them is set aside, whatever the config says. */
  readonly asideOfStates: boolean;
  /** Of its last running. Never goes back, deleted or not. */
  readonly epoch: number;
  /** The node of that running. */
  readonly node: string;
  readonly items: number;
  readonly batches: number;
  readonly aside: number;
  /** Those of them that are to be delivered again. */
  readonly again: readonly AsideRecord[];
  readonly createdMs: number;
}

/** `lagging` runs as well, but further behind than it may be. */
export type SubscriberState = "running" | "lagging" | "paused" | "parked" | "failed";

export interface SubscriberStatus {
  readonly name: string;
  readonly state: SubscriberState;
  readonly config: SubscriberConfig;
  readonly trouble: SubscriberTrouble | null;
  /** Behind what is durable; of records of all sorts, those that its filter leaves out among them. */
  readonly lag: FeedLag;
  /** The log and the archive keep for it what it has not read. */
  readonly held: boolean;
  readonly cursor: string | null;
  readonly epoch: number;
  readonly node: string;
  /** Taken by the sink, or acknowledged, since it was created. */
  readonly items: number;
  readonly batches: number;
  /** Records set aside. */
  readonly aside: number;
  /** What the last attempt failed with, while it is tried again. */
  readonly lastError: string | null;
  readonly createdMs: number;
}
