/**
 * The page's state: one signal per fact, changed by server views and by the player's own choices.
 *
 * Invariant: what the table looks like is always the newest view; nothing the player clicks changes it before the server
 * has said so. Only `pending` tells that a click is on its way.
 */

import { batch, computed, signal } from "@preact/signals";
import type { ConnectionState } from "holdfast/client";
import type {
  Avatar,
  LobbyView,
  MeView,
  Standings,
  StandingsOrder,
  TableView,
  WatchedTable,
} from "../../src/contract.ts";
import { noteOwnSeed, notePromises } from "./promises.ts";
import type { PublicServer, Traffic } from "./public-server.ts";
import type { GameServer, Stop } from "./server.ts";
import { type Profile, readProfile, store } from "./storage.ts";
import { after, randomText } from "./time.ts";
import { errorWords, reasonWords } from "./words.ts";

export type Toast = { id: number; text: string; kind: "note" | "problem" };

export const profile = signal<Profile | null>(null);
export const me = signal<MeView | null>(null);
export const lobby = signal<LobbyView | null>(null);
/** What the page shows: the game, the leaderboard, or a table for those who only look on. */
export type Screen = "play" | "leaderboard" | "watch";
export const screen = signal<Screen>("play");
export const tableId = signal<string | null>(null);
export const table = signal<TableView | null>(null);
export const standings = signal<Standings | null>(null);
export const standingsOrder = signal<StandingsOrder>("chips");
/** What looking on has cost so far. */
export const traffic = signal<Traffic | null>(null);
export const connection = signal<ConnectionState>("connecting");
/** The connection was open at least once, and is down for longer than going to another door takes. */
export const isAway = signal(false);
export const toasts = signal<readonly Toast[]>([]);
/** What is under way, by name: its button waits. */
export const pending = signal<ReadonlySet<string>>(new Set());

export const myHandSeat = computed(() => table.value?.hand.seats.find((of) => of.seat === table.value?.you) ?? null);
export const mySeat = computed(() => {
  const view = table.value;
  return view === null || view.you === null ? null : (view.seats[view.you] ?? null);
});

let server: GameServer | null = null;
let publicServer: PublicServer | null = null;
/** Ends what the present place follows. */
let stopPlace: Stop = () => {};
let toastCount = 0;
let refusalSeen: number | null = null;

export function serverNow(): number {
  return server?.now() ?? Date.now();
}

/** The server; only what runs after the entry page may ask. */
export function theServer(): GameServer {
  if (server === null) throw new Error("the entry page comes first");
  return server;
}

/** Starts with what the browser remembers; without a profile the entry page shows. */
export function start(open: (userId: string) => GameServer, everybody: PublicServer): void {
  opener = open;
  publicServer = everybody;
  globalThis.addEventListener?.("popstate", () => showPlace(placeOfPath(location.pathname)));
  showPlace(placeOfPath(location.pathname));
  const stored = readProfile();
  if (stored !== null) enter(stored);
}

let opener: (userId: string) => GameServer = () => {
  throw new Error("start() comes first");
};

/** With a name and an emblem, in: connects, joins, and goes where the address says. */
export function enter(as: Profile): void {
  store("profile", as);
  profile.value = as;
  if (server !== null) {
    void attempt("profile", () => theServer().setProfile({ name: as.name, avatar: as.avatar }));
    return;
  }
  const opened = opener(as.userId);
  server = opened;
  opened.onState(({ state }) => takeState(state));
  opened.watchMe(takeMe);
  void join(opened, as);
  showPlace({ screen: screen.value, table: tableId.value });
}

/** Going on at another door is nobody's business; being without one for a while is. */
const AWAY_AFTER_MS = 1_000;
let wasOpen = false;
let cancelAway: Stop | null = null;

function takeState(state: ConnectionState): void {
  connection.value = state;
  if (state === "open") {
    wasOpen = true;
    cancelAway?.();
    cancelAway = null;
    isAway.value = false;
  } else if (wasOpen) cancelAway ??= after(AWAY_AFTER_MS, () => (isAway.value = true));
}

/** A new player's first seed is chosen here, not by the server: only then can the server not know it beforehand. */
async function join(opened: GameServer, as: Profile): Promise<void> {
  const reply = await attempt("join", () => opened.join({ name: as.name, avatar: as.avatar }));
  if (reply?.created === true) await useSeed(randomText(20));
}

/** @returns whether the server took it */
export async function useSeed(clientSeed: string): Promise<boolean> {
  noteOwnSeed(clientSeed);
  return (await attempt("setSeed", () => theServer().setSeed(clientSeed))) !== undefined;
}

export function changeProfile(name: string, avatar: Avatar): void {
  const userId = profile.value?.userId;
  if (userId !== undefined) enter({ userId, name, avatar });
}

type Place = { readonly screen: Screen; readonly table: string | null };

/** To a table, or to the lobby (null). */
export function goTo(place: string | null): void {
  go(place === null ? "/" : `/table/${place}`, { screen: "play", table: place });
}

export function goToLeaderboard(): void {
  go("/leaderboard", { screen: "leaderboard", table: null });
}

export function goToWatch(table: string): void {
  go(`/watch/${table}`, { screen: "watch", table });
}

export function orderStandings(order: StandingsOrder): void {
  standingsOrder.value = order;
  showPlace({ screen: "leaderboard", table: null });
}

function go(path: string, place: Place): void {
  history.pushState(null, "", path);
  showPlace(place);
}

function showPlace(place: Place): void {
  stopPlace();
  stopPlace = () => {};
  batch(() => {
    screen.value = place.screen;
    tableId.value = place.table;
    table.value = null;
    traffic.value = null;
  });
  stopPlace = follow(place);
}

function follow({ screen: shown, table: id }: Place): Stop {
  if (shown === "leaderboard")
    return publicServer?.followStandings(standingsOrder.value, (value) => (standings.value = value)) ?? (() => {});
  if (shown === "watch" && id !== null) return publicServer?.followTable(id, takeWatched(id)) ?? (() => {});
  if (server === null) return () => {};
  return id === null ? server.watchLobby((view) => (lobby.value = view)) : server.watchTable(id, takeTable);
}

/** A spectator's view is the table's without what only players have. */
function takeWatched(id: string): (view: WatchedTable, cost: Traffic) => void {
  return (view, cost) =>
    batch(() => {
      table.value = { ...view, table: id, you: null, yourSeed: null, moves: [] };
      traffic.value = cost;
    });
}

function takeTable(view: TableView): void {
  if (view.table !== "" && view.table !== tableId.value) return;
  notePromises(view);
  table.value = view;
}

function takeMe(view: MeView): void {
  const refusal = view.refusal;
  if (refusalSeen !== null && refusal !== null && refusal.id > refusalSeen)
    toast(reasonWords(refusal.reason), "problem");
  refusalSeen = refusal?.id ?? 0;
  me.value = view;
}

function placeOfPath(path: string): Place {
  if (path === "/leaderboard") return { screen: "leaderboard", table: null };
  const [, kind, table = null] = /^\/(table|watch)\/([A-Za-z0-9_-]{1,128})$/.exec(path) ?? [];
  return { screen: kind === "watch" ? "watch" : "play", table };
}

export function toast(text: string, kind: Toast["kind"] = "note"): void {
  const id = ++toastCount;
  toasts.value = [...toasts.value.slice(-2), { id, text, kind }];
  after(4_500, () => (toasts.value = toasts.value.filter((of) => of.id !== id)));
}

export function isPending(name: string): boolean {
  return pending.value.has(name);
}

/** Runs a command once at a time; a problem becomes a toast. @returns the reply, or undefined when it failed */
export async function attempt<Reply>(name: string, run: () => Promise<Reply>): Promise<Reply | undefined> {
  if (pending.peek().has(name)) return undefined;
  pending.value = new Set([...pending.peek(), name]);
  try {
    return await run();
  } catch (error) {
    toast(errorWords(error), "problem");
    return undefined;
  } finally {
    pending.value = new Set([...pending.peek()].filter((of) => of !== name));
  }
}
