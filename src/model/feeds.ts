/**
 * What is said about changefeeds: what somebody asks for, and what comes.
 *
 * Invariant: an item rests on durable records only. Changes of one shard come in the order of their offsets, states of one entity in
 * the order of its versions (two entities' may come in either order: newest wins); each cursor says
 * exactly which records were handed out before it, so that whoever resumes from it misses nothing and gets nothing twice.
 */
import type { PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import type { EntityRef, Offset, ShardId } from "./ids.ts";
import type { Principal } from "./records.ts";

/**
 * - `changes`    the change log: every event, in order
 * - `absolutes`  the state after, conflated: of an entity that changed often while nobody asked, the newest state alone
 * - `deltas`     what changed since the value this feed gave before; an absolute where there is none, or a delta would be larger
 */
export type FeedForm = "changes" | "absolutes" | "deltas";
export const feedForms: readonly FeedForm[] = ["changes", "absolutes", "deltas"];

/** What somebody wants to follow: events, or the state (or a view) as absolutes or deltas. `key` only if it is one entity's. */
export interface FeedVerb {
  readonly form: FeedForm;
  readonly view: string | undefined;
  readonly key: string | undefined;
}

/** All parts must fit. Left out, everything does. */
export interface FeedFilter {
  /** Entity types. Default: all of the service. */
  readonly types?: readonly string[];
  /** One entity of `types[0]`, which is then the only type. */
  readonly key?: string;
  readonly keyPrefix?: string;
  /** Names of events; of the form `changes`, or: absolutes and deltas of entities that had one of them. */
  readonly events?: readonly string[];
  /** Shards, for readers that share a feed. Default: all. */
  readonly shards?: readonly ShardId[];
}

/**
 * Where a feed begins: with the oldest record that is kept; with the next one; where a cursor stands; with the first record
 * of a time (ms since 1970); or with an offset per shard (shards that are not named: `now`).
 */
export type FeedStart =
  | "beginning"
  | "now"
  | { readonly cursor: string }
  | { readonly timeMs: number }
  | { readonly offsets: Readonly<Record<ShardId, Offset>> };

export interface FeedAsk {
  readonly form: FeedForm;
  readonly filter?: FeedFilter;
  /** Absolutes and deltas: of this view instead of the whole state. The view is computed for `principal`. */
  readonly view?: string;
  readonly start: FeedStart;
  /** Must be allowed by `feed` of each type; operators and the system are. */
  readonly principal: Principal;
}

/**
 * Where a follower stands in one shard. It names the next record, and the frame that holds the one before, by its checksum. So a
 * log that lost records, or is another one, does not pass for the one that was read.
 */
export interface Place {
  /** Next record to read; 0: before all records, the entities that there are (absolutes and deltas of a log that begins later). */
  readonly offset: Offset;
  /** Checksum of the frame that holds the record before; undefined where that is not known: then nothing is checked. */
  readonly chain: number | undefined;
}

export type Cursor = ReadonlyMap<ShardId, Place>;

interface ItemHead {
  readonly shard: ShardId;
  /** Of the record that the item rests on: of a change the event's, of the others the entity's version. */
  readonly offset: Offset;
  readonly entity: EntityRef;
}

/** Beside events: an operator repaired the entity (payload: its state), or its personal data were erased. */
export const markEvents = ["@state-set", "@erased"] as const;

/** One event. `shard`, `offset` and `index` name it for ever. */
export interface ChangeItem extends ItemHead {
  readonly kind: "change";
  /** Among the events of its record. */
  readonly index: number;
  /** Recorded time, ms since 1970. */
  readonly timeMs: number;
  /** The event's name, or one of `markEvents`. */
  readonly event: string;
  readonly eventVersion: number;
  /** Not to be changed: items are shared. Sealed values stay sealed. */
  readonly payload: Plain;
  readonly command: string;
  /** Of the request that caused it, if one did. */
  readonly requestId: string | undefined;
}

/** The state (or view) of an entity at a version. */
export interface AbsoluteItem extends ItemHead {
  readonly kind: "absolute";
  readonly value: Plain;
}

/** What leads from the value at `from` to the one at `offset`: JSON Patch (RFC 6902). Who does not hold `from` asks for an absolute. */
export interface DeltaItem extends ItemHead {
  readonly kind: "delta";
  readonly from: Offset;
  readonly patch: readonly PatchOperation[];
}

export type FeedItem = ChangeItem | AbsoluteItem | DeltaItem;

/** Names an item for ever: the same item of the same log has the same id, whoever reads it. */
export function idOf(item: FeedItem): string {
  return item.kind === "change"
    ? `${item.shard}-${item.offset}-${item.index}`
    : `${item.shard}-${item.offset}-${item.kind === "absolute" ? "a" : `d${item.from}`}-${item.entity.type}-${item.entity.key}`;
}

/** How far a feed is behind what is durable. */
export interface FeedLag {
  readonly records: number;
  /** About: by the usual size of a record. */
  readonly bytes: number;
  /** Age of the oldest record that was not handed out; 0 if there is none. */
  readonly seconds: number;
}

/** Nothing durable is left to hand out. */
export const noLag: FeedLag = { records: 0, bytes: 0, seconds: 0 };

export interface FeedBatch {
  readonly items: readonly FeedItem[];
  /** After all of the items. Opaque: letters, digits, `-` and `_`. Whoever keeps it has acknowledged the batch as a whole. */
  readonly cursor: string;
  /** Behind what was durable when the batch was made. */
  readonly lag: FeedLag;
}

/** How large a batch may get, and what it waits for. */
export interface BatchLimits {
  /** 1 .. `feedBatchItemsMax`. */
  readonly itemsMax: number;
  /** About; one item always fits. Default `feedBatchBytesMax`. */
  readonly bytesMax?: number;
  /** How long to wait for a first item, ms. Default 0. An empty batch is an answer too. */
  readonly waitMs?: number;
  /** After the first item: how long to wait for more, until one of the bounds is met. Default 0. */
  readonly lingerMs?: number;
}
