/** Ranking of three cards, against the enumeration of all 22,100 hands. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DECK_CARDS } from "./cards.ts";
import {
  type AceTwoThree,
  CATEGORIES,
  categoryOf,
  describeRank,
  rankThree,
  rankWithWild,
  strengthOfThree,
} from "./ranking.ts";
import { cards } from "./rules.testkit.ts";

const strength = (text: string, a23: AceTwoThree = "second"): number => strengthOfThree(cards(text), a23);

function allStrengths(a23: AceTwoThree): number[] {
  const strengths: number[] = [];
  for (let a = 0; a < DECK_CARDS; a++) {
    for (let b = a + 1; b < DECK_CARDS; b++) {
      for (let c = b + 1; c < DECK_CARDS; c++) strengths.push(strengthOfThree([a, b, c], a23));
    }
  }
  return strengths;
}

function assertDescending(hands: readonly string[], a23: AceTwoThree = "second"): void {
  for (const [at, hand] of hands.entries()) {
    const next = hands[at + 1];
    if (next !== undefined) assert.ok(strength(hand, a23) > strength(next, a23), `${hand} beats ${next}`);
  }
}

for (const a23 of ["second", "top", "low"] as const) {
  test(`all 22,100 hands fall into the categories and 741 strengths of the oracle, A-2-3 ${a23}`, () => {
    const strengths = allStrengths(a23);
    const strongestFirst = [...CATEGORIES].reverse();
    const count = (of: readonly number[]): number[] =>
      strongestFirst.map((category) => of.filter((one) => categoryOf(one) === category).length);
    assert.equal(strengths.length, 22_100);
    assert.deepEqual(count(strengths), [52, 48, 720, 1096, 3744, 16_440]);
    assert.deepEqual(count([...new Set(strengths)]), [13, 12, 12, 274, 156, 274]);
  });
}

test("two random hands have equal strength with probability 0.001106", () => {
  // Exact, by pairs of disjoint hands: count each strength over the hands left when a first hand is out.
  const hands: { mask: bigint; strength: number }[] = [];
  const byStrength = new Map<number, bigint[]>();
  for (let a = 0; a < DECK_CARDS; a++) {
    for (let b = a + 1; b < DECK_CARDS; b++) {
      for (let c = b + 1; c < DECK_CARDS; c++) {
        const mask = (1n << BigInt(a)) | (1n << BigInt(b)) | (1n << BigInt(c));
        const of = strengthOfThree([a, b, c], "second");
        hands.push({ mask, strength: of });
        byStrength.set(of, [...(byStrength.get(of) ?? []), mask]);
      }
    }
  }
  let ties = 0;
  for (const hand of hands) {
    for (const other of byStrength.get(hand.strength) ?? []) if ((hand.mask & other) === 0n) ties += 1;
  }
  assert.equal((ties / (22_100 * 18_424)).toFixed(6), "0.001106");
});

test("a trail beats a pure sequence beats a sequence beats a colour beats a pair beats a high card", () => {
  assertDescending(["2c 2d 2h", "4s 3s 2s", "4s 3d 2s", "5h 3h 2h", "2c 2d 3h", "As Kd Jh"]);
});

test("the best of each category loses to the worst of the next", () => {
  assertDescending(["2c 2d 2h", "As Ks Qs", "4s 3s 2s", "As Ks Qd", "4s 3s 2d", "As Ks Js", "5h 3h 2h", "As Ad Kh"]);
});

test("A-K-Q beats A-2-3 beats K-Q-J beats 4-3-2", () => {
  assertDescending(["As Kd Qh", "As 2d 3h", "Ks Qd Jh", "Qs Jd Th", "5s 4d 3h", "4s 3d 2h"]);
  assertDescending(["As Ks Qs", "Ad 2d 3d", "Ks Qs Js", "4s 3s 2s"]);
});

test("A-2-3 is the top sequence under the older home rule and the lowest under `low`", () => {
  assertDescending(["As 2d 3h", "As Kd Qh", "Ks Qd Jh"], "top");
  assertDescending(["As Kd Qh", "Ks Qd Jh", "4s 3d 2h", "As 2d 3h"], "low");
});

test("2-A-K is never a sequence", () => {
  for (const a23 of ["second", "top", "low"] as const) {
    assert.equal(rankThree(cards("2s Ad Kh"), a23).category, "highCard");
    assert.equal(rankThree(cards("2s As Ks"), a23).category, "colour");
  }
});

test("trails compare by rank", () => {
  assertDescending(["As Ad Ah", "Ks Kd Kh", "3s 3d 3h", "2s 2d 2h"]);
});

test("colours and high cards compare high, then middle, then low card", () => {
  assertDescending(["As Ts 2s", "Kd Qd Td", "Kd Jd 9d", "Kd Jd 8d"]);
  assertDescending(["As Td 2s", "Ks Qd Tc", "Ks Jd 9c", "Ks Jd 8c"]);
});

test("pairs compare by pair, then by kicker, above or below the pair", () => {
  assertDescending(["As Ad 2h", "Ks Kd Ah", "Ks Kd Qh", "Ks Kd 2h", "2s 2d Ah"]);
});

test("suits never break a tie", () => {
  assert.equal(strength("As Kd 9h"), strength("Ac Kh 9s"));
  assert.equal(strength("As Ks 9s"), strength("Ac Kc 9c"));
});

test("the order of the cards does not matter", () => {
  const three = fc.uniqueArray(fc.integer({ min: 0, max: 51 }), { minLength: 3, maxLength: 3 });
  fc.assert(
    fc.property(three, fc.constantFrom<AceTwoThree>("second", "top", "low"), ([a = 0, b = 0, c = 0], a23) => {
      const of = strengthOfThree([a, b, c], a23);
      for (const other of [
        [a, c, b],
        [b, a, c],
        [b, c, a],
        [c, a, b],
        [c, b, a],
      ])
        assert.equal(strengthOfThree(other, a23), of);
    }),
  );
});

test("a hand of other than three cards is refused", () => {
  assert.throws(() => rankThree([1, 2], "second"), /three cards/);
  assert.throws(() => rankThree([1, 2, 3, 4], "second"), /three cards/);
});

/** The plain definition: every card that is not a natural one of the hand, in every wild place. */
function bestByForce(hand: readonly number[], isWild: readonly boolean[], a23: AceTwoThree): number {
  const at = isWild.findIndex(Boolean);
  if (at < 0) return new Set(hand).size === 3 ? strengthOfThree(hand, a23) : -1;
  const rest = isWild.map((wild, position) => wild && position !== at);
  let best = -1;
  for (let card = 0; card < DECK_CARDS; card++) best = Math.max(best, bestByForce(hand.with(at, card), rest, a23));
  return best;
}

test("wild cards give the best hand any substitution gives", () => {
  const three = fc.uniqueArray(fc.integer({ min: 0, max: 51 }), { minLength: 3, maxLength: 3 });
  const wild = fc.constantFrom([true, false, false], [false, true, false], [true, true, false], [false, false, false]);
  fc.assert(
    fc.property(three, wild, fc.constantFrom<AceTwoThree>("second", "top", "low"), (hand, isWild, a23) => {
      const rank = rankWithWild(hand, isWild, a23);
      assert.equal(rank.strength, bestByForce(hand, isWild, a23));
      assert.equal(strengthOfThree(rank.playsAs, a23), rank.strength);
      assert.equal(new Set(rank.playsAs).size, 3);
      for (const [at, card] of hand.entries()) if (isWild[at] !== true) assert.ok(rank.playsAs.includes(card));
    }),
    { numRuns: 300 },
  );
  assert.equal(rankWithWild([0, 1, 2], [true, true, true], "second").strength, strength("As Ad Ah"));
});

test("hands are described in words", () => {
  const describe = (text: string): string => describeRank(rankThree(cards(text), "second"));
  assert.equal(describe("As Ad Ah"), "Trail of A");
  assert.equal(describe("3s As 2s"), "Pure sequence A-2-3");
  assert.equal(describe("Ks Ad Qh"), "Sequence A-K-Q");
  assert.equal(describe("2s 9s Js"), "Colour J-9-2");
  assert.equal(describe("Ks Kd 7h"), "Pair of K, 7 kicker");
  assert.equal(describe("2s 2d 7h"), "Pair of 2, 7 kicker");
  assert.equal(describe("Ts 2d 7h"), "High card 10-7-2");
});
