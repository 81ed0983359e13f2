/**
 * What stands where in the state store's file: keys and the envelope of values.
 *
 * Invariants: one key space, sorted by kind, then shard, then name. Every value ends with a CRC-32 over its key and all
 * before it, so that bytes which lie in a wrong place are as damaged as bytes that were turned. All keys are ASCII.
 */
import { crc32 } from "node:zlib";
import { assert } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";

export type Kind = "busy" | "image" | "stamp";

const letters = { busy: "b", image: "i", stamp: "s" } as const;

/** Shards that keys have room for: four hexadecimal digits. */
const shardsMax = 0x1_0000;

/** Characters of a key before the name. */
export const prefixLength = 6;

const prefixes: Record<Kind, string[]> = { busy: [], image: [], stamp: [] };

/** What all keys of one kind and shard begin with. */
export function prefixOf(kind: Kind, shard: ShardId): string {
  return (prefixes[kind][shard] ??= makePrefix(kind, shard));
}

function makePrefix(kind: Kind, shard: ShardId): string {
  assert(Number.isInteger(shard) && shard >= 0 && shard < shardsMax, "a shard's number is below 65,536");
  return `${letters[kind]}${shard.toString(16).padStart(4, "0")}.`;
}

export function shardOfKey(key: string): ShardId {
  return Number.parseInt(key.slice(1, prefixLength - 1), 16);
}

/** Above every key that begins with the prefix: keys are ASCII. */
export function endOf(prefix: string): string {
  return `${prefix}\u007f`;
}

/** The checksum stands behind the payload: in a page the key stands before it, so both are checked by one call. */
export const crcBytes = 4;

export function sealValue(key: string, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(payload.length + crcBytes);
  value.set(payload);
  value.writeUInt32LE(crc32(payload, crc32(key)), payload.length);
  return value;
}

/** The payload, or undefined if the value is damaged. */
export function openValue(key: string, value: Buffer): Buffer | undefined {
  const length = value.length - crcBytes;
  if (length < 0) return undefined;
  const payload = value.subarray(0, length);
  return crc32(payload, crc32(key)) === value.readUInt32LE(length) ? payload : undefined;
}
