/**
 * What can be asked of cursors.
 *
 * Invariant: none of these makes a place that no follower stood at.
 */
import type { Cursor, Place } from "../../model/feeds.ts";
import type { ShardId } from "../../model/ids.ts";

/** Of the cursors' places, those of the given shards; undefined if one is missing. */
export function narrowed(cursor: Cursor, shards: readonly ShardId[]): Map<ShardId, Place> | undefined {
  const places = new Map<ShardId, Place>();
  for (const shard of shards) {
    const place = cursor.get(shard);
    if (place === undefined) return undefined;
    places.set(shard, place);
  }
  return places;
}

/** Neither stands before the other in any shard that both know. */
export function samePlaces(one: Cursor, other: Cursor): boolean {
  if (one.size !== other.size) return false;
  for (const [shard, { offset }] of one) if (other.get(shard)?.offset !== offset) return false;
  return true;
}
