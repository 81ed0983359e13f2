/**
 * UUIDs as 16 bytes: what the log stores and what dedup looks up.
 *
 * Invariant: bytesToUuid(parseUuidV7(id)) === id for every canonical UUIDv7, and nothing else parses.
 */

/** Two digits for each byte. */
export const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

const notHex = 255;
const digits = new Uint8Array(128).fill(notHex);
for (let digit = 0; digit < 16; digit++) digits[digit.toString(16).charCodeAt(0)] = digit;

/** The bytes of a canonical UUIDv7 (RFC 9562: lower case, with dashes), or undefined for anything else. */
export function parseUuidV7(text: unknown): Uint8Array | undefined {
  if (typeof text !== "string" || text.length !== 36) return undefined;
  const bytes = new Uint8Array(16);
  let at = 0;
  for (let index = 0; index < 36; index += 2) {
    if (index === 8 || index === 13 || index === 18 || index === 23) {
      if (text.charCodeAt(index) !== 45) return undefined;
      index++;
    }
    const high = digits[text.charCodeAt(index)] ?? notHex;
    const low = digits[text.charCodeAt(index + 1)] ?? notHex;
    if (high === notHex || low === notHex) return undefined;
    bytes[at++] = (high << 4) | low;
  }
  const version = (bytes[6] as number) >> 4;
  const variant = (bytes[8] as number) >> 6;
  return version === 7 && variant === 2 ? bytes : undefined;
}

/** Milliseconds since 1970 that a UUIDv7 carries. */
export function uuidBytesTime(bytes: Uint8Array): number {
  const [a, b, c, d, e, f] = bytes as unknown as [number, number, number, number, number, number];
  return (a * 0x100 + b) * 0x1_0000_0000 + ((c << 24) | (d << 16) | (e << 8) | f) + (c > 127 ? 0x1_0000_0000 : 0);
}

export function bytesToUuid(bytes: Uint8Array): string {
  const byte = (index: number): string => hex[bytes[index] as number] as string;
  const part = (from: number, to: number): string => {
    let text = "";
    for (let index = from; index < to; index++) text += byte(index);
    return text;
  };
  return `${part(0, 4)}-${part(4, 6)}-${part(6, 8)}-${part(8, 10)}-${part(10, 16)}`;
}
