/**
 * Cards as integers, and their names.
 *
 * Invariant: a card is an integer 0..51, rank `card % 13` (0 = two, 12 = ace), suit `floor(card / 13)`. Every other
 * file of the rules speaks in these numbers; names exist for people only and are never parsed back.
 */

export const DECK_CARDS = 52;
export const ACE = 12;
export const KING = 11;
export const QUEEN = 10;

const RANK_NAMES = ["2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A"] as const;
const SUIT_SYMBOLS = ["♣", "♦", "♥", "♠"] as const;
const SUIT_WORDS = ["clubs", "diamonds", "hearts", "spades"] as const;
const RANK_WORDS = [
  "two",
  "three",
  "four",
  "five",
  "six",
  "seven",
  "eight",
  "nine",
  "ten",
  "jack",
  "queen",
  "king",
  "ace",
] as const;

export function isCard(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < DECK_CARDS;
}

export function rankOf(card: number): number {
  return card % 13;
}

export function suitOf(card: number): number {
  return Math.floor(card / 13);
}

/** The card of this rank (0..12) and suit (0..3). */
export function cardOf(at: { rank: number; suit: number }): number {
  return at.suit * 13 + at.rank;
}

/** Short name of a rank, "2".."10", "J", "Q", "K", "A". */
export function rankName(rank: number): string {
  return RANK_NAMES[rank] ?? "?";
}

/** Short name of a card, as "A♠". */
export function cardName(card: number): string {
  return rankName(rankOf(card)) + (SUIT_SYMBOLS[suitOf(card)] ?? "?");
}

/** What a screen reader says: "ace of spades". */
export function cardWords(card: number): string {
  return `${RANK_WORDS[rankOf(card)] ?? "?"} of ${SUIT_WORDS[suitOf(card)] ?? "?"}`;
}

export function cardNames(cards: readonly number[]): string {
  return cards.map(cardName).join(" ");
}

/** A new deck in order 0..51, before any shuffle. */
export function orderedDeck(): number[] {
  return Array.from({ length: DECK_CARDS }, (_, card) => card);
}

/** Whether these are 52 cards, each exactly once. */
export function isDeck(cards: readonly number[]): boolean {
  return cards.length === DECK_CARDS && cards.every(isCard) && new Set(cards).size === DECK_CARDS;
}
