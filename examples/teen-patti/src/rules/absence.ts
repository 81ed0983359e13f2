/**
 * What happens without a move: deadlines that pass and players who leave.
 *
 * Invariant: a deadline acts only on the very turn it was set for. Timers are durable and may fire late, after the
 * move, after the hand, or twice; each of these is answered with "late" and changes nothing.
 */
import type { TableConfig } from "./config.ts";
import type { HandEvent } from "./hand-events.ts";
import { type Awaited, awaited, findSeat, type HandState, isRunning } from "./hand-state.ts";
import { refuseSideShow } from "./moves.ts";
import { draftOf, emit, endTurn, packSeat, payLast } from "./settle.ts";

/** What a timer carries. */
export type TurnRef = { handNumber: number; turn: number };
export type TimeoutOutcome = { events: HandEvent[] } | { rejected: "late" };
export type LeaveOutcome = { events: HandEvent[] } | { rejected: "no-hand" | "not-in-hand" | "already-packed" };

/** The turn's time has passed: its seat packs. */
export function timeoutTurn(hand: HandState, at: TurnRef, config: TableConfig): TimeoutOutcome {
  const waits = awaited(hand);
  if (!isAwaited(waits, "turn", at)) return { rejected: "late" };
  const draft = draftOf(hand);
  packSeat(draft, waits.seat, "timeout");
  endTurn(draft, waits.seat, config);
  return { events: draft.events };
}

/** The time to answer a side show has passed: it is refused. */
export function timeoutSideShow(hand: HandState, at: TurnRef, config: TableConfig): TimeoutOutcome {
  if (!isAwaited(awaited(hand), "sideShow", at)) return { rejected: "late" };
  const draft = draftOf(hand);
  refuseSideShow(draft, "timeout", config);
  return { events: draft.events };
}

/**
 * A player leaves the table: the seat packs, in or out of turn, and its chips are free to take. When one of the two of
 * a pending side show leaves, the side show lapses and the turn passes on.
 */
export function leaveHand(hand: HandState, seat: number, config: TableConfig): LeaveOutcome {
  if (!isRunning(hand)) return { rejected: "no-hand" };
  const of = findSeat(hand, seat);
  if (of === null) return { rejected: "not-in-hand" };
  if (of.packed !== null) return { rejected: "already-packed" };
  const draft = draftOf(hand);
  const { sideShow, turnSeat } = hand;
  const endsSideShow = sideShow !== null && (sideShow.asker === seat || sideShow.target === seat);
  if (endsSideShow) {
    emit(draft, { type: "sideShowRefused", seat: sideShow.asker, target: sideShow.target, reason: "left" });
  }
  packSeat(draft, seat, "left");
  if (turnSeat !== null && (endsSideShow || turnSeat === seat)) endTurn(draft, turnSeat, config);
  else payLast(draft);
  return { events: draft.events };
}

function isAwaited(waits: Awaited | null, kind: Awaited["kind"], at: TurnRef): waits is Awaited {
  return waits?.kind === kind && waits.handNumber === at.handNumber && waits.turn === at.turn;
}
