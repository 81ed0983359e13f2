/** The provably fair shuffle: its vector, its openings, and the browser's verifier against the server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeck } from "./cards.ts";
import { dealPositions, deckFromStream, isClientSeed, STREAM_BLOCKS_MIN, shuffleContext } from "./fairness.ts";
import { commitOf, openCards, shuffledDeck, shuffleHand } from "./shuffle.ts";
import { type Evidence, recomputeDeck, recomputeRoot, verifyCommit, verifyHand, verifyOpening } from "./verify.ts";

const serverSeed = "07".repeat(32);
const clientSeeds = [
  { seat: 5, clientSeed: "cc" },
  { seat: 0, clientSeed: "aa" },
  { seat: 2, clientSeed: "bb" },
];
const context = shuffleContext({ tableId: "t1", handNumber: 42, clientSeeds });
const seedOf = (n: number): string => n.toString(16).padStart(64, "0");

test("the published vector gives its deck and its commitment", () => {
  assert.equal(context, "v1|t1|42|0:aa,2:bb,5:cc");
  const { deck, commit } = shuffleHand({ serverSeed, context });
  assert.deepEqual(deck.slice(0, 9), [29, 6, 51, 1, 21, 33, 38, 43, 2]);
  assert.equal(commit.slice(0, 16), "4bb06f8e4e3a7715");
  assert.ok(isDeck(deck));
});

test("a word at or above the largest multiple of n is rejected", () => {
  const words = new Uint32Array(STREAM_BLOCKS_MIN * 8);
  const bytesOf = (of: Uint32Array): Uint8Array => {
    const bytes = new Uint8Array(of.length * 4);
    of.forEach((word, at) => {
      new DataView(bytes.buffer).setUint32(4 * at, word);
    });
    return bytes;
  };
  const plain = deckFromStream(bytesOf(words));
  assert.deepEqual(deckFromStream(bytesOf(Uint32Array.of(0xffff_ffff, ...words))), plain);
  // 52 * floor(2^32 / 52) = 4294967248 is the first rejected word of the first draw; the one before counts, as 51.
  assert.deepEqual(deckFromStream(bytesOf(Uint32Array.of(4_294_967_248, ...words))), plain);
  assert.equal(deckFromStream(bytesOf(words.with(0, 4_294_967_247)))?.[51], 51);
  assert.notDeepEqual(deckFromStream(bytesOf(words.with(0, 4_294_967_247))), plain);
});

test("a stream that ends before the shuffle gives no deck", () => {
  assert.equal(deckFromStream(new Uint8Array(50 * 4)), null);
  assert.notEqual(deckFromStream(new Uint8Array(51 * 4)), null);
});

test("every card comes equally often to every position", () => {
  const counts = Array.from({ length: 52 }, () => 0);
  const runs = 5200;
  for (let run = 0; run < runs; run++) {
    const top = shuffledDeck({ serverSeed: seedOf(run), context })[0] ?? -1;
    counts[top] = (counts[top] ?? 0) + 1;
  }
  const chiSquare = counts.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
  assert.ok(chiSquare < 100, `chi-square ${chiSquare} with 51 degrees of freedom`);
});

test("one changed client seed, hand or server seed changes the deck", () => {
  const deck = shuffledDeck({ serverSeed, context });
  const others = [
    { serverSeed, context: context.replace("cc", "cd") },
    { serverSeed, context: context.replace("|42|", "|43|") },
    { serverSeed: seedOf(1), context },
  ];
  for (const other of others) assert.notDeepEqual(shuffledDeck(other), deck);
});

test("a context that could be read in two ways is refused", () => {
  assert.throws(() => shuffleContext({ tableId: "a|b", handNumber: 1, clientSeeds }), /table id/);
  const seat = { seat: 0, clientSeed: "x,1:y" };
  assert.throws(() => shuffleContext({ tableId: "t", handNumber: 1, clientSeeds: [seat] }), /client seed/);
  assert.ok(isClientSeed("aZ09_-") && !isClientSeed("") && !isClientSeed("a:b") && !isClientSeed(7));
});

test("a malformed server seed is refused", () => {
  assert.throws(() => commitOf("07"), /32 bytes/);
  assert.throws(() => commitOf("AA".repeat(32)), /32 bytes/);
});

test("server and browser agree on deck, commitment and Merkle root", async () => {
  for (let n = 0; n < 20; n++) {
    const of = { serverSeed: seedOf(n * 7919), context: `v1|t|${n}|0:a,1:b` };
    const server = shuffleHand(of);
    assert.deepEqual(await recomputeDeck(of), server.deck);
    assert.equal(await recomputeRoot(of.serverSeed, server.deck), server.merkleRoot);
    assert.ok(await verifyCommit(of.serverSeed, server.commit));
  }
});

test("each of the 52 cards can be opened alone and checks against the root", async () => {
  const { deck, merkleRoot } = shuffleHand({ serverSeed, context });
  const openings = openCards({ serverSeed, context, positions: deck.map((_, position) => position) });
  for (const opening of openings) {
    assert.equal(opening.card, deck[opening.position]);
    assert.ok(await verifyOpening(opening, merkleRoot), `position ${opening.position}`);
  }
});

test("an opening with another card, position, salt or proof fails", async () => {
  const { merkleRoot } = shuffleHand({ serverSeed, context });
  for (const position of [0, 17, 48, 51]) {
    const [opening] = openCards({ serverSeed, context, positions: [position] });
    assert.ok(opening);
    const forged = [
      { ...opening, card: (opening.card + 1) % 52 },
      { ...opening, position: (opening.position + 1) % 52 },
      { ...opening, position: -1 },
      { ...opening, salt: seedOf(3) },
      { ...opening, salt: "" },
      { ...opening, proof: opening.proof.slice(1) },
      { ...opening, proof: opening.proof.with(0, seedOf(4)) },
      { ...opening, proof: opening.proof.with(0, "zz") },
    ];
    for (const forgery of forged) assert.equal(await verifyOpening(forgery, merkleRoot), false);
    assert.equal(await verifyOpening(opening, seedOf(5)), false);
  }
});

/** A hand of seats 0, 2, 5 with dealer 5, in which seat 2 saw its own cards and those of seat 0. */
function evidence(): Evidence {
  const { deck, commit, merkleRoot } = shuffleHand({ serverSeed, context });
  const order = [0, 2, 5];
  const shown = [0, 2].flatMap((seat) =>
    dealPositions(order.indexOf(seat), { seatCount: 3, cardsPerHand: 3 }).map((position) => ({
      seat,
      position,
      card: deck[position] as number,
    })),
  );
  const positions = shown.map(({ position }) => position);
  return {
    commit,
    merkleRoot,
    context,
    order,
    cardsPerHand: 3,
    ownSeed: { seat: 2, clientSeed: "bb" },
    shown,
    openings: openCards({ serverSeed, context, positions }),
    serverSeed: null,
  };
}

test("an honest hand verifies, and completely once the seed is published", async () => {
  const before = await verifyHand(evidence());
  assert.deepEqual([before.ok, before.complete], [true, false]);
  const after = await verifyHand({ ...evidence(), serverSeed });
  assert.deepEqual([after.ok, after.complete], [true, true]);
});

test("each kind of cheating fails its own check", async () => {
  const honest = evidence();
  const [first] = honest.shown;
  assert.ok(first);
  const swapped = [{ ...first, card: (first.card + 1) % 52 }, ...honest.shown.slice(1)];
  const failing: [string, Partial<Evidence>][] = [
    ["clientSeed", { ownSeed: { seat: 2, clientSeed: "zz" } }],
    ["clientSeed", { context: context.replace("2:bb", "2:bx") }],
    ["deal", { order: [0, 5, 2] }],
    ["deal", { order: [0, 2] }],
    ["deal", { shown: [{ ...first, position: 20 }] }],
    ["deal", { shown: [{ ...first, seat: 3 }] }],
    ["openings", { shown: swapped }],
    ["openings", { openings: honest.openings.slice(1) }],
    ["openings", { merkleRoot: seedOf(9) }],
    ["commit", { serverSeed: seedOf(9) }],
    ["commit", { serverSeed: "no seed" }],
    ["deck", { serverSeed: seedOf(9) }],
    ["deck", { serverSeed, shown: swapped }],
    ["deck", { serverSeed, merkleRoot: seedOf(9) }],
  ];
  for (const [name, change] of failing) {
    const verdict = await verifyHand({ ...honest, ...change });
    const failed = verdict.checks.filter(({ outcome }) => outcome === "failed").map((check) => check.name);
    assert.equal(verdict.ok, false);
    assert.ok(
      failed.some((check) => check === name),
      `${name} is not among ${failed.join()}`,
    );
  }
});
