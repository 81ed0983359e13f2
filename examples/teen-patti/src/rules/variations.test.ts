/** The variations' rankings. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeRank, type HandRank } from "./ranking.ts";
import { cards } from "./rules.testkit.ts";
import { rankHand, VARIATION_NAMES, VARIATIONS, type VariationName } from "./variations.ts";

const rank = (variation: VariationName, text: string, jokerRank: number | null = null): HandRank =>
  rankHand(variation, cards(text), { a23: "second", jokerRank });

function assertBeats(variation: VariationName, winner: string, loser: string): void {
  assert.ok(rank(variation, winner).strength > rank(variation, loser).strength, `${winner} beats ${loser}`);
}

test("every variation is listed once and deals three or four cards", () => {
  assert.deepEqual(new Set(VARIATION_NAMES), new Set(Object.keys(VARIATIONS)));
  assert.deepEqual(
    VARIATION_NAMES.filter((name) => VARIATIONS[name].cardsPerHand === 4),
    ["best-of-four"],
  );
  assert.deepEqual(
    VARIATION_NAMES.filter((name) => VARIATIONS[name].turnsUpJoker),
    ["joker"],
  );
});

test("muflis: the lowest hand wins", () => {
  assertBeats("muflis", "5s 3d 2h", "6s 3d 2h");
  assertBeats("muflis", "As Kd Jh", "2s 2d 3h");
  assertBeats("muflis", "2s 2d 2h", "As Ad Ah");
  assert.ok(rank("muflis", "As Ad Ah").strength > 0);
});

test("AK47: aces, kings, fours and sevens are wild", () => {
  assert.equal(describeRank(rank("ak47", "As Kd 4h")), "Trail of A");
  assert.equal(describeRank(rank("ak47", "7s 4d 9h")), "Trail of 9");
  assert.equal(describeRank(rank("ak47", "7s Qd Jd")), "Pure sequence K-Q-J");
  assert.equal(describeRank(rank("ak47", "2s 9d Qh")), "High card Q-9-2");
});

test("joker: the rank turned up is wild, and only it", () => {
  assert.equal(describeRank(rank("joker", "9s Qd Qh", 7)), "Trail of Q");
  assert.equal(describeRank(rank("joker", "9s Qd Qh", 6)), "Pair of Q, 9 kicker");
  assert.equal(describeRank(rank("joker", "9s Ad 2d", 7)), "Pure sequence A-2-3");
});

test("lowest joker: the lowest card is wild, a low pair gives two, a trail stays what it is", () => {
  assert.equal(describeRank(rank("lowest-joker", "2s Kd Qd")), "Pure sequence A-K-Q");
  assert.equal(describeRank(rank("lowest-joker", "2s Kd Kh")), "Trail of K");
  assert.equal(describeRank(rank("lowest-joker", "2s 2d 9h")), "Trail of 9");
  assert.equal(describeRank(rank("lowest-joker", "2s 2d 2h")), "Trail of 2");
});

test("999: the number closest to 999 wins; ten and pictures are 0, the ace 1", () => {
  assert.equal(rank("999", "9s 9d 9h").strength, 999);
  assert.equal(rank("999", "As 9d Kh").strength, 910);
  assert.equal(describeRank(rank("999", "Ts Jd Ah")), "Number 100");
  assert.equal(describeRank(rank("999", "Ts Jd Qh")), "Number 000");
  assertBeats("999", "9s 8d 2h", "9s 8d Ah");
});

test("best of four: the best three of four cards count", () => {
  const best = rank("best-of-four", "2s Ks Qs As");
  assert.equal(best.category, "pureSequence");
  assert.deepEqual(new Set(best.playsAs), new Set(cards("Ks Qs As")));
  assert.equal(rank("best-of-four", "2s Kd 2h 2c").category, "trail");
});
