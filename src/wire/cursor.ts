/**
 * Cursors as text: opaque to whoever keeps them, safe in URLs, headers and cells of a table.
 *
 *   base64url of msgpack [version, shard count, since, [shard, offset, chain or nil] ...]
 *
 * `since` (ms since 1970, or 0): records of before are passed over, for feeds that began at a time and have not reached it yet.
 *
 * Invariant: what is read equals what was written; a text that is none, or is of a service with another number of shards, is
 * refused.
 */
import { Packr, Unpackr } from "msgpackr";
import { HoldfastError } from "../model/errors.ts";
import type { Cursor, Place } from "../model/feeds.ts";
import type { ShardId } from "../model/ids.ts";

const version = 1;
/** 4,096 shards of 20 bytes. */
const charsMax = 128 * 1024;
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false });

export function writeCursor(cursor: Cursor, shardCount: number, sinceMs = 0): string {
  const row: unknown[] = [version, shardCount, sinceMs];
  for (const [shard, { offset, chain }] of cursor) row.push([shard, offset, chain ?? null]);
  return packr.pack(row).toString("base64url");
}

/** @throws `invalid-cursor` */
export function readCursor(text: string, shardCount: number): Map<ShardId, Place> {
  return readCursorSince(text, shardCount).places;
}

/** With the time before which records are passed over. @throws `invalid-cursor` */
export function readCursorSince(
  text: string,
  shardCount: number,
): { readonly places: Map<ShardId, Place>; readonly sinceMs: number } {
  const row = unpacked(text);
  if (!Array.isArray(row) || row[0] !== version || typeof row[2] !== "number")
    throw refused("The text is no cursor; give it back as a feed gave it.");
  if (row[1] !== shardCount)
    throw refused(`The cursor is of a service with ${String(row[1])} shards; this one has ${shardCount}.`);
  const cursor = new Map<ShardId, Place>();
  for (const entry of row.slice(3) as unknown[]) {
    const [shard, offset, chain] = Array.isArray(entry) ? (entry as unknown[]) : [];
    const known = isBelow(shard, 0, shardCount) && isBelow(offset, 0, Number.MAX_SAFE_INTEGER) && !cursor.has(shard);
    if (!known || !(chain === null || isBelow(chain, 0, 2 ** 32))) throw refused("The text is a damaged cursor.");
    cursor.set(shard, { offset, chain: chain ?? undefined });
  }
  return { places: cursor, sinceMs: row[2] };
}

function unpacked(text: string): unknown {
  if (text.length > charsMax || !/^[\w-]+$/.test(text)) return undefined;
  try {
    return unpackr.unpack(Buffer.from(text, "base64url")) as unknown;
  } catch {
    return undefined;
  }
}

function isBelow(value: unknown, least: number, limit: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) < limit;
}

function refused(text: string): HoldfastError {
  return new HoldfastError("invalid-cursor", text);
}
