/**
 * The provably fair shuffle, server side: deck, commitment and openings from a server seed.
 *
 * Invariants:
 * 1. Pure: one seed and context always give the same deck, commitment, root, salts and proofs, so none is stored.
 * 2. `commit` is published before the client seeds are fixed and `merkleRoot` at the deal; neither tells a card,
 *    and an opening tells its own card only (salts are outputs of a keyed hash, 32 bytes each).
 * Seeds, hashes and salts are lower-case hex.
 */
import { createHash, createHmac } from "node:crypto";
import { isCard } from "./cards.ts";
import {
  type CardOpening,
  concat,
  deckFromStream,
  fromHex,
  isServerSeed,
  leafInput,
  STREAM_BLOCKS_MIN,
  saltLabel,
  streamBlockInput,
  toHex,
} from "./fairness.ts";

export type Shuffle = {
  /** Deck positions 0..51 to cards; position 0 is dealt first. Secret. */
  deck: number[];
  commit: string;
  merkleRoot: string;
};

/** SHA-256 of the seed: what the server promises before anyone chooses a client seed. */
export function commitOf(serverSeed: string): string {
  return toHex(sha256(seedBytes(serverSeed)));
}

/** Everything the deal needs. Throws when the seed is not 32 bytes of lower-case hex. */
export function shuffleHand(of: { serverSeed: string; context: string }): Shuffle {
  const deck = shuffledDeck(of);
  const root = merkleLevels(of.serverSeed, deck).at(-1)?.[0];
  if (root === undefined) throw new Error("a deck has a Merkle root");
  return { deck, commit: commitOf(of.serverSeed), merkleRoot: toHex(root) };
}

export function shuffledDeck(of: { serverSeed: string; context: string }): number[] {
  const key = hmac(seedBytes(of.serverSeed), of.context);
  let stream: Uint8Array = new Uint8Array(0);
  for (let block = 0; ; block++) {
    stream = concat(stream, hmac(key, streamBlockInput(block)));
    const deck = block + 1 < STREAM_BLOCKS_MIN ? null : deckFromStream(stream);
    if (deck !== null) return deck;
  }
}

/** Opens the cards at these positions of the deck that the seed and context give. */
export function openCards(of: { serverSeed: string; context: string; positions: readonly number[] }): CardOpening[] {
  const deck = shuffledDeck(of);
  const levels = merkleLevels(of.serverSeed, deck);
  return of.positions.map((position) => {
    const card = deck[position];
    if (!isCard(card)) throw new Error(`no card at position ${position}`);
    return { position, card, salt: toHex(saltOf(of.serverSeed, position)), proof: proofOf(levels, position) };
  });
}

/** The leaves first, the root alone last. */
function merkleLevels(serverSeed: string, deck: readonly number[]): Uint8Array[][] {
  const leaves = deck.map((card, position) => sha256(leafInput(saltOf(serverSeed, position), card)));
  const levels: Uint8Array[][] = [leaves];
  for (let level = leaves; level.length > 1; levels.push(level)) level = parentsOf(level);
  return levels;
}

function parentsOf(level: readonly Uint8Array[]): Uint8Array[] {
  const parents: Uint8Array[] = [];
  for (let at = 0; at < level.length; at += 2) {
    const left = level[at] as Uint8Array;
    const right = level[at + 1];
    parents.push(right === undefined ? left : sha256(concat(left, right)));
  }
  return parents;
}

function proofOf(levels: readonly Uint8Array[][], position: number): string[] {
  const proof: string[] = [];
  levels.forEach((level, height) => {
    const sibling = level[(position >> height) ^ 1];
    if (level.length > 1 && sibling !== undefined) proof.push(toHex(sibling));
  });
  return proof;
}

function saltOf(serverSeed: string, position: number): Uint8Array {
  return hmac(seedBytes(serverSeed), saltLabel(position));
}

function seedBytes(serverSeed: string): Uint8Array {
  const bytes = isServerSeed(serverSeed) ? fromHex(serverSeed) : null;
  if (bytes === null) throw new Error("a server seed is 32 bytes in lower-case hex");
  return bytes;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

function hmac(key: Uint8Array, input: Uint8Array | string): Uint8Array {
  return createHmac("sha256", key).update(input).digest();
}
