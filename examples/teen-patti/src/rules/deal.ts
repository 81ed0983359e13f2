/**
 * The start of a hand: who is dealt in, who deals, boots, cards, first turn.
 *
 * Invariant: everything random comes in from outside (the shuffled deck, the number that picks the first dealer), so
 * the same input always starts the same hand.
 */
import { isDeck } from "./cards.ts";
import type { TableConfig } from "./config.ts";
import { dealPositions } from "./fairness.ts";
import type { HandEvent } from "./hand-events.ts";
import { type HandState, isRunning } from "./hand-state.ts";
import { draftOf, emit, endTurn } from "./settle.ts";
import { VARIATIONS } from "./variations.ts";

export type SeatChips = { seat: number; chips: number };

export type StartHand = {
  /** From 1, growing by one with every committed hand of the table. */
  handNumber: number;
  /** Everyone seated and ready; those who cannot pay the boot are left out. */
  players: readonly SeatChips[];
  /** Of the hand before; null picks the dealer at random. */
  previousDealer: number | null;
  /** In [0, 1). */
  random: number;
  /** The shuffle of the seats that `dealtIn` gives; see `shuffleHand`. */
  deck: readonly number[];
  commit: string;
  merkleRoot: string;
  context: string;
};

export type StartRejection = "hand-running" | "not-enough-players";

/** Who will be in the next hand, seats ascending: the context of the shuffle names exactly these. */
export function dealtIn(players: readonly SeatChips[], config: TableConfig): SeatChips[] {
  return players.filter(({ chips }) => chips >= config.boot).sort((a, b) => a.seat - b.seat);
}

/** The next dealt-in seat clockwise of the previous dealer, or a random one. Seats ascending. */
export function nextDealer(
  seats: readonly number[],
  { previousDealer, random }: Pick<StartHand, "previousDealer" | "random">,
): number {
  const picked =
    previousDealer === null
      ? seats[Math.min(seats.length - 1, Math.floor(random * seats.length))]
      : (seats.find((seat) => seat > previousDealer) ?? seats[0]);
  if (picked === undefined) throw new Error("a dealer needs a seat");
  return picked;
}

/** Seats clockwise from the dealer's left, the dealer last. Seats ascending. */
export function dealOrder(seats: readonly number[], dealer: number): number[] {
  return [...seats.filter((seat) => seat > dealer), ...seats.filter((seat) => seat <= dealer)];
}

/** Starts the next hand; `hand` is the state of the one before. Throws when the deck is not 52 different cards. */
export function startHand(
  hand: HandState,
  input: StartHand,
  config: TableConfig,
): { events: HandEvent[] } | { rejected: StartRejection } {
  if (isRunning(hand)) return { rejected: "hand-running" };
  const players = dealtIn(input.players, config);
  if (players.length < 2) return { rejected: "not-enough-players" };
  if (!isDeck(input.deck)) throw new Error("a deck is 52 cards, each once");

  const variation = VARIATIONS[config.variation];
  const ascending = players.map(({ seat }) => seat);
  const dealer = nextDealer(ascending, input);
  const order = dealOrder(ascending, dealer);
  const chipsOf = new Map(players.map(({ seat, chips }) => [seat, chips]));
  const { cardsPerHand } = variation;
  const jokerPosition = variation.turnsUpJoker ? order.length * cardsPerHand : null;
  const draft = draftOf(hand);
  emit(draft, {
    type: "handStarted",
    handNumber: input.handNumber,
    dealer,
    boot: config.boot,
    variation: config.variation,
    a23: config.a23,
    jokerCard: jokerPosition === null ? null : cardAt(input.deck, jokerPosition),
    jokerPosition,
    commit: input.commit,
    merkleRoot: input.merkleRoot,
    context: input.context,
    seats: order.map((seat) => ({ seat, chips: chipsOf.get(seat) ?? 0 })),
  });
  for (const seat of order) emit(draft, { type: "bootPaid", seat, amount: config.boot });
  for (const [at, seat] of order.entries()) {
    const positions = dealPositions(at, { seatCount: order.length, cardsPerHand });
    const cards = positions.map((position) => cardAt(input.deck, position));
    emit(draft, { type: "cardsDealt", seat, cards, positions });
  }
  endTurn(draft, dealer, config);
  return { events: draft.events };
}

function cardAt(deck: readonly number[], position: number): number {
  const card = deck[position];
  if (card === undefined) throw new Error(`the deck ends before position ${position}`);
  return card;
}
