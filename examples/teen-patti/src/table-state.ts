/**
 * The state of a table, and how its events change it.
 *
 * Invariants:
 * 1. `seats[n].chips` is at every moment what seat n has: while a hand runs it mirrors the hand's own seats. The chips of
 *    a table are the seats' chips and coming chips, the pot of a running hand, and the house's (`chipsAt`).
 * 2. Everything but `seats` (and the seats in it) and `hand` is replaced, never changed in place, so `copyTable` is cheap
 *    and a decision can be tried on a copy (`table-draft.ts`).
 * 3. `serverSeed`, `next.serverSeed`, `recent` and `unrevealed` are secret: only `table-view.ts` reads them for others.
 */
import type { Avatar, Deadline, FeedItem, Gift, KeptName, LeftReason, TableSettings } from "./contract.ts";
import { evolveHand, type HandEvent } from "./rules/hand-events.ts";
import { copyHand, type HandState, initialHand, isRunning } from "./rules/hand-state.ts";

export type Profile = { name: KeptName; avatar: Avatar; clientSeed: string };
export type Absence = "sitting-out" | "away" | "broke";

export type Seat = Profile & {
  seat: number;
  player: string;
  /** Which stay of the player this is; timers and cash-outs carry it. */
  sit: number;
  chips: number;
  chipsComing: number;
  hands: number;
  timeouts: number;
  absence: Absence | null;
  /** Set while the seat packs and waits for the end of the hand. */
  leaving: LeftReason | null;
  heldUntilMs: number | null;
  gift: Gift | null;
  /** When its newest messages came, for the rate limit. */
  saidAtMs: number[];
};

/** Who was in a hand: seats may have changed since. */
export type HandPlayer = Profile & { seat: number; player: string };

export type FinishedHand = {
  hand: HandState;
  players: HandPlayer[];
  serverSeed: string;
  endedAtMs: number;
  seedAtMs: number;
};

export type SeedDue = { handNumber: number; serverSeed: string; seedAtMs: number };

export type TableState = {
  settings: TableSettings | null;
  /** Who asked for the table; null for tables of the house. */
  owner: string | null;
  closed: boolean;
  seats: (Seat | null)[];
  hand: HandState;
  handPlayers: HandPlayer[];
  /** Of the running hand. */
  serverSeed: string | null;
  next: { handNumber: number; serverSeed: string; commit: string } | null;
  nextHandAtMs: number | null;
  deadline: Deadline | null;
  feed: FeedItem<KeptName>[];
  feedId: number;
  recent: FinishedHand[];
  /** Oldest first. */
  unrevealed: SeedDue[];
  /** Published seeds, newest last. */
  revealed: { handNumber: number; serverSeed: string }[];
  house: number;
};

export const RECENT_HANDS = 6;
export const FEED_ITEMS = 16;
export const REVEALED_KEPT = 200;
/** More hands than can be played in a day at a table that waits five seconds between them. */
export const UNREVEALED_MAX = 17_280;

/** What one player put into a pot and took out of it. */
export type HandResultOf = { player: string; name: KeptName; avatar: Avatar; paid: number; won: number };

/** Chips taken out of one pot that are news. */
export const BIG_WIN = 5_000;

/** A feed item as an event carries it: id and name follow from the state. */
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type FeedEvent = DistributiveOmit<FeedItem, "id" | "name">;

export type TableEvents = {
  opened: { settings: TableSettings; owner: string | null };
  closed: Record<never, never>;
  committed: { handNumber: number; serverSeed: string; commit: string };
  seated: { seat: number; player: string; sit: number; profile: Profile; chips: number };
  profileChanged: { seat: number; profile: Profile };
  chipsBought: { seat: number; amount: number };
  leavingSet: { seat: number; reason: LeftReason };
  stoodUp: { seat: number; reason: LeftReason };
  missed: { seat: number };
  absenceSet: { seat: number; absence: Absence | null; heldUntilMs: number | null };
  handPlanned: { atMs: number | null };
  handBegun: { handNumber: number };
  hand: HandEvent;
  deadlineSet: { deadline: Deadline | null };
  handFinished: { endedAtMs: number; seedAtMs: number };
  /** For those who follow: what the hand meant to each player. Nothing secret is in it, and the state does not need it. */
  handSettled: { handNumber: number; atMs: number; pot: number; isPrivate: boolean; results: HandResultOf[] };
  /** A win that is news. */
  wonBig: { handNumber: number; atMs: number; player: string; amount: number; pot: number };
  seedsRevealed: { upTo: number };
  fed: FeedEvent;
};

export function initialTable(): TableState {
  return {
    settings: null,
    owner: null,
    closed: false,
    seats: [],
    hand: initialHand(),
    handPlayers: [],
    serverSeed: null,
    next: null,
    nextHandAtMs: null,
    deadline: null,
    feed: [],
    feedId: 0,
    recent: [],
    unrevealed: [],
    revealed: [],
    house: 0,
  };
}

/** A copy whose events do not change the original (invariant 2). */
export function copyTable(state: TableState): TableState {
  const seats = state.seats.map((seat) => (seat === null ? null : { ...seat }));
  return { ...state, seats, hand: copyHand(state.hand) };
}

/** All chips at the table: the constant of conservation, up to what players bring and take. */
export function chipsAt({ seats, hand, house }: TableState): number {
  const seated = seats.reduce((sum, seat) => sum + (seat?.chips ?? 0) + (seat?.chipsComing ?? 0), 0);
  return seated + (isRunning(hand) ? hand.pot : 0) + house;
}

type Evolves = { [Name in keyof TableEvents]: (state: TableState, event: TableEvents[Name]) => void };

export const tableEvents: Evolves = {
  opened: (state, { settings, owner }) => {
    state.settings = { ...settings, config: { ...settings.config } };
    state.owner = owner;
    state.closed = false;
    state.seats = Array.from({ length: settings.config.seats }, () => null);
  },
  closed: (state) => {
    state.closed = true;
    state.nextHandAtMs = null;
  },
  committed: (state, event) => {
    state.next = { ...event };
  },
  seated: (state, { seat, player, sit, profile, chips }) => {
    const gone = { timeouts: 0, absence: null, leaving: null, heldUntilMs: null, gift: null, saidAtMs: [] };
    state.seats[seat] = { seat, player, sit, ...profile, chips, chipsComing: 0, hands: 0, ...gone };
  },
  profileChanged: (state, { seat, profile }) => {
    Object.assign(seatAt(state, seat), profile);
  },
  chipsBought: (state, { seat, amount }) => {
    seatAt(state, seat).chipsComing += amount;
  },
  leavingSet: (state, { seat, reason }) => {
    seatAt(state, seat).leaving = reason;
  },
  stoodUp: (state, { seat }) => {
    state.seats[seat] = null;
  },
  missed: (state, { seat }) => {
    seatAt(state, seat).timeouts += 1;
  },
  absenceSet: (state, { seat, absence, heldUntilMs }) => {
    const at = seatAt(state, seat);
    at.absence = absence;
    at.heldUntilMs = heldUntilMs;
    if (absence === null) at.timeouts = 0;
  },
  handPlanned: (state, { atMs }) => {
    state.nextHandAtMs = atMs;
  },
  handBegun: (state) => beginHand(state),
  hand: (state, event) => {
    evolveHand(state.hand, event);
    if (event.type === "handStarted") state.handPlayers = event.seats.map(({ seat }) => handPlayer(state, seat));
    for (const { seat, chips } of state.hand.seats) seatAt(state, seat).chips = chips;
  },
  deadlineSet: (state, { deadline }) => {
    state.deadline = deadline === null ? null : { ...deadline };
  },
  handFinished: (state, event) => finishHand(state, event),
  handSettled: () => {},
  wonBig: () => {},
  seedsRevealed: (state, { upTo }) => {
    const due = state.unrevealed.filter(({ handNumber }) => handNumber <= upTo);
    state.unrevealed = state.unrevealed.slice(due.length);
    const revealed = due.map(({ handNumber, serverSeed }) => ({ handNumber, serverSeed }));
    state.revealed = [...state.revealed, ...revealed].slice(-REVEALED_KEPT);
  },
  fed: (state, event) => feed(state, event),
};

export function seatAt(state: TableState, seat: number): Seat {
  const found = state.seats[seat];
  if (found === null || found === undefined) throw new Error(`nobody sits at seat ${seat}`);
  return found;
}

/** The next hand becomes the present one: its seed is in use, and chips bought meanwhile are on the table. */
function beginHand(state: TableState): void {
  state.serverSeed = state.next?.serverSeed ?? null;
  state.next = null;
  state.nextHandAtMs = null;
  for (const seat of state.seats) {
    if (seat === null) continue;
    seat.chips += seat.chipsComing;
    seat.chipsComing = 0;
  }
  state.deadline = null;
}

function handPlayer(state: TableState, at: number): HandPlayer {
  const { seat, player, name, avatar, clientSeed } = seatAt(state, at);
  return { seat, player, name, avatar, clientSeed };
}

function finishHand(state: TableState, { endedAtMs, seedAtMs }: TableEvents["handFinished"]): void {
  const { hand, serverSeed } = state;
  if (serverSeed === null) throw new Error("a finished hand has a seed");
  for (const { seat } of hand.seats) seatAt(state, seat).hands += 1;
  const finished = { hand: copyHand(hand), players: state.handPlayers, serverSeed, endedAtMs, seedAtMs };
  state.recent = [finished, ...state.recent].slice(0, RECENT_HANDS);
  state.unrevealed = [...state.unrevealed, { handNumber: hand.handNumber, serverSeed, seedAtMs }];
  state.serverSeed = null;
}

function feed(state: TableState, event: FeedEvent): void {
  const seat = seatAt(state, event.seat);
  state.feedId += 1;
  const item = { ...event, id: state.feedId, name: seat.name } as FeedItem<KeptName>;
  state.feed = [...state.feed, item].slice(-FEED_ITEMS);
  if (event.kind === "tip") state.house += event.amount;
  if (event.kind === "phrase" || event.kind === "emote") seat.saidAtMs = [...seat.saidAtMs, event.atMs].slice(-5);
  if (event.kind !== "gift") return;
  state.house += event.amount;
  const to = state.seats[event.toSeat];
  if (to !== null && to !== undefined) to.gift = event.gift;
}
