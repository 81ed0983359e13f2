/**
 * What stands where in the state store's file: keys and the envelope of values.
 *
 * Invariants: one key space, sorted by kind, then shard, then name. Every value begins with a CRC-32 over its key and all
 * that follows, so that bytes which lie in a wrong place are as damaged as bytes that were turned. All keys are ASCII.
 */
import { crc32 } from "node:zlib";
import { assert } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";

export type Kind = "busy" | "image" | "stamp";

const letters = { busy: "b", image: "i", stamp: "s" } as const;

/** Shards that keys have room for: four hexadecimal digits. */
const shardsMax = 0x1_0000;
const namePattern = /^[A-Za-z0-9_/-]{1,200}$/;

/** Characters of a key before the name. */
export const prefixLength = 6;

/** What all keys of one kind and shard begin with. */
export function prefixOf(kind: Kind, shard: ShardId): string {
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

export function checkName(name: string): void {
  assert(namePattern.test(name), "a name has 1 to 200 characters of letters, digits, `_`, `-` and `/`");
}

// value: crc 0, then the payload
const headBytes = 4;

export function sealValue(key: string, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(headBytes + payload.length);
  value.set(payload, headBytes);
  value.writeUInt32LE(crc32(value.subarray(headBytes), crc32(key)), 0);
  return value;
}

/** The payload, or undefined if the value is damaged. */
export function openValue(key: string, value: Buffer): Buffer | undefined {
  if (value.length < headBytes) return undefined;
  const payload = value.subarray(headBytes);
  return crc32(payload, crc32(key)) === value.readUInt32LE(0) ? payload : undefined;
}
