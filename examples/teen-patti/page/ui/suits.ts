/** Outlines of the four suits in a 24 by 24 box, in the order of the card numbers: clubs, diamonds, hearts, spades. */

export const SUIT_PATHS = [
  "M12 2.2a4.6 4.6 0 0 0-3.9 7 4.7 4.7 0 1 0 3.1 7.6c-.2 2-.9 3.6-2.4 5.2h6.4c-1.5-1.6-2.2-3.2-2.4-5.2a4.7 4.7 0 1 0 3.1-7.6 4.6 4.6 0 0 0-3.9-7z",
  "M12 1.8C14.3 5.7 17 9 20.2 12 17 15 14.3 18.3 12 22.2 9.7 18.3 7 15 3.8 12 7 9 9.7 5.7 12 1.8z",
  "M12 21.5C8 17.5 2.5 13.6 2.5 8.6 2.5 5.4 4.9 3 7.8 3c1.8 0 3.3.9 4.2 2.4C12.9 3.9 14.4 3 16.2 3c2.9 0 5.3 2.4 5.3 5.6 0 5-5.5 8.9-9.5 12.9z",
  "M12 2C9 6.5 3 9.5 3 14.2 3 17 5.1 18.8 7.5 18.8c1.6 0 2.9-.8 3.7-2-.2 2-.9 3.6-2.4 5.2h6.4c-1.5-1.6-2.2-3.2-2.4-5.2.8 1.2 2.1 2 3.7 2 2.4 0 4.5-1.8 4.5-4.6C21 9.5 15 6.5 12 2z",
] as const;

export function suitPath(suit: number): string {
  return SUIT_PATHS[suit] ?? SUIT_PATHS[3];
}

/** Diamonds and hearts. */
export function isRed(suit: number): boolean {
  return suit === 1 || suit === 2;
}
