/**
 * All that the page asks of the server, in one interface: views to follow, commands to send.
 *
 * Invariant: the rest of the page knows nothing of connections. The fixtures implement the same interface, so that every
 * screen can be looked at without a server.
 */
import { type Client, connect, type StateChange } from "holdfast/client";
import {
  type ActInput,
  type ActReply,
  type AddChipsInput,
  type BalanceReply,
  type CreateTableInput,
  type CreateTableReply,
  type GiftInput,
  type JoinInput,
  type JoinReply,
  type LeaveReply,
  LOBBY_KEY,
  type LobbyView,
  type MeView,
  type ProfileInput,
  type ReviewReply,
  type SayInput,
  type SitInput,
  type SitReply,
  type TableView,
  type TipInput,
} from "../../src/contract.ts";
import type { Entities } from "../../src/entities.ts";

export type Stop = () => void;
export type Listener<View> = (view: View) => void;

export interface GameServer {
  readonly userId: string;
  /** The server's clock, ms since 1970. */
  now(): number;
  onState(listener: (change: StateChange) => void): Stop;
  watchMe(listener: Listener<MeView>): Stop;
  watchLobby(listener: Listener<LobbyView>): Stop;
  watchTable(table: string, listener: Listener<TableView>): Stop;
  join(input: JoinInput): Promise<JoinReply>;
  setProfile(input: ProfileInput): Promise<unknown>;
  setSeed(clientSeed: string): Promise<unknown>;
  topUp(): Promise<BalanceReply>;
  sit(input: SitInput): Promise<SitReply>;
  addChips(input: AddChipsInput): Promise<BalanceReply>;
  tip(input: TipInput): Promise<BalanceReply>;
  gift(input: GiftInput): Promise<BalanceReply>;
  createTable(input: CreateTableInput): Promise<CreateTableReply>;
  act(table: string, input: ActInput): Promise<ActReply>;
  leave(table: string): Promise<LeaveReply>;
  sitOut(table: string, out: boolean): Promise<unknown>;
  back(table: string): Promise<unknown>;
  say(table: string, input: SayInput): Promise<unknown>;
  review(table: string, handNumber: number): Promise<ReviewReply>;
}

/** Moves are worth little once the turn is over, so they do not wait as long as other calls. */
const ACT_TIMEOUT_MS = 20_000;

export function openServer(of: { url: string; userId: string }): GameServer {
  const client = connect<Entities>({ url: of.url, token: `dev:${of.userId}` });
  return serverOn(client, of.userId);
}

function serverOn(client: Client<Entities>, userId: string): GameServer {
  const me = client.entity("player", userId);
  const lobby = client.entity("lobby", LOBBY_KEY);
  const at = (table: string) => client.entity("table", table);
  const value = async <Value>(reply: Promise<{ value: Value }>): Promise<Value> => (await reply).value;
  return {
    userId,
    now: () => client.now(),
    onState: (listener) => client.onState(listener),
    watchMe: (listener) => stopOf(me.watch("me", (update) => listener(update.value))),
    watchLobby: (listener) => stopOf(lobby.watch("public", (update) => listener(update.value))),
    watchTable: (table, listener) => stopOf(at(table).watch("seat", (update) => listener(update.value))),
    join: (input) => value(me.execute("join", input)),
    setProfile: (input) => value(me.execute("setProfile", input)),
    setSeed: (clientSeed) => value(me.execute("setSeed", { clientSeed })),
    topUp: () => value(me.execute("topUp")),
    sit: (input) => value(me.execute("sit", input)),
    addChips: (input) => value(me.execute("addChips", input)),
    tip: (input) => value(me.execute("tip", input)),
    gift: (input) => value(me.execute("gift", input)),
    createTable: (input) => value(lobby.execute("createTable", input)),
    act: (table, input) => value(at(table).execute("act", input, { timeoutMs: ACT_TIMEOUT_MS })),
    leave: (table) => value(at(table).execute("leave")),
    sitOut: (table, out) => value(at(table).execute("sitOut", { out })),
    back: (table) => value(at(table).execute("back")),
    say: (table, input) => value(at(table).execute("say", input)),
    review: (table, handNumber) => value(at(table).query("review", { handNumber })),
  };
}

function stopOf(watch: { stop(): void }): Stop {
  return () => watch.stop();
}
