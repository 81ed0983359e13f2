/**
 * The player: wallet and profile of one user, under the user's id.
 *
 * Invariants:
 * 1. `balance` + what tables hold of this player's chips + what is on its way = `issued` plus what was won from others:
 *    chips come into being only in `joined` and `toppedUp`, and a payment leaves the balance in the same record that
 *    sends it. A refused payment comes back in the record that settles it.
 * 2. Only the user commands it, and only tables pay in.
 * 3. The name is personal data: sealed under this player's key here and wherever it is sent.
 */
import { type Access, defineEntity, type Plain, sendOutcome } from "holdfast";
import {
  AVATARS,
  type Avatar,
  GIFTS,
  type KeptName,
  type LeftReason,
  type MeView,
  NO_AVATAR,
  type PlayerSession,
  type PlayerView,
  SEATS_PER_PLAYER_MAX,
  STARTING_CHIPS,
  TOP_UP_BELOW,
  TOP_UP_TO,
  TOP_UP_WAIT_MS,
} from "./contract.ts";
import {
  addChipsInput,
  cashOutInput,
  giftInput,
  joinInput,
  profileInput,
  seedInput,
  sitInput,
  tipInput,
} from "./inputs.ts";
import { LARGE_WIN, reviewOutcome, reviewWin, type Verdict } from "./review.ts";
import { toHex } from "./rules/fairness.ts";

/** `gone`: cashed out before the table's answer to the sit arrived; the answer removes it. */
type SeatAt = { sit: number; status: "asking" | "seated" | "gone"; seat: number | null; boughtIn: number };

export type PlayerState = {
  joined: boolean;
  /** Chips ever given to this player by the system. */
  issued: number;
  balance: number;
  name: KeptName;
  avatar: Avatar;
  clientSeed: string;
  /** Counts sits: names each stay at a table. */
  sits: number;
  seats: { [table: string]: SeatAt };
  refusals: number;
  refusal: MeView["refusal"];
  topUpFromMs: number;
  hands: number;
  sessions: PlayerSession[];
};

type SitContext = { table: string; sit: number; amount: number };
type PaymentContext = { table: string; amount: number };
type CashedOut = { table: string; sit: number; amount: number; hands: number; reason: LeftReason; atMs: number };

const SESSIONS_KEPT = 10;

const userCommands = new Set(["join", "setProfile", "setSeed", "topUp", "sit", "addChips", "tip", "gift"]);

const access: Access = (principal, verb, key) => {
  if (principal.kind === "entity") {
    return verb.kind === "command" && verb.name === "cashOut" && principal.id.startsWith("table/");
  }
  if (principal.kind === "operator") return verb.kind === "query" && verb.name === "audit";
  if (principal.kind !== "user") return false;
  if (verb.kind === "view" && verb.name === "public") return true;
  if (principal.id !== key) return false;
  if (verb.kind === "view") return verb.name === "me";
  if (verb.kind === "create") return verb.name === "join";
  return verb.kind === "command" && userCommands.has(verb.name);
};

export const player = defineEntity("player", {
  personal: true,
  state: (): PlayerState => ({
    joined: false,
    issued: 0,
    balance: 0,
    name: "",
    avatar: NO_AVATAR,
    clientSeed: "",
    sits: 0,
    seats: {},
    refusals: 0,
    refusal: null,
    topUpFromMs: 0,
    hands: 0,
    sessions: [],
  }),
  events: {
    joined: (state, event: { name: KeptName; avatar: Avatar; clientSeed: string; issued: number }) => {
      state.joined = true;
      state.name = event.name;
      state.avatar = event.avatar;
      state.clientSeed = event.clientSeed;
      state.issued += event.issued;
      state.balance += event.issued;
    },
    profileSet: (state, event: { name: KeptName; avatar: Avatar }) => {
      state.name = event.name;
      state.avatar = event.avatar;
    },
    seedSet: (state, event: { clientSeed: string }) => {
      state.clientSeed = event.clientSeed;
    },
    toppedUp: (state, event: { issued: number; nextFromMs: number }) => {
      state.issued += event.issued;
      state.balance += event.issued;
      state.topUpFromMs = event.nextFromMs;
    },
    seatAsked: (state, { table, sit, amount }: SitContext) => {
      state.sits = sit;
      state.balance -= amount;
      state.seats[table] = { sit, status: "asking", seat: null, boughtIn: amount };
    },
    seatGiven: (state, { table, sit, seat }: { table: string; sit: number; seat: number }) => {
      const at = state.seats[table];
      if (at?.sit !== sit) return;
      if (at.status === "gone") delete state.seats[table];
      else Object.assign(at, { status: "seated", seat });
    },
    seatRefused: (state, { table, amount, reason }: PaymentContext & { reason: string }) => {
      delete state.seats[table];
      refund(state, { table, amount, reason });
    },
    paid: (state, { table, amount, chips }: PaymentContext & { chips: boolean }) => {
      state.balance -= amount;
      const at = state.seats[table];
      if (chips && at !== undefined) at.boughtIn += amount;
    },
    paymentRefused: (state, event: PaymentContext & { reason: string; chips: boolean }) => {
      refund(state, event);
      const at = state.seats[event.table];
      if (event.chips && at !== undefined) at.boughtIn -= event.amount;
    },
    cashedOut: (state, event: CashedOut) => {
      state.balance += event.amount;
      state.hands += event.hands;
      const at = state.seats[event.table];
      const mine = at?.sit === event.sit ? at : undefined;
      const { table, amount: cashedOut, hands, atMs: endedAtMs, reason } = event;
      const session = { table, boughtIn: mine?.boughtIn ?? 0, cashedOut, hands, endedAtMs, reason };
      state.sessions = [session, ...state.sessions].slice(0, SESSIONS_KEPT);
      if (mine?.status === "asking") mine.status = "gone";
      else if (mine !== undefined) delete state.seats[event.table];
    },
    /** Kept in the log, for whoever asks later. */
    reviewed: (_state, _event: { table: string; won: number; verdict: Exclude<Verdict, null>; atMs: number }) => {},
  },
  calls: { reviewWin },
  commands: (command) => ({
    join: command(joinInput, (state, { name, avatar }, ctx) => {
      if (!state.joined) {
        ctx.emit("joined", {
          name: name ?? `Player ${ctx.key.slice(0, 12)}`,
          avatar: avatar ?? AVATARS[ctx.random.integer(AVATARS.length)] ?? NO_AVATAR,
          clientSeed: toHex(ctx.random.bytes(8)),
          issued: STARTING_CHIPS,
        });
      } else if (name !== undefined || avatar !== undefined) {
        ctx.emit("profileSet", { name: name ?? state.name, avatar: avatar ?? state.avatar });
      }
      const created = !state.joined;
      return (next) => ({ created, balance: next.balance });
    }),
    setProfile: command(profileInput, (state, { name, avatar }, ctx) => {
      if (!state.joined) return ctx.reject("not-joined");
      ctx.emit("profileSet", { name, avatar });
      tellTables(state, { name, avatar, clientSeed: state.clientSeed }, ctx);
      return undefined;
    }),
    setSeed: command(seedInput, (state, { clientSeed }, ctx) => {
      if (!state.joined) return ctx.reject("not-joined");
      ctx.emit("seedSet", { clientSeed });
      tellTables(state, { name: state.name, avatar: state.avatar, clientSeed }, ctx);
      return undefined;
    }),
    topUp: command((state, _input, ctx) => {
      if (!state.joined) return ctx.reject("not-joined");
      if (state.balance >= TOP_UP_BELOW || Object.keys(state.seats).length > 0) return ctx.reject("not-broke");
      if (ctx.now < state.topUpFromMs) return ctx.reject("too-soon", { fromMs: state.topUpFromMs });
      ctx.emit("toppedUp", { issued: TOP_UP_TO - state.balance, nextFromMs: ctx.now + TOP_UP_WAIT_MS });
      return (next) => ({ balance: next.balance });
    }),
    sit: command(sitInput, (state, { table, seat, buyIn }, ctx) => {
      if (!state.joined) return ctx.reject("not-joined");
      if (state.seats[table] !== undefined) return ctx.reject("already-seated");
      if (Object.keys(state.seats).length >= SEATS_PER_PLAYER_MAX) return ctx.reject("too-many-seats");
      if (state.balance < buyIn) return ctx.reject("insufficient-chips", { balance: state.balance });
      const context = { table, sit: state.sits + 1, amount: buyIn };
      const { name, avatar, clientSeed } = state;
      ctx.emit("seatAsked", context);
      const input = { sit: context.sit, profile: { name, avatar, clientSeed }, seat: seat ?? null, buyIn };
      ctx.send({ type: "table", key: table }, "seatPlayer", input, { reply: "seatAnswered", context });
      return (next) => ({ sit: context.sit, balance: next.balance });
    }),
    seatAnswered: command(sendOutcome<{ seat: number }, SitContext>(), (_state, outcome, ctx) => {
      const { context } = outcome;
      if (outcome.ok) ctx.emit("seatGiven", { table: context.table, sit: context.sit, seat: outcome.value.seat });
      else ctx.emit("seatRefused", { table: context.table, amount: context.amount, reason: outcome.reason });
    }),
    addChips: command(addChipsInput, (state, { table, amount }, ctx) => {
      const problem = paymentProblem(state, table, amount);
      if (problem !== null) return ctx.reject(problem, { balance: state.balance });
      ctx.emit("paid", { table, amount, chips: true });
      const context = { table, amount };
      ctx.send({ type: "table", key: table }, "addChips", { amount }, { reply: "chipsAnswered", context });
      return (next) => ({ balance: next.balance });
    }),
    chipsAnswered: command(sendOutcome<null, PaymentContext>(), (_state, outcome, ctx) => {
      if (!outcome.ok) ctx.emit("paymentRefused", { ...outcome.context, reason: outcome.reason, chips: true });
    }),
    tip: command(tipInput, (state, { table, amount }, ctx) => {
      const problem = paymentProblem(state, table, amount);
      if (problem !== null) return ctx.reject(problem, { balance: state.balance });
      ctx.emit("paid", { table, amount, chips: false });
      const context = { table, amount };
      ctx.send({ type: "table", key: table }, "tip", { amount }, { reply: "presentAnswered", context });
      return (next) => ({ balance: next.balance });
    }),
    gift: command(giftInput, (state, { table, gift, toSeat }, ctx) => {
      const amount = GIFTS[gift];
      const problem = paymentProblem(state, table, amount);
      if (problem !== null) return ctx.reject(problem, { balance: state.balance });
      ctx.emit("paid", { table, amount, chips: false });
      const context = { table, amount };
      const input = { gift, toSeat, amount };
      ctx.send({ type: "table", key: table }, "gift", input, { reply: "presentAnswered", context });
      return (next) => ({ balance: next.balance });
    }),
    presentAnswered: command(sendOutcome<null, PaymentContext>(), (_state, outcome, ctx) => {
      if (!outcome.ok) ctx.emit("paymentRefused", { ...outcome.context, reason: outcome.reason, chips: false });
    }),
    cashOut: command(cashOutInput, (state, input, ctx) => {
      if (ctx.principal.id !== `table/${input.table}`) return ctx.reject("no-such-table");
      const { table, amount } = input;
      const at = state.seats[table];
      const won = at?.sit === input.sit ? amount - at.boughtIn : 0;
      ctx.emit("cashedOut", { ...input, atMs: ctx.now });
      if (won < LARGE_WIN) return undefined;
      const win = { player: ctx.key, table, won, atMs: ctx.now };
      ctx.call("reviewWin", win, { result: "winReviewed", context: { table, won } });
      return undefined;
    }),
    winReviewed: command(reviewOutcome, (_state, outcome, ctx) => {
      if (!outcome.ok || outcome.value.verdict === null) return;
      ctx.emit("reviewed", { ...outcome.context, verdict: outcome.value.verdict, atMs: ctx.now });
    }),
  }),
  queries: { audit: (state) => ({ issued: state.issued, balance: state.balance }) },
  views: { me: (state, _viewer, key): MeView<KeptName> => meView(state, key), public: publicView },
  access,
});

function refund(state: PlayerState, { table, amount, reason }: PaymentContext & { reason: string }): void {
  state.balance += amount;
  state.refusals += 1;
  state.refusal = { id: state.refusals, table, reason, amount };
}

/** Only somebody who is seated pays at a table. */
function paymentProblem(state: PlayerState, table: string, amount: number) {
  if (state.seats[table]?.status !== "seated") return "not-seated";
  return state.balance < amount ? "insufficient-chips" : null;
}

type Sender = { send(to: { type: string; key: string }, command: string, input: Plain): void };

/** A change of profile or seed goes to every table where the player is, in order with everything else sent there. */
function tellTables(
  state: PlayerState,
  profile: { name: KeptName; avatar: Avatar; clientSeed: string },
  ctx: Sender,
): void {
  for (const table of Object.keys(state.seats)) ctx.send({ type: "table", key: table }, "profileChanged", { profile });
}

function meView(state: PlayerState, key: string): MeView<KeptName> {
  const { joined, name, avatar, clientSeed, balance, refusal, topUpFromMs, sessions } = state;
  const seats = Object.entries(state.seats).flatMap(([table, { seat, status, boughtIn }]) =>
    status === "gone" ? [] : [{ table, seat, status, boughtIn }],
  );
  return { player: key, joined, name, avatar, clientSeed, balance, seats, refusal, topUpFromMs, sessions };
}

function publicView({ joined, name, avatar, hands }: PlayerState, _viewer: unknown, key: string): PlayerView<KeptName> {
  return { player: key, joined, name, avatar, hands };
}
