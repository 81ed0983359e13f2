/**
 * The page's state: one signal per fact, changed by server views and by the player's own choices.
 *
 * Invariant: what the table looks like is always the newest view; nothing the player clicks changes it before the server
 * has said so. Only `pending` tells that a click is on its way.
 */

import { batch, computed, signal } from "@preact/signals";
import type { ConnectionState } from "holdfast/client";
import type { Avatar, LobbyView, MeView, TableView } from "../../src/contract.ts";
import { noteOwnSeed, notePromises } from "./promises.ts";
import type { GameServer, Stop } from "./server.ts";
import { type Profile, readProfile, store } from "./storage.ts";
import { after, randomText } from "./time.ts";
import { errorWords, reasonWords } from "./words.ts";

export type Toast = { id: number; text: string; kind: "note" | "problem" };

export const profile = signal<Profile | null>(null);
export const me = signal<MeView | null>(null);
export const lobby = signal<LobbyView | null>(null);
export const tableId = signal<string | null>(null);
export const table = signal<TableView | null>(null);
export const connection = signal<ConnectionState>("connecting");
/** The connection was open at least once: from then on, not being open is worth a banner. */
export const wasOpen = signal(false);
export const toasts = signal<readonly Toast[]>([]);
/** What is under way, by name: its button waits. */
export const pending = signal<ReadonlySet<string>>(new Set());

export const myHandSeat = computed(() => table.value?.hand.seats.find((of) => of.seat === table.value?.you) ?? null);
export const mySeat = computed(() => {
  const view = table.value;
  return view === null || view.you === null ? null : (view.seats[view.you] ?? null);
});

let server: GameServer | null = null;
let stopTable: Stop = () => {};
let stopLobby: Stop = () => {};
let toastCount = 0;
let refusalSeen: number | null = null;

export function serverNow(): number {
  return server?.now() ?? 0;
}

/** The server; only what runs after the entry page may ask. */
export function theServer(): GameServer {
  if (server === null) throw new Error("the entry page comes first");
  return server;
}

/** Starts with what the browser remembers; without a profile the entry page shows. */
export function start(open: (userId: string) => GameServer): void {
  opener = open;
  tableId.value = tableOfPath(location.pathname);
  globalThis.addEventListener?.("popstate", () => showPlace(tableOfPath(location.pathname)));
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
  opened.onState((change) => {
    connection.value = change.state;
    if (change.state === "open") wasOpen.value = true;
  });
  opened.watchMe(takeMe);
  void join(opened, as);
  showPlace(tableId.value);
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

/** To a table, or to the lobby (null). */
export function goTo(place: string | null): void {
  history.pushState(null, "", place === null ? "/" : `/table/${place}`);
  showPlace(place);
}

function showPlace(place: string | null): void {
  stopTable();
  stopLobby();
  stopTable = stopLobby = () => {};
  batch(() => {
    tableId.value = place;
    table.value = null;
  });
  if (server === null) return;
  if (place === null) stopLobby = server.watchLobby((view) => (lobby.value = view));
  else stopTable = server.watchTable(place, takeTable);
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

function tableOfPath(path: string): string | null {
  return /^\/table\/([A-Za-z0-9_-]{1,128})$/.exec(path)?.[1] ?? null;
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
