/**
 * Names and numbers that identify things: entities, shards, offsets, epochs.
 *
 * Invariant: a key that passed `checkKey` is safe in a path, a log line and a query string; `shardOf` is stable for
 * ever (it decides where state lives), so neither its hash nor its input form may change.
 */
import { fnv1a } from "../std/hash.ts";
import { reservedKeys } from "../std/reserved.ts";

/** Number of one shard, 0 .. shardCount - 1. */
export type ShardId = number;
/** Position of a record in one shard's log. The first record has offset 1. */
export type Offset = number;
/** Number of one ownership of a shard. The first claim has epoch 1; it only grows. */
export type Epoch = number;

/** One entity: its type's name and its key within the type. */
export interface EntityRef {
  readonly type: string;
  readonly key: string;
}

/** Shards of a service unless it says otherwise. Fixed when its log is created. */
export const shardCountDefault = 256;

/**
 * Shards of an embedded service unless it says otherwise. One process serves all of them and none ever moves, so few are
 * enough, and a group commit then has few frames: docs/decisions/0007-sixteen-shards-embedded.md.
 */
export const shardCountEmbedded = 16;

const namePattern = /^[a-z][a-z0-9-]{0,63}$/;
const memberPattern = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const keyPattern = /^[A-Za-z0-9_-]{1,128}$/;

/** Entity type names stand in URLs and in the log: lower case, digits and dashes, at most 64. */
export function isTypeName(value: unknown): value is string {
  return typeof value === "string" && namePattern.test(value);
}

/** Entity types that Holdfast defines for itself. Their records are in the log like others, and nobody else's business. */
export function isOwnType(type: string): boolean {
  return type.startsWith("holdfast-");
}

/** Names of commands, events, queries and views: letters, digits, `_` and `-`, at most 64. */
export function isMemberName(value: unknown): value is string {
  return typeof value === "string" && memberPattern.test(value) && !reservedKeys.has(value);
}

/** Keys of entities: 1 to 128 of letters, digits, `_` and `-`. */
export function isKey(value: unknown): value is string {
  return typeof value === "string" && keyPattern.test(value) && !reservedKeys.has(value);
}

/** The shard of an entity: FNV-1a (32 bit) of `type/key`, modulo the shard count. */
export function shardOf(type: string, key: string, shardCount: number): ShardId {
  return fnv1a(`${type}/${key}`) % shardCount;
}

/** `type/key`, the written form of a reference. */
export function formatRef(ref: EntityRef): string {
  return `${ref.type}/${ref.key}`;
}

/** The reference that `formatRef` wrote. */
export function parseRef(name: string): EntityRef {
  const slash = name.indexOf("/");
  return { type: name.slice(0, slash), key: name.slice(slash + 1) };
}
