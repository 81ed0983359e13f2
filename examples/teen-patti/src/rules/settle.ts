/**
 * How a turn ends and how the pot is won. Moves, timeouts and departures all finish here.
 *
 * Invariants:
 * 1. A `Draft` is a copy of the hand to which every event it holds has been applied: rules read the draft, so a rule
 *    never reasons about a state that `evolveHand` would not reach.
 * 2. The shares of `potWon` add up to the pot.
 */
import { rankOf } from "./cards.ts";
import type { TableConfig } from "./config.ts";
import { evolveHand, type HandEvent } from "./hand-events.ts";
import {
  copyHand,
  type HandSeat,
  type HandState,
  minimumBet,
  neighbourOf,
  type PackReason,
  remainingSeats,
  type Share,
  type SideShow,
  seatOf,
  type WinReason,
} from "./hand-state.ts";
import { describeRank, type HandRank } from "./ranking.ts";
import { rankHand } from "./variations.ts";

/** Events being decided, with the state they lead to. */
export type Draft = { hand: HandState; events: HandEvent[] };

export function draftOf(hand: HandState): Draft {
  return { hand: copyHand(hand), events: [] };
}

export function emit(draft: Draft, event: HandEvent): void {
  draft.events.push(event);
  evolveHand(draft.hand, event);
}

/** What the seat's cards are worth in this hand. Only for the entity and for those who may see the cards. */
export function rankSeat(hand: HandState, seat: HandSeat): HandRank {
  const jokerRank = hand.jokerCard === null ? null : rankOf(hand.jokerCard);
  return rankHand(hand.variation, seat.cards, { a23: hand.a23, jokerRank });
}

export function packSeat(draft: Draft, seat: number, reason: PackReason): void {
  emit(draft, { type: "packed", seat, reason });
}

/**
 * Ends the turn of a seat: the hand is won, or revealed at the pot limit, or the turn passes to the first remaining
 * seat that can pay the minimum; those before it that cannot are packed.
 */
export function endTurn(draft: Draft, seat: number, { potLimit }: TableConfig): void {
  const { hand } = draft;
  for (let from = seat; ; ) {
    if (payLast(draft)) return;
    if (hand.pot >= potLimit) return revealAll(draft);
    const next = neighbourOf(hand, from, 1);
    if (next === null) throw new Error("two seats remain, so one follows");
    if (next.chips >= minimumBet(hand, next)) {
      return emit(draft, { type: "turnPassed", seat: next.seat, turn: hand.turn + 1 });
    }
    packSeat(draft, next.seat, "chips");
    from = next.seat;
  }
}

/** Pays the pot to the only remaining seat, cards unseen. False when more than one remains. */
export function payLast(draft: Draft): boolean {
  const [last, ...others] = remainingSeats(draft.hand);
  if (last === undefined) throw new Error("a hand never loses its last seat");
  if (others.length > 0) return false;
  payOut(draft, "last", [last.seat]);
  return true;
}

/** Two seats show; the one who paid loses a tie. */
export function settleShow(draft: Draft, { payer, target }: { payer: number; target: number }): void {
  const paid = revealSeat(draft, payer);
  const other = revealSeat(draft, target);
  payOut(draft, "show", [paid.strength > other.strength ? payer : target]);
}

/** Who loses a side show: the lower hand, the asker when equal. */
export function sideShowLoser(hand: HandState, { asker, target }: SideShow): number {
  const asked = rankSeat(hand, seatOf(hand, target)).strength;
  return rankSeat(hand, seatOf(hand, asker)).strength > asked ? target : asker;
}

/** Equal shares in the order given; the odd chips go one each from the first on. */
export function splitPot(pot: number, winners: readonly number[]): Share[] {
  const each = Math.floor(pot / winners.length);
  const odd = pot % winners.length;
  return winners.map((seat, at) => ({ seat, amount: each + (at < odd ? 1 : 0) }));
}

function revealAll(draft: Draft): void {
  const shown = remainingSeats(draft.hand).map(({ seat }) => ({ seat, strength: revealSeat(draft, seat).strength }));
  const best = Math.max(...shown.map(({ strength }) => strength));
  // Seats are in deal order, so the odd chips start at the dealer's left.
  const winners = shown.filter(({ strength }) => strength === best).map(({ seat }) => seat);
  payOut(draft, "potLimit", winners);
}

function revealSeat(draft: Draft, seat: number): HandRank {
  const of = seatOf(draft.hand, seat);
  const rank = rankSeat(draft.hand, of);
  emit(draft, { type: "revealed", seat, cards: [...of.cards], rank, label: describeRank(rank) });
  return rank;
}

function payOut(draft: Draft, reason: WinReason, winners: readonly number[]): void {
  const { pot } = draft.hand;
  emit(draft, { type: "potWon", reason, pot, shares: splitPot(pot, winners) });
}
