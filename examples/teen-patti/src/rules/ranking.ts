/**
 * What three cards are worth: a category and one integer, `strength`, that orders all hands.
 *
 * Invariants:
 * 1. Hand X beats hand Y exactly when strength(X) > strength(Y); equal strength is a tie. Suits never break ties.
 * 2. strength = category << 12 | tie-break, so categories never overlap and a hand's category reads off its strength.
 * 3. The order of the three cards never matters.
 * Over all 22,100 hands there are 741 strengths (13 trails, 12 + 12 sequences, 274 colours, 156 pairs, 274 high cards).
 */
import { ACE, cardOf, DECK_CARDS, QUEEN, rankName, rankOf, suitOf } from "./cards.ts";

/** Where A-2-3 stands among sequences: below A-K-Q (the apps), above it (older home rules), or below 4-3-2. */
export type AceTwoThree = "second" | "top" | "low";

/** Weakest first; the position in this list, from 1, is the category's number inside a strength. */
export const CATEGORIES = ["highCard", "pair", "colour", "sequence", "pureSequence", "trail"] as const;
export type Category = (typeof CATEGORIES)[number];

/** A ranked hand. `number` is the category of the 999 variation, where a hand is a number and nothing else. */
export type HandRank = {
  category: Category | "number";
  /** Larger wins, in every variation; comparable only within one variation. */
  strength: number;
  /** The three cards it counts as, wild cards already replaced. */
  playsAs: number[];
};

/** Above every strength of three plain cards. */
export const STRENGTH_LIMIT = (CATEGORIES.length + 1) << 12;

const ACE_TWO_THREE_KEY = { second: 2 * ACE - 1, top: 2 * ACE + 1, low: 2 } as const;
const TWO = 0;
const THREE = 1;

/** Ranks three plain cards. */
export function rankThree(cards: readonly number[], a23: AceTwoThree): HandRank {
  const strength = strengthOfThree(cards, a23);
  return { category: categoryOf(strength), strength, playsAs: [...cards] };
}

/** The strength alone; throws when there are not three cards. */
export function strengthOfThree(cards: readonly number[], a23: AceTwoThree): number {
  const [a, b, c] = cards;
  if (cards.length !== 3 || a === undefined || b === undefined || c === undefined) {
    throw new Error(`a hand ranks as three cards, not ${cards.length}`);
  }
  const [high, middle, low] = descending(rankOf(a), rankOf(b), rankOf(c));
  if (high === low) return pack("trail", high);
  const isColour = suitOf(a) === suitOf(b) && suitOf(b) === suitOf(c);
  const sequence = sequenceKey([high, middle, low], a23);
  if (sequence > 0) return pack(isColour ? "pureSequence" : "sequence", sequence);
  if (isColour) return pack("colour", (high << 8) | (middle << 4) | low);
  if (high === middle) return pack("pair", (high << 4) | low);
  if (middle === low) return pack("pair", (low << 4) | high);
  return pack("highCard", (high << 8) | (middle << 4) | low);
}

/** The category inside a strength made by `strengthOfThree`. */
export function categoryOf(strength: number): Category {
  const category = CATEGORIES[(strength >> 12) - 1];
  if (category === undefined) throw new Error(`no category in strength ${strength}`);
  return category;
}

/**
 * Ranks three cards of which some are wild: the best hand any substitution gives. A wild card may stand for any card
 * not already among the natural ones, so a hand never holds one card twice. Natural and wild hands tie.
 */
export function rankWithWild(cards: readonly number[], isWild: readonly boolean[], a23: AceTwoThree): HandRank {
  const natural = cards.filter((_, position) => isWild[position] !== true);
  const [first, second] = natural;
  if (natural.length === cards.length) return rankThree(cards, a23);
  if (first === undefined) return rankThree(trailFrom(ACE), a23);
  if (second === undefined) return rankThree(trailWith(first), a23);
  let best: number[] = [];
  let bestStrength = -1;
  for (let substitute = DECK_CARDS - 1; substitute >= 0; substitute--) {
    if (substitute === first || substitute === second) continue;
    const strength = strengthOfThree([first, second, substitute], a23);
    if (strength > bestStrength) [best, bestStrength] = [[first, second, substitute], strength];
  }
  return { category: categoryOf(bestStrength), strength: bestStrength, playsAs: best };
}

/** A ranked hand in words, as "Pair of K, 7 high" or "Pure sequence A-K-Q". */
export function describeRank(rank: HandRank): string {
  const names = rank.playsAs
    .map(rankOf)
    .sort((a, b) => b - a)
    .map(rankName);
  const [high = "?", middle = "?", low = "?"] = names;
  const run = high === "A" && low === "2" ? "A-2-3" : names.join("-");
  switch (rank.category) {
    case "trail":
      return `Trail of ${high}`;
    case "pureSequence":
      return `Pure sequence ${run}`;
    case "sequence":
      return `Sequence ${run}`;
    case "colour":
      return `Colour ${names.join("-")}`;
    case "pair":
      return `Pair of ${middle}, ${high === middle ? low : high} kicker`;
    case "highCard":
      return `High card ${names.join("-")}`;
    case "number":
      return `Number ${String(rank.strength).padStart(3, "0")}`;
    default:
      return rank.category satisfies never;
  }
}

function pack(category: Category, tieBreak: number): number {
  return ((CATEGORIES.indexOf(category) + 1) << 12) | tieBreak;
}

function descending(a: number, b: number, c: number): [number, number, number] {
  const high = Math.max(a, b, c);
  const low = Math.min(a, b, c);
  return [high, a + b + c - high - low, low];
}

/** 0 when not a sequence. Twice the high rank otherwise, which leaves odd keys for A-2-3. 2-A-K is no sequence. */
function sequenceKey([high, middle, low]: [number, number, number], a23: AceTwoThree): number {
  if (high === ACE && middle === THREE && low === TWO) return ACE_TWO_THREE_KEY[a23];
  if (high === ACE && middle !== QUEEN + 1) return 0;
  return high - middle === 1 && middle - low === 1 ? 2 * high : 0;
}

function trailFrom(rank: number): number[] {
  return [3, 2, 1].map((suit) => cardOf({ rank, suit }));
}

/** A trail that contains this card: with two wild cards nothing beats it, since the natural card fixes the rank. */
function trailWith(card: number): number[] {
  const others = [3, 2, 1, 0].filter((suit) => suit !== suitOf(card)).slice(0, 2);
  return [card, ...others.map((suit) => cardOf({ rank: rankOf(card), suit }))];
}
