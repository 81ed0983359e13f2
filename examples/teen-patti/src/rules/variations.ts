/**
 * The variations of the game as plug-ins: how many cards a seat gets, and how they rank.
 *
 * Invariant: a larger `strength` wins in every variation, so nothing outside this file knows which one is played
 * (Muflis, where the lowest hand wins, turns the scale over here).
 */
import { ACE, KING, rankOf } from "./cards.ts";
import { type AceTwoThree, type HandRank, rankThree, rankWithWild, STRENGTH_LIMIT } from "./ranking.ts";

export const VARIATION_NAMES = ["classic", "muflis", "ak47", "joker", "lowest-joker", "999", "best-of-four"] as const;
export type VariationName = (typeof VARIATION_NAMES)[number];

/** What ranking needs besides the cards. `jokerRank` is null unless the variation turns up a joker. */
export type RankContext = { a23: AceTwoThree; jokerRank: number | null };

export type Variation = {
  title: string;
  /** One line of help for the player. */
  summary: string;
  cardsPerHand: 3 | 4;
  /** Whether one more card is turned up at the deal, whose rank is wild. */
  turnsUpJoker: boolean;
  rank: (cards: readonly number[], context: RankContext) => HandRank;
};

const FOUR = 2;
const SEVEN = 5;
const AK47_RANKS: readonly number[] = [ACE, KING, FOUR, SEVEN];

export const VARIATIONS: Readonly<Record<VariationName, Variation>> = {
  classic: {
    title: "Classic",
    summary: "Highest hand wins.",
    cardsPerHand: 3,
    turnsUpJoker: false,
    rank: (cards, { a23 }) => rankThree(cards, a23),
  },
  muflis: {
    title: "Muflis",
    summary: "Lowest hand wins.",
    cardsPerHand: 3,
    turnsUpJoker: false,
    rank: rankMuflis,
  },
  ak47: {
    title: "AK47",
    summary: "Aces, kings, fours and sevens are wild.",
    cardsPerHand: 3,
    turnsUpJoker: false,
    rank: (cards, { a23 }) =>
      rankWithWild(
        cards,
        cards.map((card) => AK47_RANKS.includes(rankOf(card))),
        a23,
      ),
  },
  joker: {
    title: "Joker",
    summary: "A card is turned up; its rank is wild.",
    cardsPerHand: 3,
    turnsUpJoker: true,
    rank: (cards, { a23, jokerRank }) =>
      rankWithWild(
        cards,
        cards.map((card) => rankOf(card) === jokerRank),
        a23,
      ),
  },
  "lowest-joker": {
    title: "Lowest joker",
    summary: "Your own lowest card is wild; a low pair gives two.",
    cardsPerHand: 3,
    turnsUpJoker: false,
    rank: rankLowestJoker,
  },
  "999": {
    title: "999",
    summary: "Make the number closest to 999; ten and pictures count 0, ace 1.",
    cardsPerHand: 3,
    turnsUpJoker: false,
    rank: rank999,
  },
  "best-of-four": {
    title: "Best of four",
    summary: "Four cards each; your best three count.",
    cardsPerHand: 4,
    turnsUpJoker: false,
    rank: rankBestOfFour,
  },
};

/** Ranks a dealt hand under a variation. */
export function rankHand(variation: VariationName, cards: readonly number[], context: RankContext): HandRank {
  return VARIATIONS[variation].rank(cards, context);
}

export function isVariationName(value: unknown): value is VariationName {
  return VARIATION_NAMES.some((name) => name === value);
}

function rankMuflis(cards: readonly number[], { a23 }: RankContext): HandRank {
  const rank = rankThree(cards, a23);
  return { ...rank, strength: STRENGTH_LIMIT - rank.strength };
}

/** At most two cards are wild, so a trail stays the trail it is instead of becoming three aces. */
function rankLowestJoker(cards: readonly number[], { a23 }: RankContext): HandRank {
  const lowest = Math.min(...cards.map(rankOf));
  const isLowest = cards.map((card) => rankOf(card) === lowest);
  return isLowest.every(Boolean) ? rankThree(cards, a23) : rankWithWild(cards, isLowest, a23);
}

/** Largest digit first is the closest a hand can come to 999, which no hand passes. */
function rank999(cards: readonly number[]): HandRank {
  const byDigit = [...cards].sort((a, b) => digitOf(b) - digitOf(a));
  const strength = byDigit.reduce((number, card) => number * 10 + digitOf(card), 0);
  return { category: "number", strength, playsAs: byDigit };
}

function digitOf(card: number): number {
  const rank = rankOf(card);
  if (rank === ACE) return 1;
  return rank + 2 >= 10 ? 0 : rank + 2;
}

function rankBestOfFour(cards: readonly number[], { a23 }: RankContext): HandRank {
  const hands = cards.map((_, dropped) =>
    rankThree(
      cards.filter((_card, position) => position !== dropped),
      a23,
    ),
  );
  return hands.reduce((best, hand) => (hand.strength > best.strength ? hand : best));
}
