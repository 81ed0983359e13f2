/**
 * The events of a hand and how they change its state.
 *
 * Invariants:
 * 1. `evolveHand` decides nothing: each event carries every fact it needs, whose turn it is included, so an old
 *    log replays to the same state after the rules changed.
 * 2. Chips only move between a seat and the pot.
 * Marked *private*: cards that some seats may not see. Events leave the entity through `viewEvent` only.
 */

import {
  type HandSeat,
  type HandState,
  initialHand,
  type LastAction,
  type PackReason,
  type Share,
  seatOf,
  type WinReason,
} from "./hand-state.ts";
import type { AceTwoThree, HandRank } from "./ranking.ts";
import type { VariationName } from "./variations.ts";

export type HandStarted = {
  type: "handStarted";
  handNumber: number;
  dealer: number;
  boot: number;
  variation: VariationName;
  a23: AceTwoThree;
  jokerCard: number | null;
  jokerPosition: number | null;
  commit: string;
  merkleRoot: string;
  context: string;
  /** In deal order, with the chips each brings, boot not yet paid. */
  seats: { seat: number; chips: number }[];
};
export type BootPaid = { type: "bootPaid"; seat: number; amount: number };
/** Cards *private* to the entity: their own seat sees them at `cardsSeen`. */
export type CardsDealt = { type: "cardsDealt"; seat: number; cards: number[]; positions: number[] };
export type TurnPassed = { type: "turnPassed"; seat: number; turn: number };
/** Cards *private* to the seat. Automatic: after `maxBlindTurns` blind bets. */
export type CardsSeen = { type: "cardsSeen"; seat: number; cards: number[]; automatic: boolean };
/** `stake`: the new one. */
export type BlindBet = { type: "blindBet"; seat: number; amount: number; stake: number };
export type Chaal = { type: "chaal"; seat: number; amount: number; stake: number };
export type Packed = { type: "packed"; seat: number; reason: PackReason };
export type SideShowAsked = { type: "sideShowAsked"; seat: number; target: number; amount: number };
/** left: one of the two left the table before the answer. */
export type SideShowRefused = {
  type: "sideShowRefused";
  seat: number;
  target: number;
  reason: "refused" | "timeout" | "left";
};
/** `hands` *private* to the two. The loser's `packed` follows. */
export type SideShowResolved = {
  type: "sideShowResolved";
  seat: number;
  target: number;
  loser: number;
  hands: { seat: number; cards: number[] }[];
};
export type ShowCalled = { type: "showCalled"; seat: number; target: number; amount: number };
export type Revealed = { type: "revealed"; seat: number; cards: number[]; rank: HandRank; label: string };
export type PotWon = { type: "potWon"; reason: WinReason; pot: number; shares: Share[] };

export type HandEvent =
  | HandStarted
  | BootPaid
  | CardsDealt
  | TurnPassed
  | CardsSeen
  | BlindBet
  | Chaal
  | Packed
  | SideShowAsked
  | SideShowRefused
  | SideShowResolved
  | ShowCalled
  | Revealed
  | PotWon;

/** For a `switch` over event types elsewhere: whether an event belongs to the hand. */
export const HAND_EVENT_TYPES = [
  "handStarted",
  "bootPaid",
  "cardsDealt",
  "turnPassed",
  "cardsSeen",
  "blindBet",
  "chaal",
  "packed",
  "sideShowAsked",
  "sideShowRefused",
  "sideShowResolved",
  "showCalled",
  "revealed",
  "potWon",
] as const satisfies readonly HandEvent["type"][];

export function isHandEvent(event: { type: string }): event is HandEvent {
  return HAND_EVENT_TYPES.some((type) => type === event.type);
}

/** Applies one event to the state, in place. */
export function evolveHand(hand: HandState, event: HandEvent): void {
  switch (event.type) {
    case "handStarted":
      return start(hand, event);
    case "bootPaid":
      pay(hand, event, "boot");
      return;
    case "cardsDealt":
      return deal(seatOf(hand, event.seat), event);
    case "turnPassed":
      return passTurn(hand, event);
    case "cardsSeen":
      return look(seatOf(hand, event.seat), event);
    case "blindBet":
    case "chaal":
      return bet(hand, event);
    case "packed":
      return packSeat(seatOf(hand, event.seat), event);
    case "sideShowAsked":
      return askSideShow(hand, event);
    case "sideShowRefused":
      return refuseSideShow(hand, event);
    case "sideShowResolved":
      return resolveSideShow(hand, event);
    case "showCalled":
      return callShow(hand, event);
    case "revealed":
      return reveal(hand, event);
    case "potWon":
      return payOut(hand, event);
    default:
      event satisfies never;
  }
}

function start(hand: HandState, { type: _type, seats, ...facts }: HandStarted): void {
  Object.assign(hand, initialHand(), facts, { phase: "dealing", stake: facts.boot, seats: seats.map(seatBefore) });
}

function seatBefore({ seat, chips }: { seat: number; chips: number }): HandSeat {
  return {
    seat,
    chips,
    paid: 0,
    cards: [],
    positions: [],
    looked: false,
    seen: false,
    blindBets: 0,
    packed: null,
    shownTo: [],
    revealed: false,
    last: null,
  };
}

function pay(hand: HandState, of: { seat: number; amount: number }, type: LastAction["type"]): HandSeat {
  const seat = seatOf(hand, of.seat);
  seat.chips -= of.amount;
  seat.paid += of.amount;
  hand.pot += of.amount;
  seat.last = { type, amount: of.amount };
  return seat;
}

function deal(seat: HandSeat, { cards, positions }: CardsDealt): void {
  seat.cards = [...cards];
  seat.positions = [...positions];
}

function passTurn(hand: HandState, { seat, turn }: TurnPassed): void {
  hand.phase = "betting";
  hand.turnSeat = seat;
  hand.turn = turn;
}

function look(seat: HandSeat, { automatic }: CardsSeen): void {
  seat.looked = true;
  if (automatic) seat.seen = true;
}

function bet(hand: HandState, event: BlindBet | Chaal): void {
  const seat = pay(hand, event, event.type === "chaal" ? "chaal" : "blind");
  hand.stake = event.stake;
  if (event.type === "chaal") seat.seen = true;
  else seat.blindBets += 1;
}

function packSeat(seat: HandSeat, { reason }: Packed): void {
  seat.packed = reason;
  seat.last = { type: "pack", amount: 0 };
}

function askSideShow(hand: HandState, event: SideShowAsked): void {
  pay(hand, event, "sideShow").seen = true;
  hand.phase = "side-show";
  hand.sideShow = { asker: event.seat, target: event.target };
}

function refuseSideShow(hand: HandState, { target }: SideShowRefused): void {
  hand.phase = "betting";
  hand.sideShow = null;
  seatOf(hand, target).last = { type: "refuseSideShow", amount: 0 };
}

function resolveSideShow(hand: HandState, { seat, target }: SideShowResolved): void {
  const asker = seatOf(hand, seat);
  const asked = seatOf(hand, target);
  hand.phase = "betting";
  hand.sideShow = null;
  asked.last = { type: "acceptSideShow", amount: 0 };
  asker.shownTo = [...asker.shownTo, target];
  asked.shownTo = [...asked.shownTo, seat];
}

function callShow(hand: HandState, event: ShowCalled): void {
  const seat = pay(hand, event, "show");
  if (seat.looked) seat.seen = true;
  hand.phase = "showing";
}

function reveal(hand: HandState, { seat }: Revealed): void {
  hand.phase = "showing";
  seatOf(hand, seat).revealed = true;
}

function payOut(hand: HandState, { reason, pot, shares }: PotWon): void {
  for (const { seat, amount } of shares) {
    seatOf(hand, seat).chips += amount;
    hand.pot -= amount;
  }
  hand.phase = "over";
  hand.turnSeat = null;
  hand.sideShow = null;
  hand.result = { reason, pot, shares: shares.map((share) => ({ ...share })) };
}
