/**
 * What leaves a table: the view of one viewer, and the review of a finished hand.
 *
 * Invariant: hands go out through `rules/projection.ts` only, for the seat the viewer had in that very hand (another may
 * sit there now), and seeds only once they were published. So two tables that differ in cards the viewer may not see, or
 * in unpublished seeds, look the same to that viewer.
 */
import type { Principal } from "holdfast";
import type { HandSummary, KeptName, ReviewReply, SeatStatus, TableSeat, TableView, WatchedTable } from "./contract.ts";
import { findSeat, type HandState, initialHand, isRunning } from "./rules/hand-state.ts";
import { legalMoves } from "./rules/moves.ts";
import { openablePositions, type PublicView, publicView, seatView, shownCards } from "./rules/projection.ts";
import { openCards } from "./rules/shuffle.ts";
import { seatOfPlayer } from "./table-draft.ts";
import type { FinishedHand, HandPlayer, Seat, TableState } from "./table-state.ts";

export function viewTable(state: TableState, viewer: Principal, table: string): TableView<KeptName> {
  const { settings, closed, hand, deadline, nextHandAtMs, next, feed, house } = state;
  const player = playerOf(viewer);
  const you = player === null ? null : seatOfPlayer(state, player);
  const open = settings !== null && !closed;
  const hidden = settings?.isPrivate === true && you === null;
  if (settings === null || hidden) return { ...emptyView(state, table), open, hidden };
  const handSeat = seatInHand(state.handPlayers, player);
  return {
    table,
    open,
    hidden,
    settings,
    you,
    yourSeed: you === null ? null : (state.seats[you]?.clientSeed ?? null),
    seats: state.seats.map((seat) => (seat === null ? null : viewSeat(seat, hand))),
    hand: viewHand(hand, handSeat),
    moves: handSeat === null || handSeat !== you ? [] : legalMoves(hand, handSeat, settings.config),
    deadline,
    nextHandAtMs,
    nextCommit: next === null ? null : { handNumber: next.handNumber, commit: next.commit },
    feed,
    recentHands: state.recent.map(summaryOf),
    house,
  };
}

const nobody: Principal = { kind: "anonymous", id: "anonymous" };

/** What everybody may see. One value for all who look, so it is made and encoded once. */
export function watchTable(state: TableState): WatchedTable<KeptName> {
  const { table: _table, you: _you, yourSeed: _seed, moves: _moves, ...view } = viewTable(state, nobody, "");
  return view;
}

/** A finished hand with everything this viewer may check it by. */
export function reviewHand(state: TableState, handNumber: number, viewer: Principal): ReviewReply<KeptName> {
  const player = playerOf(viewer);
  const finished = state.recent.find(({ hand }) => hand.handNumber === handNumber);
  if (finished === undefined) return null;
  const seat = seatInHand(finished.players, player);
  if (state.settings?.isPrivate === true && seat === null) return null;
  const { hand, serverSeed, endedAtMs, seedAtMs } = finished;
  const view = viewHand(hand, seat);
  const isPublished = !state.unrevealed.some((due) => due.handNumber === handNumber);
  const own = finished.players.find((of) => of.seat === seat);
  const evidence = {
    commit: hand.commit,
    merkleRoot: hand.merkleRoot,
    context: hand.context,
    order: hand.seats.map((of) => of.seat),
    cardsPerHand: view.cardsPerHand,
    ownSeed: own === undefined ? null : { seat: own.seat, clientSeed: own.clientSeed },
    shown: shownCards(view),
    openings: openCards({ serverSeed, context: hand.context, positions: openablePositions(hand, seat) }),
    serverSeed: isPublished ? serverSeed : null,
  };
  const players = finished.players.map(({ seat: at, player: id, name, avatar }) => ({
    seat: at,
    player: id,
    name,
    avatar,
  }));
  return { handNumber, endedAtMs, hand: view, players, evidence, seedAtMs };
}

function playerOf(viewer: Principal): string | null {
  return viewer.kind === "user" ? viewer.id : null;
}

function seatInHand(players: readonly HandPlayer[], player: string | null): number | null {
  return players.find((of) => of.player === player)?.seat ?? null;
}

function viewHand(hand: HandState, seat: number | null): PublicView {
  if (seat === null) return publicView(hand);
  const { you: _you, ...view } = seatView(hand, seat);
  return view;
}

function viewSeat(of: Seat, hand: HandState): TableSeat<KeptName> {
  const { seat, player, name, avatar, chips, chipsComing, timeouts, heldUntilMs, gift } = of;
  return { seat, player, name, avatar, chips, chipsComing, status: statusOf(of, hand), timeouts, heldUntilMs, gift };
}

function statusOf({ seat, leaving, absence }: Seat, hand: HandState): SeatStatus {
  if (leaving !== null) return "leaving";
  const inHand = isRunning(hand) ? findSeat(hand, seat) : null;
  if (inHand !== null && inHand.packed === null) return "playing";
  if (absence !== null) return absence;
  if (inHand !== null) return "packed";
  return isRunning(hand) ? "waiting" : "ready";
}

function summaryOf({ hand, players, endedAtMs }: FinishedHand): HandSummary<KeptName> {
  const { handNumber, result } = hand;
  const nameOf = (seat: number): KeptName => players.find((of) => of.seat === seat)?.name ?? "";
  const winners = (result?.shares ?? []).map(({ seat, amount }) => ({ seat, name: nameOf(seat), amount }));
  return { handNumber, endedAtMs, pot: result?.pot ?? 0, reason: result?.reason ?? "last", winners };
}

function emptyView({ settings, seats }: TableState, table: string): TableView<KeptName> {
  return {
    table,
    open: false,
    hidden: false,
    settings,
    you: null,
    yourSeed: null,
    seats: seats.map(() => null),
    hand: publicView(initialHand()),
    moves: [],
    deadline: null,
    nextHandAtMs: null,
    nextCommit: null,
    feed: [],
    recentHands: [],
    house: 0,
  };
}
