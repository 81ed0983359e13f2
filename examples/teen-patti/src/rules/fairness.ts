/**
 * The part of the provably fair shuffle that server and browser share: what is hashed, in which order, and how a
 * stream of bytes becomes a deck. It hashes nothing itself, so it runs anywhere.
 *
 * Invariants:
 * 1. Server (`shuffle.ts`) and browser (`verify.ts`) use these functions and differ in the hash library alone.
 * 2. The context names the table, the hand and every client seed, so one server seed gives one deck per context.
 * 3. A Merkle leaf hashes 33 bytes (salt, card) and a node 64 (left, right): neither can pass for the other.
 *    An odd node at the end of a level moves up unchanged; a proof's sides follow from the position, not the proof.
 */
import { DECK_CARDS, orderedDeck } from "./cards.ts";

/** One card of the committed deck, opened: enough to check it against the Merkle root, and no other card. */
export type CardOpening = { position: number; card: number; salt: string; proof: string[] };

/** A seat's contribution to the shuffle: 1 to 64 of A-Z a-z 0-9 _ - */
export type ClientSeed = { seat: number; clientSeed: string };

/** One byte string; `ArrayBuffer` rather than any buffer, since WebCrypto asks for it. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Seven blocks of the stream hold 56 words, and a shuffle needs 51 plus the rare rejected one. */
export const STREAM_BLOCKS_MIN = 7;

export function isClientSeed(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9_-]{1,64}$/.test(value);
}

/** A server seed is 32 bytes in lower-case hex. */
export function isServerSeed(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
}

/** "v1|table|hand|seat:clientSeed,…", seats ascending; throws when a part could be read in two ways. */
export function shuffleContext(of: {
  tableId: string;
  handNumber: number;
  clientSeeds: readonly ClientSeed[];
}): string {
  if (!/^[^|,]{1,200}$/.test(of.tableId)) throw new Error("a table id is 1 to 200 characters without | and ,");
  for (const { seat, clientSeed } of of.clientSeeds) {
    if (!isClientSeed(clientSeed)) throw new Error(`the client seed of seat ${seat} is not 1 to 64 of A-Za-z0-9_-`);
  }
  const ascending = [...of.clientSeeds].sort((a, b) => a.seat - b.seat);
  const seeds = ascending.map(({ seat, clientSeed }) => `${seat}:${clientSeed}`).join(",");
  return `v1|${of.tableId}|${of.handNumber}|${seeds}`;
}

/** Reads the client seeds back out of a context, in its order; empty when it is no context. */
export function clientSeedsOf(context: string): ClientSeed[] {
  const seeds = context.split("|")[3];
  if (seeds === undefined || seeds === "") return [];
  return seeds.split(",").map((pair) => {
    const [seat = "", clientSeed = ""] = pair.split(":");
    return { seat: Number(seat), clientSeed };
  });
}

/** The input of block `index` of the stream: the index as 8 bytes, big-endian. */
export function streamBlockInput(index: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(index));
  return bytes;
}

/**
 * Fisher-Yates over the ordered deck, i = 51…1 with j in 0..i, each j from big-endian 32-bit words; a word at or above
 * floor(2^32 / n) * n is rejected so that every j is equally likely.
 * @returns the deck, or null when the stream ended first: make it longer and start again.
 */
export function deckFromStream(stream: Uint8Array): number[] | null {
  const deck = orderedDeck();
  const words = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  let read = 0;
  for (let i = DECK_CARDS - 1; i >= 1; i--) {
    const n = i + 1;
    const limit = Math.floor(2 ** 32 / n) * n;
    let word = limit;
    while (word >= limit) {
      if (read + 4 > words.byteLength) return null;
      word = words.getUint32(read);
      read += 4;
    }
    const j = word % n;
    const held = deck[i] as number;
    deck[i] = deck[j] as number;
    deck[j] = held;
  }
  return deck;
}

/** The label under which the server seed makes the salt of a position. */
export function saltLabel(position: number): string {
  return `salt|${position}`;
}

/** What a leaf hashes: 32 bytes of salt, one of card. */
export function leafInput(salt: Uint8Array, card: number): Bytes {
  return concat(salt, Uint8Array.of(card));
}

/** On which side the sibling stands at each level from the leaf up, for a tree over the whole deck. */
export function proofSides(position: number): ("left" | "right")[] {
  const sides: ("left" | "right")[] = [];
  for (let index = position, width = DECK_CARDS; width > 1; index >>= 1, width = Math.ceil(width / 2)) {
    if (index % 2 === 1) sides.push("left");
    else if (index + 1 < width) sides.push("right");
  }
  return sides;
}

/**
 * The deck positions of a seat's cards: dealt one at a time in `order`, which starts at the dealer's left.
 * @param at the seat's place in that order, from 0.
 */
export function dealPositions(at: number, of: { seatCount: number; cardsPerHand: number }): number[] {
  return Array.from({ length: of.cardsPerHand }, (_, round) => round * of.seatCount + at);
}

export function concat(left: Uint8Array, right: Uint8Array): Bytes {
  const bytes = new Uint8Array(left.length + right.length);
  bytes.set(left);
  bytes.set(right, left.length);
  return bytes;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Null when the text is not lower-case hex of whole bytes. */
export function fromHex(hex: string): Bytes | null {
  if (!/^(?:[0-9a-f]{2})*$/.test(hex)) return null;
  return Uint8Array.from({ length: hex.length / 2 }, (_, at) => Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16));
}
