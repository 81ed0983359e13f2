/**
 * UUIDv7 (RFC 9562): 48 bits of milliseconds since 1970, then 74 random bits.
 *
 * Invariant: only the one canonical form (lower case, with dashes) is an id, so two ids are equal exactly if their texts
 * are; whoever takes ids from people lowers their case first.
 */

import { hex, parseUuidV7 } from "./uuid-bytes.ts";

const timeMax = 2 ** 48 - 1;

/** True for a UUIDv7 in canonical form. */
export function isUuidV7(text: unknown): text is string {
  return parseUuidV7(text) !== undefined;
}

/** Milliseconds since 1970 of an id that `isUuidV7` accepted. */
export function uuidV7Time(text: string): number {
  return Number.parseInt(text.slice(0, 8), 16) * 0x10000 + Number.parseInt(text.slice(9, 13), 16);
}

/**
 * @param nowMs    0 .. 2^48 - 1; a fraction is dropped
 * @param random16 at least 16 random bytes; the last ten are used
 * @throws RangeError a time or a count of bytes that no id can hold
 */
export function makeUuidV7(nowMs: number, random16: Uint8Array): string {
  const time = Math.floor(nowMs);
  if (!(time >= 0 && time <= timeMax)) throw new RangeError(`no UUIDv7 has the time ${nowMs}`);
  if (random16.length < 16) throw new RangeError("a UUIDv7 needs 16 random bytes");
  const high = Math.floor(time / 0x10000);
  const byte = (index: number): string => hex[random16[index] as number] as string;
  return (
    high.toString(16).padStart(8, "0") +
    "-" +
    (time % 0x10000).toString(16).padStart(4, "0") +
    "-" +
    (hex[((random16[6] as number) & 0x0f) | 0x70] as string) +
    byte(7) +
    "-" +
    (hex[((random16[8] as number) & 0x3f) | 0x80] as string) +
    byte(9) +
    "-" +
    byte(10) +
    byte(11) +
    byte(12) +
    byte(13) +
    byte(14) +
    byte(15)
  );
}
