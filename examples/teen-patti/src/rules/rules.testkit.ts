/**
 * Helpers of the rules' tests: seeded chance, stacked decks, and a hand that is played by events.
 *
 * Invariant: tests change a hand only as the entity does, by `evolveHand` on the events a rule returned.
 */
import { orderedDeck } from "./cards.ts";
import { defaultConfig, type TableConfig } from "./config.ts";
import { dealtIn, type SeatChips, startHand } from "./deal.ts";
import { evolveHand, type HandEvent } from "./hand-events.ts";
import { type HandState, initialHand } from "./hand-state.ts";
import { applyMove, legalMoves, type Move } from "./moves.ts";

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomDeck(random: () => number): number[] {
  const deck = orderedDeck();
  for (let i = deck.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [deck[i], deck[j]] = [deck[j] as number, deck[i] as number];
  }
  return deck;
}

const RANKS = "23456789TJQKA";
const SUITS = "cdhs";

/** Reads "As Kd 4c". */
export function cards(text: string): number[] {
  return text.split(" ").map((name) => SUITS.indexOf(name[1] ?? "") * 13 + RANKS.indexOf(name[0] ?? ""));
}

/** A deck that deals these hands, given in deal order (dealer's left first); the joker, if any, next. */
export function stackedDeck(hands: readonly (readonly number[])[], joker: number | null = null): number[] {
  const rounds = hands[0]?.length ?? 0;
  const top = Array.from({ length: rounds }, (_, round) => hands.map((hand) => hand[round] as number)).flat();
  if (joker !== null) top.push(joker);
  return [...top, ...orderedDeck().filter((card) => !top.includes(card))];
}

export type Table = {
  hand: HandState;
  config: TableConfig;
  /** Everything that happened, in order. */
  log: HandEvent[];
  /** Makes a move and returns its events; throws when it is rejected. */
  play: (seat: number, move: Move) => HandEvent[];
  /** Makes the listed move of this type, the `at`-th (0 the smallest bet). */
  playType: (seat: number, type: Move["type"], at?: number) => HandEvent[];
  apply: (outcome: { events: HandEvent[] } | { rejected: string }) => HandEvent[];
  legal: (seat: number) => Move[];
};

/**
 * A hand just dealt. Unless told otherwise: boot 10, 10,000 chips each, the highest seat deals (so that seat 0 acts
 * first), hands dealt from the stack.
 */
export function table(of: {
  hands?: readonly string[];
  chips?: readonly number[];
  config?: Partial<TableConfig>;
  deck?: readonly number[];
  joker?: string;
}): Table {
  const config = { ...defaultConfig(), ...of.config };
  const count = of.hands?.length ?? of.chips?.length ?? 3;
  const players: SeatChips[] = Array.from({ length: count }, (_, seat) => ({
    seat,
    chips: of.chips?.[seat] ?? 10_000,
  }));
  const joker = of.joker === undefined ? null : (cards(of.joker)[0] ?? null);
  const dealer = dealtIn(players, config).at(-1)?.seat ?? 0;
  const hand = initialHand();
  const log: HandEvent[] = [];
  const apply: Table["apply"] = (outcome) => {
    if ("rejected" in outcome) throw new Error(`rejected: ${outcome.rejected}`);
    for (const event of outcome.events) evolveHand(hand, event);
    log.push(...outcome.events);
    return outcome.events;
  };
  apply(
    startHand(
      hand,
      {
        handNumber: 1,
        players,
        previousDealer: dealer - 1,
        random: 0,
        deck: of.deck ?? stackedDeck((of.hands ?? []).map(cards), joker),
        commit: "c",
        merkleRoot: "m",
        context: "v1|t|1|",
      },
      config,
    ),
  );
  const play: Table["play"] = (seat, move) => apply(applyMove(hand, seat, move, config));
  const legal: Table["legal"] = (seat) => legalMoves(hand, seat, config);
  const playType: Table["playType"] = (seat, type, at = 0) => {
    const move = legal(seat).filter((of_) => of_.type === type)[at];
    if (move === undefined) throw new Error(`seat ${seat} cannot ${type}`);
    return play(seat, move);
  };
  return { hand, config, log, play, playType, apply, legal };
}
