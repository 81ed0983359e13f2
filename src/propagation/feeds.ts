/**
 * Opens feeds over one node.
 *
 * Invariant: an ask that was let through names types and views that exist and that its principal may follow, and begins at a
 * place that the log and its archive have.
 */

import { sieveOf } from "../core/changefeed/changes.ts";
import { narrowed } from "../core/changefeed/cursor.ts";
import { mayFollow } from "../core/user-code.ts";
import { HoldfastError } from "../model/errors.ts";
import { type FeedAsk, type FeedFilter, feedForms, type Place } from "../model/feeds.ts";
import { isKey, isOwnType, type ShardId, shardOf } from "../model/ids.ts";
import type { LogPosition } from "../ports/log.ts";
import type { FeedSource } from "../runtime/feed-source.ts";
import { readCursor, readCursorSince } from "../wire/cursor.ts";
import { frameMayHold } from "../wire/frame.ts";
import type { Feed, Feeds } from "./feed.ts";
import { anotherLog, Follower } from "./follower.ts";
import { FeedReader } from "./reader.ts";

export interface FeedsOptions {
  /** Name of the service: the `source` of its CloudEvents. Letters, digits, dots, `_` and `-`. Default "holdfast". */
  readonly service?: string;
}

/** A node's feeds. `close` ends all of them, before the node stops. */
export interface OpenFeeds extends Feeds {
  /** Feeds that are open. */
  readonly size: number;
  close(): void;
}

export function openFeeds(source: FeedSource, options: FeedsOptions = {}): OpenFeeds {
  const service = options.service ?? "holdfast";
  if (!/^[\w.-]{1,64}$/.test(service))
    throw new HoldfastError("invalid-configuration", "A service's name is 1 to 64 letters, digits, dots, _ and -.");
  const open = new Set<Feed>();
  let closed = false;
  return {
    service,
    get size() {
      return open.size;
    },
    open: async (ask) => {
      if (closed) throw new HoldfastError("unavailable", "The node stops; ask again.");
      if (open.size >= source.limits.feedsMax)
        throw new HoldfastError("overloaded", `${source.limits.feedsMax} feeds are open on this node; ask later.`);
      const feed = await openFeed(source, ask, () => void open.delete(feed));
      open.add(feed);
      if (closed) feed.close();
      return feed;
    },
    close: () => {
      closed = true;
      for (const feed of [...open]) feed.close();
    },
  };
}

async function openFeed(source: FeedSource, ask: FeedAsk, closed: () => void): Promise<Feed> {
  const filter = checkedFilter(source, ask);
  const checkAccess = () => checkFollow(source, ask, filter);
  checkAccess();
  const shards = shardsOf(source, filter);
  const unheed = source.heed(shards, "frames");
  try {
    const sinceMs = sinceOf(ask, source);
    const { follower, whole } = await followerOf(source, ask, filter, shards);
    const over = () => {
      unheed();
      closed();
    };
    return new FeedReader({ ask, source, sieve: sieveOf(filter), follower, sinceMs, whole, checkAccess, closed: over });
  } catch (error) {
    unheed();
    throw error;
  }
}

async function followerOf(source: FeedSource, ask: FeedAsk, filter: FeedFilter, shards: ShardId[]) {
  const places = await placesOf(source, ask, shards);
  const keys = filter.key === undefined ? undefined : [filter.key];
  const { past: log, recent, clock, limits } = source;
  const whole =
    ask.form === "changes" ? [] : [...places].filter(([, { offset }]) => offset === 0).map(([shard]) => shard);
  const follower = new Follower(await withoutZero(source, places, whole), {
    log,
    recent,
    clock,
    idleMs: limits.feedIdleMs,
    ...(keys === undefined
      ? {}
      : { passes: (frame: Uint8Array, shard: ShardId, at: number) => frameMayHold(frame, shard, at, keys) }),
  });
  return { follower, whole };
}

function invalid(text: string): HoldfastError {
  return new HoldfastError("invalid-input", text);
}

function checkedFilter({ definitions, shardCount }: FeedSource, ask: FeedAsk): FeedFilter {
  const { form, view, filter = {} } = ask;
  if (!feedForms.includes(form)) throw invalid(`A feed's form is one of ${feedForms.join(", ")}.`);
  const { types, key, keyPrefix, events, shards } = filter;
  for (const type of types ?? []) {
    if (!definitions.has(type) || isOwnType(type)) throw new HoldfastError("unknown-type", `No entity type "${type}".`);
    if (view !== undefined && definitions.get(type)?.views.has(view) !== true)
      throw new HoldfastError("unknown-view", `${type} has no view "${view}".`);
  }
  if (types?.length === 0) throw invalid("A feed of no entity type gives nothing; leave `types` out for all.");
  if (view !== undefined && form === "changes")
    throw invalid("A change log has events; a view goes with the other forms.");
  if (view !== undefined && types === undefined) throw invalid("A view is of an entity type; name it in `types`.");
  if (key !== undefined && (!isKey(key) || types?.length !== 1))
    throw invalid("A feed of one entity needs its key and its one type.");
  if (keyPrefix !== undefined && (typeof keyPrefix !== "string" || keyPrefix.length > 128))
    throw invalid("A prefix of keys has at most 128 characters.");
  if (events?.length === 0) throw invalid("A feed of no event gives nothing; leave `events` out for all.");
  for (const shard of shards ?? [])
    if (!Number.isInteger(shard) || shard < 0 || shard >= shardCount)
      throw invalid(`A shard is 0 to ${shardCount - 1}.`);
  if (shards?.length === 0) throw invalid("A feed of no shard gives nothing; leave `shards` out for all.");
  return filter;
}

/** @throws `forbidden` */
function checkFollow({ definitions }: FeedSource, { principal, form, view }: FeedAsk, filter: FeedFilter): void {
  if (principal.kind === "operator" || principal.kind === "system") return;
  const types = filter.types ?? [...definitions.keys()].filter((type) => !isOwnType(type));
  for (const type of types) {
    const definition = definitions.get(type);
    if (definition === undefined || !mayFollow(definition, principal, { form, view, key: filter.key }))
      throw new HoldfastError("forbidden", `This principal may not follow ${type}; its \`feed\` says who may.`);
  }
}

function shardsOf({ shardCount }: FeedSource, { types, key, shards }: FeedFilter): ShardId[] {
  const all = shards ?? Array.from({ length: shardCount }, (_, shard) => shard);
  if (key === undefined) return [...new Set(all)];
  const shard = shardOf(types?.[0] as string, key, shardCount);
  return all.includes(shard) ? [shard] : [];
}

async function placesOf(source: FeedSource, ask: FeedAsk, shards: ShardId[]): Promise<Map<ShardId, Place>> {
  const { start, form } = ask;
  const positions = await source.past.tail(shards);
  const given = givenPlaces(source, ask, shards);
  const places = new Map<ShardId, Place>();
  for (const [index, shard] of shards.entries()) {
    const position = positions[index] as LogPosition;
    // What the log has is durable, though nothing of it passed here since the start.
    source.recent.begin(shard, position.tail);
    const hasStates = form !== "changes" && source.entities(shard, position.tail) !== undefined;
    const asked = given?.get(shard);
    // Where nothing is kept beside the log, the log has everything.
    const isBeginning = asked?.offset === 0 && !hasStates;
    const place = isBeginning ? startIn(position, "beginning", false) : (asked ?? startIn(position, start, hasStates));
    if (place.offset > Math.max(position.tail, source.recent.tail(shard))) throw anotherLog(shard, place.offset);
    places.set(shard, place);
  }
  return places;
}

function sinceOf({ start }: FeedAsk, { shardCount }: FeedSource): number {
  if (typeof start !== "object") return 0;
  if ("cursor" in start) return readCursorSince(start.cursor, shardCount).sinceMs;
  if (!("timeMs" in start)) return 0;
  if (!Number.isSafeInteger(start.timeMs)) throw invalid("A feed starts at a time in whole milliseconds since 1970.");
  return start.timeMs;
}

function givenPlaces(
  source: FeedSource,
  { start, form }: FeedAsk,
  shards: readonly ShardId[],
): Map<ShardId, Place> | undefined {
  if (typeof start !== "object") return undefined;
  if ("cursor" in start) {
    const places = narrowed(readCursor(start.cursor, source.shardCount), shards);
    const isOdd = form === "changes" && [...(places?.values() ?? [])].some(({ offset }) => offset === 0);
    if (isOdd) throw new HoldfastError("invalid-cursor", "The cursor is of a feed of absolutes or deltas.");
    if (places === undefined)
      throw new HoldfastError("invalid-cursor", "The cursor is of a feed of fewer shards than this one.");
    return places;
  }
  if (!("offsets" in start)) return undefined;
  const places = new Map<ShardId, Place>();
  for (const shard of shards) {
    const offset = start.offsets[shard];
    if (offset === undefined) continue;
    if (!Number.isSafeInteger(offset) || offset < 1) throw invalid("An offset is a positive integer; the first is 1.");
    places.set(shard, { offset, chain: undefined });
  }
  return places;
}

function startIn({ trimmed, tail }: LogPosition, start: FeedAsk["start"], hasStates: boolean): Place {
  if (start === "beginning" && trimmed > 1 && hasStates) return { offset: 0, chain: undefined };
  if (start === "beginning" || (typeof start === "object" && "timeMs" in start))
    return { offset: trimmed, chain: trimmed === 1 ? 0 : undefined };
  if (start === "now" || typeof start === "object") return { offset: tail, chain: undefined };
  throw invalid("A feed starts at beginning, now, a cursor, a time or offsets.");
}

/** Shards that begin with their entities follow the log from its present end, to be read behind them. */
async function withoutZero(
  source: FeedSource,
  places: Map<ShardId, Place>,
  whole: readonly ShardId[],
): Promise<Map<ShardId, Place>> {
  const positions = whole.length === 0 ? [] : await source.past.tail(whole);
  for (const [index, shard] of whole.entries())
    places.set(shard, { offset: (positions[index] as LogPosition).tail, chain: undefined });
  return places;
}
