/**
 * The table: seats, hands, clock and fairness of one table, under the table's id.
 *
 * Invariants:
 * 1. Chips enter with `seatPlayer`, `addChips`, `tip` and `gift` of a player and leave with `cashOut` to one: chips at the
 *    table change by nothing else.
 * 2. Who acts is the principal: a user acts for its own seat, a player entity brings its own chips, and only the lobby
 *    opens tables.
 */
import { type Access, defineEntity, type Principal } from "holdfast";
import { type Refusal } from "./contract.ts";
import {
  actInput,
  chipsInput,
  deadlineTimer,
  giveInput,
  handTimer,
  openInput,
  profileChangedInput,
  reviewInput,
  sayInput,
  seatPlayerInput,
  seatTimer,
  sitOutInput,
} from "./inputs.ts";
import { configProblems } from "./rules/config.ts";
import { applyMove } from "./rules/moves.ts";
import { commitNext, draftTable, emit, seatOfPlayer, type TableDraft, takenSeats } from "./table-draft.ts";
import {
  dealNext,
  giveUpSeat,
  leaveTable,
  passDeadline,
  planNext,
  playEvents,
  revealSeeds,
  setAbsence,
} from "./table-hand.ts";
import { chipsAt, initialTable, seatAt, type TableState, tableEvents } from "./table-state.ts";
import { reviewHand, viewTable, watchTable } from "./table-view.ts";

const userCommands = new Set(["act", "leave", "sitOut", "back", "say"]);
const playerCommands = new Set(["seatPlayer", "profileChanged", "addChips", "tip", "gift"]);
const userQueries = new Set(["review", "seed"]);

/** A private table without players closes after this. */
const EMPTY_MS_MAX = 10 * 60_000;
const CLOSE_TIMER = "close";
/** Messages of one seat: this many in this time. */
const MESSAGES_MAX = 5;
const MESSAGES_MS = 10_000;

const access: Access = (principal, verb) => {
  const { kind, name } = verb;
  if (principal.kind === "entity") {
    if (kind !== "command") return false;
    if (principal.id === "lobby/main") return name === "open";
    return principal.id.startsWith("player/") && playerCommands.has(name);
  }
  if (kind === "view" && name === "public") return true;
  if (principal.kind === "operator")
    return (kind === "query" && name === "audit") || (kind === "command" && name === "close");
  if (principal.kind !== "user") return false;
  if (kind === "view") return name === "seat";
  if (kind === "query") return userQueries.has(name);
  return kind === "command" && userCommands.has(name);
};

export const table = defineEntity("table", {
  personal: true,
  state: initialTable,
  events: tableEvents,
  commands: (command) => ({
    // ---- from the lobby and the operator
    open: command(openInput, (state, { settings, owner }, ctx) => {
      if (state.settings !== null && !state.closed) return ctx.reject("already-open");
      if (state.settings !== null) return ctx.reject("table-closed");
      if (configProblems(settings.config).length > 0) return ctx.reject("invalid-config");
      ctx.emit("opened", { settings, owner });
      const draft = draftTable({ ...state, settings, seats: [] }, ctx);
      if (draft !== null) commitNext(draft);
      if (settings.isPrivate) ctx.schedule(CLOSE_TIMER, { afterMs: EMPTY_MS_MAX }, "closeEmpty");
      return undefined;
    }),
    close: command((state, _input, ctx) => {
      const draft = draftTable(state, ctx);
      if (draft === null || state.closed) return ctx.reject("table-closed");
      closeTable(draft);
      return undefined;
    }),

    // ---- from players' wallets
    seatPlayer: command(seatPlayerInput, (state, input, ctx) => {
      const draft = draftTable(state, ctx);
      const player = playerOf(ctx.principal);
      const problem = draft === null ? "no-such-table" : sitProblem(draft, player, input);
      if (draft === null || problem !== null) return ctx.reject(problem ?? "no-such-table");
      const seat = input.seat ?? freeSeat(draft);
      emit(draft, "seated", { seat, player, sit: input.sit, profile: input.profile, chips: input.buyIn });
      emit(draft, "fed", { kind: "sat", atMs: ctx.now, seat, chips: input.buyIn });
      planNext(draft);
      noteTaken(draft, state);
      return () => ({ seat });
    }),
    profileChanged: command(profileChangedInput, (state, { profile }, ctx) => {
      const seat = seatOfPlayer(state, playerOf(ctx.principal));
      if (seat === null) return ctx.reject("not-seated");
      ctx.emit("profileChanged", { seat, profile });
      return undefined;
    }),
    addChips: command(chipsInput, (state, { amount }, ctx) => {
      const draft = draftTable(state, ctx);
      const seat = seatOfPlayer(state, playerOf(ctx.principal));
      if (draft === null || seat === null) return ctx.reject("not-seated");
      const { chips, chipsComing, leaving } = seatAt(state, seat);
      if (leaving !== null) return ctx.reject("not-seated");
      if (chips + chipsComing + amount > draft.settings.buyInMax) return ctx.reject("buy-in-out-of-range");
      emit(draft, "chipsBought", { seat, amount });
      planNext(draft);
      return undefined;
    }),
    tip: command(chipsInput, (state, { amount }, ctx) => {
      const seat = seatOfPlayer(state, playerOf(ctx.principal));
      if (seat === null) return ctx.reject("not-seated");
      ctx.emit("fed", { kind: "tip", atMs: ctx.now, seat, amount });
      return undefined;
    }),
    gift: command(giveInput, (state, { gift, toSeat, amount }, ctx) => {
      const seat = seatOfPlayer(state, playerOf(ctx.principal));
      if (seat === null) return ctx.reject("not-seated");
      if (state.seats[toSeat] === null || state.seats[toSeat] === undefined) return ctx.reject("no-such-seat");
      ctx.emit("fed", { kind: "gift", atMs: ctx.now, seat, gift, toSeat, amount });
      return undefined;
    }),

    // ---- from users
    act: command(actInput, (state, { handNumber, turn, move }, ctx) => {
      const draft = draftTable(state, ctx);
      const seat = seatOfPlayer(state, ctx.principal.id);
      if (draft === null || seat === null) return ctx.reject("not-seated");
      // Looking is the same on any turn; everything else was meant for the turn it was shown on.
      const isLate = state.hand.handNumber !== handNumber || (move.type !== "see" && state.hand.turn !== turn);
      if (isLate) return ctx.reject("late");
      if (!isInHand(state, ctx.principal.id)) return ctx.reject("not-in-hand");
      const outcome = applyMove(state.hand, seat, move, draft.settings.config);
      if ("rejected" in outcome) return ctx.reject(outcome.rejected);
      comeBack(draft, seat);
      playEvents(draft, outcome.events);
      noteTaken(draft, state);
      return (next) => ({ handNumber: next.hand.handNumber, turn: next.hand.turn });
    }),
    leave: command((state, _input, ctx) => {
      const draft = draftTable(state, ctx);
      const seat = seatOfPlayer(state, ctx.principal.id);
      if (draft === null || seat === null) return ctx.reject("not-seated");
      const left = leaveTable(draft, seat, "chosen");
      noteTaken(draft, state);
      return () => ({ left });
    }),
    sitOut: command(sitOutInput, (state, { out }, ctx) => {
      const draft = draftTable(state, ctx);
      const seat = seatOfPlayer(state, ctx.principal.id);
      if (draft === null || seat === null) return ctx.reject("not-seated");
      const { absence } = seatAt(state, seat);
      if (out && absence === null) setAbsence(draft, seat, "sitting-out");
      if (!out && absence !== null) setAbsence(draft, seat, null);
      planNext(draft);
      return undefined;
    }),
    back: command((state, _input, ctx) => {
      const draft = draftTable(state, ctx);
      const seat = seatOfPlayer(state, ctx.principal.id);
      if (draft === null || seat === null) return ctx.reject("not-seated");
      comeBack(draft, seat);
      planNext(draft);
      return undefined;
    }),
    say: command(sayInput, (state, said, ctx) => {
      const seat = seatOfPlayer(state, ctx.principal.id);
      if (seat === null) return ctx.reject("not-seated");
      const oldest = seatAt(state, seat).saidAtMs.at(-MESSAGES_MAX);
      if (oldest !== undefined && ctx.now - oldest < MESSAGES_MS) return ctx.reject("too-many-messages");
      const at = { atMs: ctx.now, seat };
      if ("phrase" in said) ctx.emit("fed", { kind: "phrase", ...at, phrase: said.phrase });
      else ctx.emit("fed", { kind: "emote", ...at, emote: said.emote, toSeat: said.toSeat ?? null });
      return undefined;
    }),

    // ---- own timers
    startHand: command(handTimer, (state, { handNumber }, ctx) => {
      const draft = draftTable(state, ctx);
      if (draft !== null) dealNext(draft, handNumber);
    }),
    passDeadline: command(deadlineTimer, (state, late, ctx) => {
      const draft = draftTable(state, ctx);
      if (draft === null) return;
      passDeadline(draft, late);
      noteTaken(draft, state);
    }),
    giveUpSeat: command(seatTimer, (state, at, ctx) => {
      const draft = draftTable(state, ctx);
      if (draft === null) return;
      giveUpSeat(draft, at);
      noteTaken(draft, state);
    }),
    revealSeeds: command((state, _input, ctx) => {
      const draft = draftTable(state, ctx);
      if (draft !== null) revealSeeds(draft);
    }),
    closeEmpty: command((state, _input, ctx) => {
      const draft = draftTable(state, ctx);
      if (draft !== null && !state.closed && takenSeats(state) === 0) closeTable(draft);
    }),
  }),
  queries: {
    review: {
      input: reviewInput,
      read: (state: TableState, { handNumber }: { handNumber: number }, ctx: { principal: Principal }) =>
        reviewHand(state, handNumber, ctx.principal),
    },
    /** A published server seed; null when it is not published yet, or so old that only the log has it. */
    seed: {
      input: reviewInput,
      read: (state: TableState, { handNumber }: { handNumber: number }) =>
        state.revealed.find((of) => of.handNumber === handNumber)?.serverSeed ?? null,
    },
    audit: (state) => ({ chips: chipsAt(state), handNumber: state.hand.handNumber }),
  },
  views: { seat: viewTable, public: watchTable },
  access,
  // The change log and the state hold everybody's cards: of a table only what everybody sees may be followed.
  feed: (principal, { form, view }) => principal.kind === "user" && form !== "changes" && view === "public",
});

/** The player behind a player entity. */
function playerOf({ id }: Principal): string {
  return id.slice("player/".length);
}

/** Whoever sits on a seat of the running hand may be another than who was dealt in; see `table-view.ts`. */
function isInHand(state: TableState, player: string): boolean {
  return state.handPlayers.some((of) => of.player === player);
}

function sitProblem(
  { state, settings }: TableDraft,
  player: string,
  { seat, buyIn }: { seat: number | null; buyIn: number },
): Refusal | null {
  if (state.closed) return "table-closed";
  if (seatOfPlayer(state, player) !== null) return "already-seated";
  if (buyIn < settings.buyInMin || buyIn > settings.buyInMax) return "buy-in-out-of-range";
  if (seat !== null && seat >= state.seats.length) return "no-such-seat";
  if (seat !== null && state.seats[seat] !== null) return "seat-taken";
  return takenSeats(state) === state.seats.length ? "table-full" : null;
}

function freeSeat({ state }: TableDraft): number {
  return state.seats.indexOf(null);
}

/** Any sign of a player ends its absence, except that chips are still missing. */
function comeBack(draft: TableDraft, seat: number): void {
  const { absence, timeouts } = seatAt(draft.state, seat);
  if (absence === "away" || (absence === null && timeouts > 0)) setAbsence(draft, seat, null);
}

function closeTable(draft: TableDraft): void {
  const { state, ctx } = draft;
  const before = takenSeats(state);
  emit(draft, "closed", {});
  ctx.cancel("next-hand");
  for (const seat of state.seats.map((of) => of?.seat)) {
    if (seat !== undefined && state.seats[seat] !== null) leaveTable(draft, seat, "closed");
  }
  const { owner } = state;
  ctx.send({ type: "lobby", key: "main" }, "tableClosed", { table: ctx.key, owner });
  if (before > 0) ctx.cancel(CLOSE_TIMER);
}

/** Tells the lobby how many sit here, and closes private tables that stay empty. */
function noteTaken(draft: TableDraft, before: TableState): void {
  const { state, ctx, settings } = draft;
  const taken = takenSeats(state);
  if (taken === takenSeats(before)) return;
  if (!settings.isPrivate) {
    ctx.send({ type: "lobby", key: "main" }, "tableChanged", { table: ctx.key, taken });
  } else if (taken === 0) ctx.schedule(CLOSE_TIMER, { afterMs: EMPTY_MS_MAX }, "closeEmpty");
  else ctx.cancel(CLOSE_TIMER);
}
