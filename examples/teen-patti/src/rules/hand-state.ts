/**
 * The state of one hand, as plain JSON, and the questions everyone asks of it.
 *
 * Invariants:
 * 1. From `handStarted` on, sum of the seats' chips + pot is constant; when the phase is "over" the pot is 0.
 * 2. `turnSeat` is a seat that has not packed, and null exactly when the phase is "idle" or "over".
 * 3. `sideShow` is set exactly when the phase is "side-show"; its asker is then `turnSeat`.
 * 4. Arrays inside are replaced, never changed in place, so a copy needs to copy the seats only.
 * Cards of all seats are here: nothing outside the entity may see a `HandState`; see `projection.ts`.
 */
import type { AceTwoThree } from "./ranking.ts";
import type { VariationName } from "./variations.ts";

/**
 * idle: no hand yet. dealing: from handStarted to the first turn. betting: `turnSeat` acts. side-show: its target
 * answers. showing: cards are being revealed. over: paid out. dealing and showing never outlast one list of events.
 */
export type HandPhase = "idle" | "dealing" | "betting" | "side-show" | "showing" | "over";

/** chips: could not pay the minimum at its turn. left: the player left the table. sideShow: lost a side show. */
export type PackReason = "chosen" | "timeout" | "chips" | "left" | "sideShow";

/** last: everyone else packed, no card shown. */
export type WinReason = "last" | "show" | "potLimit";

export type LastAction = {
  type: "boot" | "blind" | "chaal" | "pack" | "show" | "sideShow" | "acceptSideShow" | "refuseSideShow";
  /** 0 when no chips moved. */
  amount: number;
};

export type HandSeat = {
  seat: number;
  chips: number;
  /** Chips this seat has put into the pot in this hand. */
  paid: number;
  /** Secret. */
  cards: number[];
  /** Where in the committed deck these cards lay. */
  positions: number[];
  /** Has looked at its cards: it bets as a seen player from its next bet on. */
  looked: boolean;
  /** Is a seen player to the others: has bet (or been made to look) since `looked`. */
  seen: boolean;
  blindBets: number;
  /** Null while in the hand. */
  packed: PackReason | null;
  /** Seats that saw these cards in a side show. */
  shownTo: number[];
  revealed: boolean;
  last: LastAction | null;
};

export type Share = { seat: number; amount: number };
export type HandResult = { reason: WinReason; pot: number; shares: Share[] };
export type SideShow = { asker: number; target: number };

export type HandState = {
  phase: HandPhase;
  handNumber: number;
  dealer: number;
  boot: number;
  variation: VariationName;
  a23: AceTwoThree;
  /** The card turned up in the joker variation, public; null in the others. */
  jokerCard: number | null;
  jokerPosition: number | null;
  /** Of the shuffle, public: see `fairness.ts`. */
  commit: string;
  merkleRoot: string;
  context: string;
  /** In deal order: from the dealer's left, clockwise, the dealer last. */
  seats: HandSeat[];
  /** The blind unit. */
  stake: number;
  pot: number;
  /** From 1; together with `handNumber` it names a turn for ever. 0 before the first. */
  turn: number;
  turnSeat: number | null;
  sideShow: SideShow | null;
  result: HandResult | null;
};

/** The state before any hand was dealt. */
export function initialHand(): HandState {
  return {
    phase: "idle",
    handNumber: 0,
    dealer: 0,
    boot: 0,
    variation: "classic",
    a23: "second",
    jokerCard: null,
    jokerPosition: null,
    commit: "",
    merkleRoot: "",
    context: "",
    seats: [],
    stake: 0,
    pot: 0,
    turn: 0,
    turnSeat: null,
    sideShow: null,
    result: null,
  };
}

/** A copy that `evolveHand` may change without the original changing (invariant 4). */
export function copyHand(hand: HandState): HandState {
  return { ...hand, seats: hand.seats.map((seat) => ({ ...seat })) };
}

/** Whether a hand is being played: new players wait, and leaving is packing. */
export function isRunning(hand: HandState): boolean {
  return hand.phase !== "idle" && hand.phase !== "over";
}

export function findSeat(hand: HandState, seat: number): HandSeat | null {
  return hand.seats.find((of) => of.seat === seat) ?? null;
}

/** The seat, which must be in the hand. */
export function seatOf(hand: HandState, seat: number): HandSeat {
  const found = findSeat(hand, seat);
  if (found === null) throw new Error(`seat ${seat} is not in hand ${hand.handNumber}`);
  return found;
}

/** Seats that have not packed, in deal order. */
export function remainingSeats(hand: HandState): HandSeat[] {
  return hand.seats.filter((seat) => seat.packed === null);
}

/** The first remaining seat clockwise (1) or anticlockwise (-1) of a seat in the hand, itself excluded. */
export function neighbourOf(hand: HandState, seat: number, direction: 1 | -1): HandSeat | null {
  const count = hand.seats.length;
  const from = hand.seats.findIndex((of) => of.seat === seat);
  for (let step = 1; from >= 0 && step < count; step++) {
    const neighbour = hand.seats[(from + direction * step + count * step) % count];
    if (neighbour?.packed === null) return neighbour;
  }
  return null;
}

/** The least a seat must pay to stay in at its turn. */
export function minimumBet(hand: HandState, seat: HandSeat): number {
  return seat.looked ? 2 * hand.stake : hand.stake;
}

/** All chips of the hand, in seats and pot: the constant of invariant 1. */
export function totalChips(hand: HandState): number {
  return hand.seats.reduce((sum, seat) => sum + seat.chips, hand.pot);
}

/** What the hand waits for; a timer that carries these three is late when they no longer match. */
export type Awaited = { kind: "turn" | "sideShow"; seat: number; handNumber: number; turn: number };

/** Whose move or answer the hand waits for; null when it waits for none. */
export function awaited(hand: HandState): Awaited | null {
  const { handNumber, turn } = hand;
  if (hand.sideShow !== null) return { kind: "sideShow", seat: hand.sideShow.target, handNumber, turn };
  return hand.turnSeat === null ? null : { kind: "turn", seat: hand.turnSeat, handNumber, turn };
}
