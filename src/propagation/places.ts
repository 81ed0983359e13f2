/**
 * What cursors say of lag: how far a place is behind what is durable.
 *
 * Invariant: asks the node's memory alone, so that it costs a subtraction per shard.
 */
import { type Cursor, type FeedLag, noLag } from "../model/feeds.ts";
import type { FeedSource } from "../runtime/feed-source.ts";
import { readCursor } from "../wire/cursor.ts";

type Tails = Pick<FeedSource, "recent" | "shardCount" | "now">;

/** The places of a cursor that a feed of this service gave. */
export function placesIn(cursor: string, { shardCount }: Pick<FeedSource, "shardCount">): Cursor {
  return readCursor(cursor, shardCount);
}

/** Some shard's present states come before its records. */
export function isWhole(places: Cursor): boolean {
  for (const { offset } of places.values()) if (offset === 0) return true;
  return false;
}

/** @param readMs recorded time up to which was read */
export function lagOf(places: Cursor, readMs: number, { recent, now }: Tails): FeedLag {
  let records = 0;
  for (const [shard, { offset }] of places) records += Math.max(0, recent.tail(shard) - offset);
  if (records === 0) return noLag;
  const seconds = readMs === 0 ? 0 : Math.max(0, (now() - readMs) / 1_000);
  return { records, bytes: Math.round(records * recent.usualRecordBytes), seconds };
}

/** Records from one place to a later one. */
export function recordsBetween(from: Cursor, to: Cursor): number {
  let records = 0;
  for (const [shard, { offset }] of to) records += Math.max(0, offset - (from.get(shard)?.offset ?? offset));
  return records;
}
