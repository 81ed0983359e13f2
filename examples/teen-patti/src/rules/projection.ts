/**
 * What leaves the entity: views of a hand and of its events, for the public and for one seat.
 *
 * Invariant: a view of a hand is built field by field, and a seat's cards enter it only when `maySee` says so. A viewer sees
 * revealed hands, its own cards once it has looked, and the other's cards after a side show between the two; two
 * hands that differ only in other cards give that viewer equal views. Operators see what the public sees.
 */
import type { HandEvent } from "./hand-events.ts";
import type { HandPhase, HandResult, HandSeat, HandState, LastAction, PackReason, SideShow } from "./hand-state.ts";
import { type AceTwoThree, describeRank } from "./ranking.ts";
import { rankSeat } from "./settle.ts";
import { VARIATIONS, type VariationName } from "./variations.ts";

export type SeatInView = {
  seat: number;
  chips: number;
  paid: number;
  looked: boolean;
  seen: boolean;
  blindBets: number;
  packed: PackReason | null;
  revealed: boolean;
  last: LastAction | null;
  cardCount: number;
  /** Where in the committed deck the cards lie; public, it follows from the deal order. */
  positions: number[];
  /** Null while hidden from the viewer. */
  cards: number[] | null;
  /** The hand in words; null while hidden. */
  label: string | null;
};

export type PublicView = {
  phase: HandPhase;
  handNumber: number;
  dealer: number;
  boot: number;
  variation: VariationName;
  a23: AceTwoThree;
  cardsPerHand: number;
  jokerCard: number | null;
  commit: string;
  merkleRoot: string;
  context: string;
  stake: number;
  pot: number;
  turn: number;
  turnSeat: number | null;
  sideShow: SideShow | null;
  result: HandResult | null;
  /** In deal order. */
  seats: SeatInView[];
};

export type SeatView = PublicView & { you: number };

/** An event as a viewer may see it: cards that are not the viewer's to see are null or absent. */
export type HandEventView =
  | Exclude<HandEvent, { type: "cardsDealt" | "cardsSeen" | "sideShowResolved" }>
  | { type: "cardsDealt"; seat: number; cardCount: number; positions: number[] }
  | { type: "cardsSeen"; seat: number; cards: number[] | null; automatic: boolean }
  | {
      type: "sideShowResolved";
      seat: number;
      target: number;
      loser: number;
      hands: { seat: number; cards: number[] }[] | null;
    };

/** The view of spectators, operators, logs and everyone who is not in the hand. */
export function publicView(hand: HandState): PublicView {
  return viewFor(hand, null);
}

/** The view of a seat; of a seat that is not in the hand, the public's. */
export function seatView(hand: HandState, seat: number): SeatView {
  return { ...viewFor(hand, seat), you: seat };
}

/** The event for a viewer; null is the public. */
export function viewEvent(event: HandEvent, viewer: number | null): HandEventView {
  switch (event.type) {
    case "cardsDealt":
      return { type: event.type, seat: event.seat, cardCount: event.cards.length, positions: [...event.positions] };
    case "cardsSeen": {
      const { type, seat, automatic } = event;
      return { type, seat, cards: seat === viewer ? [...event.cards] : null, automatic };
    }
    case "sideShowResolved": {
      const { type, seat, target, loser, hands } = event;
      const isOne = viewer === seat || viewer === target;
      return { type, seat, target, loser, hands: isOne ? hands.map((of) => ({ ...of, cards: [...of.cards] })) : null };
    }
    default:
      return event;
  }
}

/**
 * Deck positions to open for a viewer after the hand, for `openCards`: the viewer's own, those shown to it, those
 * revealed, the joker. Null is the public. Empty while the hand runs.
 */
export function openablePositions(hand: HandState, viewer: number | null): number[] {
  if (hand.phase !== "over") return [];
  const open = hand.seats.filter((seat) => maySee(seat, viewer) || seat.seat === viewer);
  const positions = open.flatMap((seat) => seat.positions);
  return hand.jokerPosition === null ? positions : [...positions, hand.jokerPosition];
}

/** The cards a view shows, with their positions: what a client hands to `verifyHand`. */
export function shownCards(view: PublicView): { seat: number; position: number; card: number }[] {
  return view.seats.flatMap(({ seat, positions, cards }) =>
    (cards ?? []).map((card, at) => ({ seat, position: positions[at] ?? -1, card })),
  );
}

/** Whether this viewer may see the cards of that seat. */
export function maySee(seat: HandSeat, viewer: number | null): boolean {
  if (seat.revealed) return true;
  return viewer !== null && (seat.seat === viewer ? seat.looked : seat.shownTo.includes(viewer));
}

function viewFor(hand: HandState, viewer: number | null): PublicView {
  return {
    phase: hand.phase,
    handNumber: hand.handNumber,
    dealer: hand.dealer,
    boot: hand.boot,
    variation: hand.variation,
    a23: hand.a23,
    cardsPerHand: VARIATIONS[hand.variation].cardsPerHand,
    jokerCard: hand.jokerCard,
    commit: hand.commit,
    merkleRoot: hand.merkleRoot,
    context: hand.context,
    stake: hand.stake,
    pot: hand.pot,
    turn: hand.turn,
    turnSeat: hand.turnSeat,
    sideShow: hand.sideShow === null ? null : { ...hand.sideShow },
    result: hand.result === null ? null : { ...hand.result, shares: hand.result.shares.map((of) => ({ ...of })) },
    seats: hand.seats.map((seat) => viewSeat(hand, seat, viewer)),
  };
}

function viewSeat(hand: HandState, seat: HandSeat, viewer: number | null): SeatInView {
  const isVisible = seat.cards.length > 0 && maySee(seat, viewer);
  return {
    seat: seat.seat,
    chips: seat.chips,
    paid: seat.paid,
    looked: seat.looked,
    seen: seat.seen,
    blindBets: seat.blindBets,
    packed: seat.packed,
    revealed: seat.revealed,
    last: seat.last === null ? null : { ...seat.last },
    cardCount: seat.cards.length,
    positions: [...seat.positions],
    cards: isVisible ? [...seat.cards] : null,
    label: isVisible ? describeRank(rankSeat(hand, seat)) : null,
  };
}
