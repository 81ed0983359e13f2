/**
 * What a seat may do now, and what happens when it does.
 *
 * Invariants:
 * 1. `applyMove` accepts a move exactly when `legalMoves` lists it, amount and target included: a player never pays
 *    another amount than the one shown.
 * 2. The stake never passes half the chaal limit.
 * 3. The state given is not changed; only the events returned tell what happened.
 */
import type { TableConfig } from "./config.ts";
import type { HandEvent } from "./hand-events.ts";
import {
  findSeat,
  type HandSeat,
  type HandState,
  isRunning,
  minimumBet,
  neighbourOf,
  remainingSeats,
  seatOf,
} from "./hand-state.ts";
import { type Draft, draftOf, emit, endTurn, packSeat, settleShow, sideShowLoser } from "./settle.ts";

export type Move =
  | { type: "see" }
  | { type: "pack" }
  | { type: "blind"; amount: number }
  | { type: "chaal"; amount: number }
  | { type: "show"; amount: number }
  | { type: "sideShow"; amount: number; target: number }
  | { type: "acceptSideShow" }
  | { type: "refuseSideShow" };

export type MoveRejection =
  | "no-hand"
  | "not-in-hand"
  | "already-packed"
  | "already-seen"
  | "not-your-turn"
  | "no-side-show"
  | "side-show-pending"
  | "not-enough-chips"
  | "wrong-amount"
  | "not-allowed";

export type MoveOutcome = { events: HandEvent[] } | { rejected: MoveRejection };

/**
 * Every move this seat could make now, amounts computed; bets smallest first. Empty when it has none.
 * Out of turn only `see` (and the answer to a side show) is possible.
 */
export function legalMoves(hand: HandState, seat: number, config: TableConfig): Move[] {
  const of = findSeat(hand, seat);
  if (of === null || of.packed !== null) return [];
  if (hand.phase !== "betting" && hand.phase !== "side-show") return [];
  const moves: Move[] = of.looked ? [] : [{ type: "see" }];
  if (hand.sideShow !== null) {
    if (hand.sideShow.target === seat) moves.push({ type: "acceptSideShow" }, { type: "refuseSideShow" });
  } else if (hand.turnSeat === seat) {
    moves.push({ type: "pack" }, ...betMoves(hand, of, config), ...showMoves(hand, of, config));
  }
  return moves;
}

/** Decides a move. */
export function applyMove(hand: HandState, seat: number, move: Move, config: TableConfig): MoveOutcome {
  const legal = legalMoves(hand, seat, config).find((of) => isSameMove(of, move));
  if (legal === undefined) return { rejected: rejectionOf(hand, seat, move, config) };
  const draft = draftOf(hand);
  perform(draft, seat, legal, config);
  return { events: draft.events };
}

function betMoves(hand: HandState, of: HandSeat, config: TableConfig): Move[] {
  const type = of.looked ? "chaal" : "blind";
  const amount = minimumBet(hand, of);
  const limit = of.looked ? config.chaalLimit : config.chaalLimit / 2;
  const moves: Move[] = [];
  if (amount <= of.chips) moves.push({ type, amount });
  if (2 * amount <= of.chips && 2 * amount <= limit) moves.push({ type, amount: 2 * amount });
  return moves;
}

/** A show when two remain, a side show when more do. Both cost the minimum bet. */
function showMoves(hand: HandState, of: HandSeat, config: TableConfig): Move[] {
  const amount = minimumBet(hand, of);
  const remaining = remainingSeats(hand).length;
  if (amount > of.chips) return [];
  const previous = neighbourOf(hand, of.seat, -1);
  if (previous === null) return [];
  if (remaining > 2) {
    return of.looked && previous.seen ? [{ type: "sideShow", amount, target: previous.seat }] : [];
  }
  const isBarred = of.looked && !previous.seen && !config.seenMayShowBlind;
  return isBarred ? [] : [{ type: "show", amount }];
}

function isSameMove(legal: Move, move: Move): boolean {
  if (legal.type !== move.type || amountOf(legal) !== amountOf(move)) return false;
  return legal.type !== "sideShow" || move.type !== "sideShow" || legal.target === move.target;
}

function amountOf(move: Move): number | null {
  return "amount" in move ? move.amount : null;
}

function rejectionOf(hand: HandState, seat: number, move: Move, config: TableConfig): MoveRejection {
  if (!isRunning(hand)) return "no-hand";
  const of = findSeat(hand, seat);
  if (of === null) return "not-in-hand";
  if (of.packed !== null) return "already-packed";
  if (move.type === "see") return "already-seen";
  if (move.type === "acceptSideShow" || move.type === "refuseSideShow") return "no-side-show";
  if (hand.turnSeat !== seat) return "not-your-turn";
  if (hand.sideShow !== null) return "side-show-pending";
  if ("amount" in move && move.amount > of.chips) return "not-enough-chips";
  return legalMoves(hand, seat, config).some(({ type }) => type === move.type) ? "wrong-amount" : "not-allowed";
}

function perform(draft: Draft, seat: number, move: Move, config: TableConfig): void {
  switch (move.type) {
    case "see":
      return see(draft, seat, config);
    case "pack":
      packSeat(draft, seat, "chosen");
      return endTurn(draft, seat, config);
    case "blind":
      return betBlind(draft, seat, move.amount, config);
    case "chaal":
      emit(draft, { type: "chaal", seat, amount: move.amount, stake: move.amount / 2 });
      return endTurn(draft, seat, config);
    case "show":
      return callShow(draft, seat, move.amount);
    case "sideShow":
      return emit(draft, { type: "sideShowAsked", seat, target: move.target, amount: move.amount });
    case "acceptSideShow":
      return resolveSideShow(draft, config);
    case "refuseSideShow":
      return refuseSideShow(draft, "refused", config);
    default:
      move satisfies never;
  }
}

/** Looking raises the seat's minimum: at its turn it packs when it cannot pay the new one. */
function see(draft: Draft, seat: number, config: TableConfig): void {
  const { hand } = draft;
  const of = seatOf(hand, seat);
  emit(draft, { type: "cardsSeen", seat, cards: [...of.cards], automatic: false });
  if (hand.turnSeat !== seat || of.chips >= minimumBet(hand, of)) return;
  packSeat(draft, seat, "chips");
  endTurn(draft, seat, config);
}

function betBlind(draft: Draft, seat: number, amount: number, config: TableConfig): void {
  emit(draft, { type: "blindBet", seat, amount, stake: amount });
  const of = seatOf(draft.hand, seat);
  if (of.blindBets >= config.maxBlindTurns) {
    emit(draft, { type: "cardsSeen", seat, cards: [...of.cards], automatic: true });
  }
  endTurn(draft, seat, config);
}

function callShow(draft: Draft, seat: number, amount: number): void {
  const target = neighbourOf(draft.hand, seat, -1);
  if (target === null) throw new Error("a show needs a second seat");
  emit(draft, { type: "showCalled", seat, target: target.seat, amount });
  settleShow(draft, { payer: seat, target: target.seat });
}

function resolveSideShow(draft: Draft, config: TableConfig): void {
  const { hand } = draft;
  if (hand.sideShow === null) throw new Error("no side show to resolve");
  const { asker, target } = hand.sideShow;
  const loser = sideShowLoser(hand, { asker, target });
  const hands = [asker, target].map((seat) => ({ seat, cards: [...seatOf(hand, seat).cards] }));
  emit(draft, { type: "sideShowResolved", seat: asker, target, loser, hands });
  packSeat(draft, loser, "sideShow");
  endTurn(draft, asker, config);
}

/** Closes the side show unseen and passes the turn on. */
export function refuseSideShow(draft: Draft, reason: "refused" | "timeout", config: TableConfig): void {
  const { sideShow } = draft.hand;
  if (sideShow === null) throw new Error("no side show to refuse");
  emit(draft, { type: "sideShowRefused", seat: sideShow.asker, target: sideShow.target, reason });
  endTurn(draft, sideShow.asker, config);
}
