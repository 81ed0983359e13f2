/**
 * Checks what is asked of a subscriber, and fills in what was left out.
 *
 * Invariant: what comes out is plain data, complete, and within the limits; so that what a subscriber does never depends on
 * defaults that change later. Whether types, views and sinks exist is asked when it runs: they may come and go with the code.
 */
import { HoldfastError } from "./errors.ts";
import { type FeedFilter, type FeedStart, feedForms } from "./feeds.ts";
import { isKey, isMemberName, isOwnType, isTypeName } from "./ids.ts";
import type { Limits } from "./limits.ts";
import {
  rejectedPolicies,
  type SubscriberAsk,
  type SubscriberConfig,
  type SubscriberOwner,
  slowPolicies,
} from "./subscribers.ts";

const batchItems = 1_000;
/** Names in one list of a filter. */
const namesMax = 256;
/** Of a cursor: 4,096 shards. */
const cursorCharsMax = 128 * 1024;
const ownerKinds = ["user", "service", "operator", "system"];
const known = new Set(
  "form filter view start sink owner slow rejected lagRecords lagMs batchItems batchBytes batchLingerMs tries".split(
    " ",
  ),
);

/** Names of subscribers: those of keys, for each is the key of an entity. */
export function checkSubscriberName(name: unknown): string {
  if (!isKey(name)) throw invalid("A subscriber's name is 1 to 128 of A-Z a-z 0-9 _ -.");
  return name;
}

/** @throws `invalid-input` with what is wrong */
export function readSubscriberAsk(value: unknown, owner: SubscriberOwner, limits: Limits): SubscriberConfig {
  const ask = objectOf<SubscriberAsk>(value, "A subscriber", known);
  const form = oneOf(ask.form, feedForms, "form");
  const slow = ask.slow === undefined ? "archive" : oneOf(ask.slow, slowPolicies, "slow");
  if (slow === "conflate" && form === "changes")
    throw invalid("A change log cannot be conflated: `slow` is archive or park, or the form absolutes or deltas.");
  const filter = readFilter(ask.filter ?? {});
  const view = ask.view === undefined ? null : named(ask.view, isMemberName, "`view` is a view's name");
  if (view !== null && (form === "changes" || filter.types === undefined))
    throw invalid("A view goes with absolutes and deltas, of entity types that are named in `filter.types`.");
  const most = limits.feedBatchItemsMax;
  return {
    form,
    filter,
    view,
    start: readFeedStart(ask.start ?? "now"),
    sink: ask.sink === undefined ? null : named(ask.sink, isMemberName, "`sink` is one of the names under `sinks`"),
    owner: ask.owner === undefined ? owner : readOwner(ask.owner),
    slow,
    rejected: ask.rejected === undefined ? "park" : oneOf(ask.rejected, rejectedPolicies, "rejected"),
    lagRecords: whole(ask.lagRecords ?? limits.subscriberLagRecords, 1, Number.MAX_SAFE_INTEGER, "lagRecords"),
    lagMs: whole(ask.lagMs ?? limits.subscriberLagMs, 1, Number.MAX_SAFE_INTEGER, "lagMs"),
    batchItems: whole(ask.batchItems ?? Math.min(batchItems, most), 1, most, "batchItems"),
    batchBytes: whole(ask.batchBytes ?? limits.feedBatchBytesMax, 1, limits.feedBatchBytesMax, "batchBytes"),
    batchLingerMs: whole(ask.batchLingerMs ?? 0, 0, 60_000, "batchLingerMs"),
    tries: whole(ask.tries ?? limits.subscriberTriesMax, 1, 1_000_000, "tries"),
  };
}

/** @throws `invalid-input` */
export function readFeedStart(value: unknown): FeedStart {
  if (value === "beginning" || value === "now") return value;
  const start = value as { cursor?: unknown; timeMs?: unknown; offsets?: unknown } | null;
  if (typeof start === "object" && start !== null && Object.keys(start).length === 1) {
    const { cursor, timeMs, offsets } = start;
    if (typeof cursor === "string" && cursor.length <= cursorCharsMax) return { cursor };
    if (Number.isSafeInteger(timeMs) && (timeMs as number) >= 0) return { timeMs: timeMs as number };
    if (isOffsets(offsets)) return { offsets };
  }
  throw invalid(
    "A start is beginning, now, {cursor}, {timeMs} in ms since 1970, or {offsets} with an offset from 1 per shard.",
  );
}

function isOffsets(value: unknown): value is Readonly<Record<number, number>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length > 0 &&
    entries.every(([shard, offset]) => /^\d{1,4}$/.test(shard) && Number.isSafeInteger(offset) && offset >= 1)
  );
}

function readFilter(value: unknown): FeedFilter {
  const filter = objectOf<FeedFilter>(value, "A filter", new Set(["types", "key", "keyPrefix", "events", "shards"]));
  const { types, key, keyPrefix, events, shards } = filter;
  if (types !== undefined && !listOf(types, (type) => isTypeName(type) && !isOwnType(type)))
    throw invalid("`types` is a list of entity types.");
  if (key !== undefined && (!isKey(key) || types?.length !== 1))
    throw invalid("A feed of one entity needs its `key` and its one type.");
  if (keyPrefix !== undefined && (typeof keyPrefix !== "string" || !/^[\w-]{1,128}$/.test(keyPrefix)))
    throw invalid("`keyPrefix` is 1 to 128 of A-Z a-z 0-9 _ -.");
  if (events !== undefined && !listOf(events, (event) => isMemberName(event) || isMarkEvent(event)))
    throw invalid("`events` is a list of names of events.");
  if (shards !== undefined && !listOf(shards, (shard) => Number.isSafeInteger(shard) && (shard as number) >= 0, 4_096))
    throw invalid("`shards` is a list of numbers of shards.");
  return {
    ...(types === undefined ? {} : { types: [...types] }),
    ...(key === undefined ? {} : { key }),
    ...(keyPrefix === undefined ? {} : { keyPrefix }),
    ...(events === undefined ? {} : { events: [...events] }),
    ...(shards === undefined ? {} : { shards: [...shards] }),
  };
}

function isMarkEvent(event: unknown): boolean {
  return event === "@state-set" || event === "@erased";
}

function listOf(value: unknown, fits: (item: unknown) => boolean, most = namesMax): boolean {
  return Array.isArray(value) && value.length > 0 && value.length <= most && value.every(fits);
}

function readOwner(value: unknown): SubscriberOwner {
  const { kind, id } = objectOf<SubscriberOwner>(value, "An owner", new Set(["kind", "id"]));
  if (!ownerKinds.includes(kind) || typeof id !== "string" || id.length === 0 || id.length > 256)
    throw invalid(`An owner is a principal: a kind, one of ${ownerKinds.join(", ")}, and an id.`);
  return { kind, id };
}

function objectOf<Shape>(value: unknown, what: string, names: ReadonlySet<string>): Partial<Shape> & Shape {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${what} is an object.`);
  const strange = Object.keys(value).find((name) => !names.has(name));
  if (strange !== undefined) throw invalid(`${what} has no \`${strange}\`; it has ${[...names].join(", ")}.`);
  return value as Partial<Shape> & Shape;
}

function oneOf<Name extends string>(value: unknown, names: readonly Name[], what: string): Name {
  const found = names.find((name) => name === value);
  if (found === undefined) throw invalid(`\`${what}\` is one of ${names.join(", ")}.`);
  return found;
}

function named(value: unknown, fits: (value: unknown) => value is string, rule: string): string {
  if (!fits(value)) throw invalid(`${rule}.`);
  return value;
}

function whole(value: unknown, least: number, most: number, what: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most)
    throw invalid(`\`${what}\` is a whole number of ${least} to ${most}.`);
  return value as number;
}

function invalid(text: string): HoldfastError {
  return new HoldfastError("invalid-input", text);
}
