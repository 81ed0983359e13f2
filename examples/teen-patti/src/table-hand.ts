/**
 * The course of hands at a table: when the next begins, whose deadline runs, what follows when one is over.
 *
 * Invariants:
 * 1. After every list of hand events: either the hand waits for somebody and exactly one deadline timer runs, for that
 *    very turn; or it is over, its seed is queued for publication, the next one is promised, and those who wanted to
 *    leave have left with their chips.
 * 2. A hand is planned exactly when two can play and none is running.
 */
import type { Deadline, LeftReason } from "./contract.ts";
import { leaveHand, timeoutSideShow, timeoutTurn } from "./rules/absence.ts";
import { dealtIn, type SeatChips, startHand } from "./rules/deal.ts";
import { shuffleContext } from "./rules/fairness.ts";
import type { HandEvent } from "./rules/hand-events.ts";
import { type Awaited, awaited, findSeat, isRunning } from "./rules/hand-state.ts";
import { shuffleHand } from "./rules/shuffle.ts";
import { commitNext, emit, type TableDraft } from "./table-draft.ts";
import { type Absence, BIG_WIN, type Seat, seatAt, UNREVEALED_MAX } from "./table-state.ts";

/** Turns missed one after the other until the player counts as away. */
const MISSED_TURNS_MAX = 2;
/** Who asked to sit out is waited for longer than who vanished. */
const SIT_OUT_FACTOR = 5;
/** A timer that fires later than this was held up by an outage: nobody could act, so the time is given again. */
const OUTAGE_MS = 3_000;
/** Seeds published by one record. */
const REVEALS_PER_STEP = 100;

export const DEADLINE_TIMER = "deadline";
export const NEXT_HAND_TIMER = "next-hand";
export const REVEAL_TIMER = "reveal";
export const seatTimerName = (seat: number): string => `seat-${seat}`;

/** Emits what a rule decided, and what follows from it. */
export function playEvents(draft: TableDraft, events: readonly HandEvent[]): void {
  for (const event of events) emit(draft, "hand", event);
  if (isRunning(draft.state.hand)) setDeadline(draft);
  else endHand(draft);
}

/** The timer of the next hand fired. Late ones find another hand planned and do nothing. */
export function dealNext(draft: TableDraft, handNumber: number): void {
  const { state, ctx, settings } = draft;
  const { next } = state;
  if (next?.handNumber !== handNumber || isRunning(state.hand) || state.closed) return;
  const { serverSeed, commit } = next;
  const previousDealer = state.hand.handNumber === 0 ? null : state.hand.dealer;
  const players = dealtIn(readyPlayers(draft), settings.config);
  if (players.length < 2) {
    emit(draft, "handPlanned", { atMs: null });
    planNext(draft);
    return;
  }
  emit(draft, "handBegun", { handNumber });
  const clientSeeds = players.map(({ seat }) => ({ seat, clientSeed: seatAt(state, seat).clientSeed }));
  const context = shuffleContext({ tableId: ctx.key, handNumber, clientSeeds });
  const { deck, merkleRoot } = shuffleHand({ serverSeed, context });
  const random = ctx.random.integer(2 ** 32) / 2 ** 32;
  const input = { handNumber, players, previousDealer, random, deck, commit, merkleRoot, context };
  const outcome = startHand(state.hand, input, settings.config);
  if ("rejected" in outcome) throw new Error(`a hand that two can play was rejected: ${outcome.rejected}`);
  playEvents(draft, outcome.events);
}

/** The time to move has passed. The timer names its turn, so one that comes after the move changes nothing. */
export function passDeadline(draft: TableDraft, of: Pick<Awaited, "kind" | "handNumber" | "turn">): void {
  const { state, ctx, settings } = draft;
  const { deadline } = state;
  const pass = of.kind === "turn" ? timeoutTurn : timeoutSideShow;
  const outcome = pass(state.hand, of, settings.config);
  if ("rejected" in outcome || deadline === null) return;
  if (ctx.now > deadline.atMs + deadline.graceMs + OUTAGE_MS) {
    emit(draft, "deadlineSet", { deadline: null });
    setDeadline(draft);
    return;
  }
  if (of.kind === "turn") noteMissed(draft, deadline.seat);
  playEvents(draft, outcome.events);
}

/** A seat was held long enough. */
export function giveUpSeat(draft: TableDraft, { seat, sit }: { seat: number; sit: number }): void {
  const { state, ctx } = draft;
  const at = state.seats[seat];
  if (at === null || at === undefined || at.sit !== sit || at.absence === null || at.heldUntilMs === null) return;
  if (ctx.now > at.heldUntilMs + OUTAGE_MS) setAbsence(draft, seat, at.absence);
  else leaveTable(draft, seat, at.absence === "broke" ? "broke" : "away");
}

function noteMissed(draft: TableDraft, seat: number): void {
  const { state, ctx } = draft;
  emit(draft, "missed", { seat });
  emit(draft, "fed", { kind: "autoPack", atMs: ctx.now, seat, handNumber: state.hand.handNumber });
  const { timeouts, absence } = seatAt(state, seat);
  if (timeouts >= MISSED_TURNS_MAX && absence === null) setAbsence(draft, seat, "away");
}

/** Takes a player out of the next hands, or back in. The seat is held for a while. */
export function setAbsence(draft: TableDraft, seat: number, absence: Absence | null): void {
  const { ctx, settings, state } = draft;
  const name = seatTimerName(seat);
  if (absence === null) {
    emit(draft, "absenceSet", { seat, absence, heldUntilMs: null });
    ctx.cancel(name);
    return;
  }
  const heldMs = settings.config.seatHeldMs * (absence === "sitting-out" ? SIT_OUT_FACTOR : 1);
  const heldUntilMs = ctx.now + heldMs;
  emit(draft, "absenceSet", { seat, absence, heldUntilMs });
  ctx.schedule(name, { at: heldUntilMs }, "giveUpSeat", { seat, sit: seatAt(state, seat).sit });
}

/** Leaves: at once between hands; in a hand it packs, and leaves when the hand is over. True: the seat is free now. */
export function leaveTable(draft: TableDraft, seat: number, reason: LeftReason): boolean {
  const { state, settings } = draft;
  const { sit } = seatAt(state, seat);
  const inHand = isRunning(state.hand) ? findSeat(state.hand, seat) : null;
  if (inHand === null) {
    standUp(draft, seat, reason);
    planNext(draft);
    return true;
  }
  if (seatAt(state, seat).leaving === null) emit(draft, "leavingSet", { seat, reason });
  const outcome = leaveHand(state.hand, seat, settings.config);
  if ("events" in outcome) playEvents(draft, outcome.events);
  return state.seats[seat]?.sit !== sit;
}

/** Pays the seat's chips back to its player. */
function standUp(draft: TableDraft, seat: number, reason: LeftReason): void {
  const { ctx } = draft;
  const { player, sit, chips, chipsComing, hands, heldUntilMs } = seatAt(draft.state, seat);
  if (heldUntilMs !== null) ctx.cancel(seatTimerName(seat));
  emit(draft, "fed", { kind: "left", atMs: ctx.now, seat, reason });
  emit(draft, "stoodUp", { seat, reason });
  const input = { table: ctx.key, sit, amount: chips + chipsComing, hands, reason };
  ctx.send({ type: "player", key: player }, "cashOut", input);
}

/** Plans the next hand when it can be played, and takes the plan back when it no longer can. */
export function planNext(draft: TableDraft): void {
  const { state, ctx, settings } = draft;
  if (state.closed || isRunning(state.hand)) return;
  markBroke(draft);
  const isPlanned = state.nextHandAtMs !== null;
  const canPlay = readyPlayers(draft).length >= 2;
  if (canPlay === isPlanned) return;
  if (!canPlay) {
    emit(draft, "handPlanned", { atMs: null });
    ctx.cancel(NEXT_HAND_TIMER);
    return;
  }
  const { handNumber } = state.next ?? { handNumber: 0 };
  const atMs = ctx.now + settings.config.betweenHandsMs;
  emit(draft, "handPlanned", { atMs });
  ctx.schedule(NEXT_HAND_TIMER, { at: atMs }, "startHand", { handNumber });
}

/** Who cannot pay the boot is given time to buy chips. */
function markBroke(draft: TableDraft): void {
  const { boot } = draft.settings.config;
  for (const seat of draft.state.seats) {
    if (seat === null || seat.leaving !== null) continue;
    const isBroke = seat.chips + seat.chipsComing < boot;
    if (isBroke && seat.absence === null) setAbsence(draft, seat.seat, "broke");
    if (!isBroke && seat.absence === "broke") setAbsence(draft, seat.seat, null);
  }
}

/** Everyone who can be dealt in, with all chips the next hand will find. */
function readyPlayers({ state, settings }: TableDraft): SeatChips[] {
  return state.seats
    .filter((seat): seat is Seat => seat !== null && seat.leaving === null && seat.absence === null)
    .map(({ seat, chips, chipsComing }) => ({ seat, chips: chips + chipsComing }))
    .filter(({ chips }) => chips >= settings.config.boot);
}

function setDeadline(draft: TableDraft): void {
  const { state, ctx, settings } = draft;
  const waits = awaited(state.hand);
  if (waits === null) throw new Error("a running hand waits for somebody");
  if (isSame(state.deadline, waits)) return;
  const { turnMs, turnGraceMs, sideShowMs } = settings.config;
  const isTurn = waits.kind === "turn";
  const fromMs = ctx.now;
  const atMs = fromMs + (isTurn ? turnMs : sideShowMs);
  const graceMs = isTurn ? turnGraceMs : 0;
  emit(draft, "deadlineSet", { deadline: { ...waits, fromMs, atMs, graceMs } });
  const { kind, handNumber, turn } = waits;
  ctx.schedule(DEADLINE_TIMER, { at: atMs + graceMs }, "passDeadline", { kind, handNumber, turn });
}

/** Looking at one's cards does not start the clock anew. */
function isSame(deadline: Deadline | null, waits: Awaited): boolean {
  if (deadline === null) return false;
  return deadline.kind === waits.kind && deadline.handNumber === waits.handNumber && deadline.turn === waits.turn;
}

function endHand(draft: TableDraft): void {
  const { state, ctx, settings } = draft;
  ctx.cancel(DEADLINE_TIMER);
  emit(draft, "deadlineSet", { deadline: null });
  tellResults(draft);
  const seedAtMs = ctx.now + settings.config.seedRevealMs;
  const first = state.unrevealed.length === 0;
  emit(draft, "handFinished", { endedAtMs: ctx.now, seedAtMs });
  if (first) ctx.schedule(REVEAL_TIMER, { at: seedAtMs }, "revealSeeds");
  const over = state.unrevealed.length - UNREVEALED_MAX;
  if (over > 0) emit(draft, "seedsRevealed", { upTo: state.unrevealed[over - 1]?.handNumber ?? 0 });
  commitNext(draft);
  for (const seat of [...state.seats]) {
    if (seat !== null && seat.leaving !== null) standUp(draft, seat.seat, seat.leaving);
  }
  planNext(draft);
}

/** What the leaderboard, the analysts and the webhook of big wins follow. */
function tellResults(draft: TableDraft): void {
  const { state, ctx, settings } = draft;
  const { handNumber, result, seats } = state.hand;
  if (result === null) return;
  const results = state.handPlayers.map(({ seat, player, name, avatar }) => {
    const won = result.shares.reduce((sum, share) => sum + (share.seat === seat ? share.amount : 0), 0);
    return { player, name, avatar, paid: seats.find((of) => of.seat === seat)?.paid ?? 0, won };
  });
  const { isPrivate } = settings;
  emit(draft, "handSettled", { handNumber, atMs: ctx.now, pot: result.pot, isPrivate, results });
  for (const { player, won: amount } of results) {
    if (amount >= BIG_WIN) emit(draft, "wonBig", { handNumber, atMs: ctx.now, player, amount, pot: result.pot });
  }
}

/** Publishes the seeds that are due. */
export function revealSeeds(draft: TableDraft): void {
  const { state, ctx } = draft;
  const due = state.unrevealed.filter(({ seedAtMs }) => seedAtMs <= ctx.now).slice(0, REVEALS_PER_STEP);
  const last = due.at(-1);
  if (last !== undefined) emit(draft, "seedsRevealed", { upTo: last.handNumber });
  const next = state.unrevealed[0];
  if (next !== undefined) ctx.schedule(REVEAL_TIMER, { at: next.seedAtMs }, "revealSeeds");
}
