/**
 * The player's own check of a hand, in the browser: WebCrypto only, nothing asked of the server.
 *
 * Invariant: a check passes only on what this file computed from the evidence. What cannot be checked yet (the whole
 * deck before the server seed is published) is reported as such, never as passed.
 */
import { DECK_CARDS, isCard } from "./cards.ts";
import {
  type Bytes,
  type CardOpening,
  type ClientSeed,
  clientSeedsOf,
  concat,
  dealPositions,
  deckFromStream,
  fromHex,
  isServerSeed,
  leafInput,
  proofSides,
  STREAM_BLOCKS_MIN,
  saltLabel,
  streamBlockInput,
  toHex,
} from "./fairness.ts";

/** A card as it was shown to this player during the hand. */
export type ShownCard = { seat: number; position: number; card: number };

export type Evidence = {
  /** Received before the hand began. */
  commit: string;
  /** Received at the deal. */
  merkleRoot: string;
  context: string;
  /** Seats in deal order, from the dealer's left, and how many cards each got. */
  order: readonly number[];
  cardsPerHand: number;
  /** The client seed this player sent, when seated. */
  ownSeed: ClientSeed | null;
  shown: readonly ShownCard[];
  openings: readonly CardOpening[];
  /** Null until the server publishes it. */
  serverSeed: string | null;
};

/** clientSeed: mine is in the context; deal: seats and positions are regular; openings: shown cards were committed. */
export type CheckName = "clientSeed" | "deal" | "openings" | "commit" | "deck";
export type Check = { name: CheckName; outcome: "passed" | "failed" | "not-yet" };
/** `ok`: nothing failed. `complete`: everything could be checked. */
export type Verdict = { ok: boolean; complete: boolean; checks: Check[] };

/** Runs every check; never throws on wrong evidence, whatever its shape, since a failed check is the answer. */
export async function verifyHand(evidence: Evidence): Promise<Verdict> {
  const seed = evidence.serverSeed;
  const checks: Check[] = [
    { name: "clientSeed", outcome: outcomeOf(hasOwnSeed(evidence)) },
    { name: "deal", outcome: outcomeOf(isDealRegular(evidence)) },
    { name: "openings", outcome: outcomeOf(await areShownCardsOpened(evidence)) },
    { name: "commit", outcome: seed === null ? "not-yet" : outcomeOf(await verifyCommit(seed, evidence.commit)) },
    { name: "deck", outcome: seed === null ? "not-yet" : outcomeOf(await verifyDeck(evidence, seed)) },
  ];
  const has = (outcome: Check["outcome"]): boolean => checks.some((check) => check.outcome === outcome);
  return { ok: !has("failed"), complete: !has("not-yet"), checks };
}

/** Whether the seed is the one promised. */
export async function verifyCommit(serverSeed: string, commit: string): Promise<boolean> {
  const seed = isServerSeed(serverSeed) ? fromHex(serverSeed) : null;
  return seed !== null && toHex(await sha256(seed)) === commit;
}

/** Whether the opened card was at its position when the root was made. */
export async function verifyOpening(opening: CardOpening, merkleRoot: string): Promise<boolean> {
  const salt = fromHex(opening.salt);
  const isPosition = Number.isInteger(opening.position) && opening.position >= 0 && opening.position < DECK_CARDS;
  if (!isPosition || !isCard(opening.card) || salt?.length !== 32) return false;
  const sides = proofSides(opening.position);
  if (opening.proof.length !== sides.length) return false;
  let node = await sha256(leafInput(salt, opening.card));
  for (const [height, side] of sides.entries()) {
    const sibling = fromHex(opening.proof[height] ?? "");
    if (sibling?.length !== 32) return false;
    node = await sha256(side === "left" ? concat(sibling, node) : concat(node, sibling));
  }
  return toHex(node) === merkleRoot;
}

/** The deck a published seed gives; null when the seed is malformed. */
export async function recomputeDeck(of: { serverSeed: string; context: string }): Promise<number[] | null> {
  const seed = isServerSeed(of.serverSeed) ? fromHex(of.serverSeed) : null;
  if (seed === null) return null;
  const key = await hmacKey(await hmac(await hmacKey(seed), utf8(of.context)));
  let stream: Bytes = new Uint8Array(0);
  for (let block = 0; ; block++) {
    stream = concat(stream, await hmac(key, streamBlockInput(block)));
    const deck = block + 1 < STREAM_BLOCKS_MIN ? null : deckFromStream(stream);
    if (deck !== null) return deck;
  }
}

/** The Merkle root a published seed gives a deck; null when the seed is malformed. */
export async function recomputeRoot(serverSeed: string, deck: readonly number[]): Promise<string | null> {
  const seed = isServerSeed(serverSeed) ? fromHex(serverSeed) : null;
  if (seed === null) return null;
  const key = await hmacKey(seed);
  let level: Bytes[] = await Promise.all(
    deck.map(async (card, position) => sha256(leafInput(await hmac(key, utf8(saltLabel(position))), card))),
  );
  while (level.length > 1) level = await parentsOf(level);
  return level[0] === undefined ? null : toHex(level[0]);
}

function outcomeOf(passed: boolean): Check["outcome"] {
  return passed ? "passed" : "failed";
}

function hasOwnSeed({ ownSeed, context }: Evidence): boolean {
  if (ownSeed === null) return true;
  return clientSeedsOf(context).some((of) => of.seat === ownSeed.seat && of.clientSeed === ownSeed.clientSeed);
}

/** The order is the seats of the context, clockwise from some seat, and every shown card lay where its seat is dealt. */
function isDealRegular({ context, order, cardsPerHand, shown }: Evidence): boolean {
  const clockwise = clientSeedsOf(context).map(({ seat }) => seat);
  const start = clockwise.indexOf(order[0] ?? -1);
  const isRotation =
    start >= 0 &&
    order.length === clockwise.length &&
    order.every((seat, at) => seat === clockwise[(start + at) % clockwise.length]);
  return (
    isRotation &&
    shown.every(({ seat, position }) => {
      const at = order.indexOf(seat);
      return at >= 0 && dealPositions(at, { seatCount: order.length, cardsPerHand }).includes(position);
    })
  );
}

/** Every opening given holds, and every shown card has one that names the same card. */
async function areShownCardsOpened({ shown, openings, merkleRoot }: Evidence): Promise<boolean> {
  const isOpened = shown.every((at) => openings.some((of) => of.position === at.position && of.card === at.card));
  if (!isOpened) return false;
  const holds = await Promise.all(openings.map((opening) => verifyOpening(opening, merkleRoot)));
  return holds.every(Boolean);
}

async function verifyDeck({ context, merkleRoot, shown }: Evidence, serverSeed: string): Promise<boolean> {
  const deck = await recomputeDeck({ serverSeed, context });
  if (deck === null || !shown.every((at) => deck[at.position] === at.card)) return false;
  return (await recomputeRoot(serverSeed, deck)) === merkleRoot;
}

function parentsOf(level: readonly Bytes[]): Promise<Bytes[]> {
  const pairs: Promise<Bytes>[] = [];
  for (let at = 0; at < level.length; at += 2) {
    const left = level[at] as Bytes;
    const right = level[at + 1];
    pairs.push(right === undefined ? Promise.resolve(left) : sha256(concat(left, right)));
  }
  return Promise.all(pairs);
}

function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", bytes));
}

function hmacKey(key: Bytes): Promise<CryptoKey> {
  return globalThis.crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

async function hmac(key: CryptoKey, input: Bytes): Promise<Bytes> {
  return new Uint8Array(await globalThis.crypto.subtle.sign("HMAC", key, input));
}
