/**
 * FNV-1a over UTF-8, 32 bit. Stable across machines and versions; not for anything an adversary may aim at.
 * Source: Fowler, Noll, Vo, draft-eastlake-fnv.
 */

/** Hash of a string's UTF-8 bytes, 0 .. 2^32 - 1. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) hash = Math.imul(hash ^ unit, 0x01000193);
    else return fnv1aBytes(new TextEncoder().encode(text));
  }
  return hash >>> 0;
}

function fnv1aBytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
