/**
 * The hidden cards, over the real door: every byte that a player gets is one that it would also get if all cards it may
 * not see, and all seeds that are not published, were others.
 *
 * How: bots and a spectator play over WebSockets, and every frame they get is kept. Then the log is replayed; at every
 * version somebody was sent, the state is disguised for that viewer (hidden cards and seeds replaced), and the frames
 * that the disguised states give must equal those that were sent.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { developmentAuthentication, startGateway, startNode } from "holdfast";
import { connect, type WebSocketConstructor } from "holdfast/client";
import { MemoryKeys, openMemoryKeys } from "../../../src/adapters/keys/memory.ts";
import { createMemoryStore, openMemoryLog } from "../../../src/adapters/memory/log.ts";
import { systemClock as nodeClock } from "../../../src/adapters/system/clock.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import { openAll } from "../../../src/model/sealed.ts";
import { KeyVault } from "../../../src/runtime/vault.ts";
import { compactDiff } from "../../../src/std/patch.ts";
import { copyPlain, type Plain } from "../../../src/std/plain.ts";
import { Audit } from "./audit.ts";
import { startCrew } from "./bots/crew.ts";
import type { Door } from "./bots/door.ts";
import type { TableView } from "./contract.ts";
import { analyticsEvents } from "./downstream.ts";
import { entities } from "./entities.ts";
import { readRecords, SHARDS } from "./game.testkit.ts";
import { settingsFor } from "./lobby.ts";
import { DECK_CARDS } from "./rules/cards.ts";
import type { HandEvent } from "./rules/hand-events.ts";
import { copyHand, type HandState } from "./rules/hand-state.ts";
import { VARIATION_NAMES } from "./rules/variations.ts";
import { systemClock } from "./system.ts";
import { table as tableEntity } from "./table.ts";
import { copyTable, type TableState } from "./table-state.ts";
import { openTables } from "./tables.ts";

const FAST = { betweenHandsMs: 0, seedRevealMs: 60_000, turnMs: 2_000, turnGraceMs: 0, sideShowMs: 2_000 };
const TABLES = VARIATION_NAMES.slice(0, 3).map((variation) => ({
  table: `t-${variation}`,
  settings: settingsFor(10, { config: { ...FAST, variation } }),
}));
const HANDS = 20;

type Message = { t: string; id: number | string; version: number; from: number; value: Plain; patch: Plain };
/** What one user was sent, and which subscriptions it made. */
type Tap = { user: string; sent: string[]; frames: string[] };

const taps: Tap[] = [];
let records: Awaited<ReturnType<typeof readRecords>> = [];

/** A WebSocket that keeps every frame, both ways. */
function tapped(tap: Tap): WebSocketConstructor {
  return class extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      this.addEventListener("message", ({ data }: { data: unknown }) => tap.frames.push(String(data)));
    }
    override send(data: string | Uint8Array<ArrayBuffer>): void {
      tap.sent.push(String(data));
      super.send(data);
    }
  };
}

function tappedDoor(url: string, user: string): Door {
  const tap: Tap = { user, sent: [], frames: [] };
  taps.push(tap);
  const client = connect({ url, token: `dev:${user}`, encoding: "json", WebSocket: tapped(tap) });
  return {
    execute: async (type, key, command, input) => (await client.entity(type, key).execute(command, input)).value,
    watch: (type, key, view, listener) => {
      const watch = client.entity(type, key).watch(view, ({ value }) => listener(value));
      return () => watch.stop();
    },
    close: () => client.close(),
  };
}

/** What the service's door opened names with. */
let vault: KeyVault;

before(async () => {
  const kept = new MemoryKeys();
  const store = createMemoryStore(SHARDS);
  const node = await startNode({
    entities,
    log: openMemoryLog({ store }),
    keys: await openMemoryKeys({ store: kept, random: systemRandom }),
    clock: nodeClock,
    random: systemRandom,
    shardCount: SHARDS,
  });
  const authenticate = developmentAuthentication({ warn: () => {} });
  const gateway = await startGateway({ service: node, clock: nodeClock, random: systemRandom, authenticate, port: 0 });
  await openTables(node, TABLES);
  const crew = startCrew({
    tables: TABLES.map(({ table }) => table),
    botsPerTable: 4,
    leaveFree: 0,
    speed: "max",
    seed: 7,
    clock: systemClock,
    openDoor: (user) => tappedDoor(gateway.url, user),
  });
  const eve = tappedDoor(gateway.url, "eve");
  await Promise.all(
    TABLES.map(
      ({ table }) =>
        new Promise<void>((resolve) => {
          eve.watch("table", table, "seat", (value) => {
            if ((value as TableView).hand.handNumber > HANDS) resolve();
          });
        }),
    ),
  );
  await eve.execute("table", TABLES[0]?.table ?? "", "leave").catch(() => undefined);
  await crew.stop();
  await eve.close();
  await gateway.close();
  await node.stop();
  records = await readRecords(store);
  vault = new KeyVault(await openMemoryKeys({ store: kept, random: systemRandom }), systemRandom);
});

after(() => {
  taps.length = 0;
});

/** Who may see whose cards of one hand, told by the events alone: the test's own account, apart from `maySee`. */
function noteVisible(visible: Set<string>, event: HandEvent): void {
  if (event.type === "handStarted") visible.clear();
  if (event.type === "cardsSeen") visible.add(`${event.seat}<${event.seat}`);
  if (event.type === "revealed") visible.add(`${event.seat}<all`);
  if (event.type === "sideShowResolved") {
    visible.add(`${event.seat}<${event.target}`).add(`${event.target}<${event.seat}`);
  }
}

const disguiseCards = (cards: readonly number[]): number[] => cards.map((card) => (card * 5 + 17) % DECK_CARDS);

function disguiseHand(hand: HandState, seat: number | null, visible: ReadonlySet<string>): HandState {
  const copy = copyHand(hand);
  for (const of of copy.seats) {
    const isVisible = visible.has(`${of.seat}<all`) || (seat !== null && visible.has(`${of.seat}<${seat}`));
    if (!isVisible) of.cards = disguiseCards(of.cards);
  }
  return copy;
}

/** The state with everything replaced that this user may not know. */
function disguise(state: TableState, user: string, visible: ReadonlySet<string>): TableState {
  const seat = state.handPlayers.find(({ player }) => player === user)?.seat ?? null;
  const secret = "5".repeat(64);
  const recent = state.recent.map((finished) => ({
    ...finished,
    serverSeed: secret,
    hand: disguiseHand(finished.hand, null, new Set()),
  }));
  return {
    ...copyTable(state),
    hand: disguiseHand(state.hand, seat, visible),
    serverSeed: state.serverSeed === null ? null : secret,
    next: state.next === null ? null : { ...state.next, serverSeed: secret },
    recent,
    unrevealed: state.unrevealed.map((due) => ({ ...due, serverSeed: secret })),
  };
}

/** Versions of tables by user and table. */
type Wanted = Map<string, Map<string, Set<number>>>;

/** What the disguised tables show each user at each version it was sent. */
function disguisedViews(wanted: Wanted): Map<string, Plain> {
  const audit = new Audit();
  const visible = new Map<string, Set<string>>();
  const views = new Map<string, Plain>();
  const view = tableEntity.views.get("seat");
  assert.ok(view);
  for (const { record, offset } of records) {
    audit.take(record);
    const { type, key } = record.entity;
    if (type !== "table") continue;
    const seen = visible.get(key) ?? new Set<string>();
    visible.set(key, seen);
    for (const { name, payload } of record.events) if (name === "hand") noteVisible(seen, payload as HandEvent);
    const state = audit.tables.get(key);
    if (state === undefined) continue;
    for (const [user, versions] of wanted) {
      if (versions.get(key)?.has(offset) !== true) continue;
      const value = view.read(disguise(state, user, seen), { kind: "user", id: user }, key) as Plain;
      views.set(
        `${user} ${key}@${offset}`,
        openAll(copyPlain(value, { depthMax: 64, bytesMax: 1e6, sealed: true }).value, (text) => vault.open(text)),
      );
    }
  }
  return views;
}

/** The frames of tables that a user got. */
function tableMessages(tap: Tap): { message: Message; key: string }[] {
  const subscriptions = subscriptionsOf(tap);
  return parse(tap.frames).flatMap((message) => {
    const of = subscriptions.get(message.id as number);
    return (message.t === "absolute" || message.t === "delta") && of?.type === "table"
      ? [{ message, key: of.key }]
      : [];
  });
}

const parse = (frames: readonly string[]): Message[] => frames.flatMap((frame) => JSON.parse(frame) as Message[]);

/** Subscriptions by id: which entity they are of. */
function subscriptionsOf({ sent }: Tap): Map<number, { type: string; key: string }> {
  const found = new Map<number, { type: string; key: string }>();
  for (const message of parse(sent) as unknown as { t: string; id: number; type: string; key: string }[]) {
    if (message.t === "subscribe") found.set(message.id, { type: message.type, key: message.key });
  }
  return found;
}

test("every table frame a player got is the one that other hidden cards and seeds would have given", () => {
  const wanted: Wanted = new Map();
  for (const tap of taps) {
    const versions = new Map<string, Set<number>>();
    wanted.set(tap.user, versions);
    for (const { message, key } of tableMessages(tap)) {
      versions.set(key, (versions.get(key) ?? new Set<number>()).add(message.version));
    }
  }
  const views = disguisedViews(wanted);
  let checked = 0;
  for (const tap of taps) {
    for (const { message, key } of tableMessages(tap)) {
      const { t, id, from, version } = message;
      const now = views.get(`${tap.user} ${key}@${version}`);
      assert.ok(now !== undefined, `${key}@${version}`);
      const then = t === "delta" ? views.get(`${tap.user} ${key}@${from}`) : undefined;
      const expected =
        then === undefined ? { t, id, version, value: now } : { t, id, from, version, patch: compactDiff(then, now) };
      assert.deepEqual(message, JSON.parse(JSON.stringify(expected)), `${tap.user} ${key}@${version}`);
      checked += 1;
    }
  }
  assert.ok(checked > 2_000, `${checked} frames were checked`);
});

test("everything else a player got holds no card: its own account, plain replies, refusals", () => {
  const kinds = new Set<string>();
  for (const tap of taps) {
    const subscriptions = subscriptionsOf(tap);
    for (const message of parse(tap.frames)) {
      if (message.t === "reply") assert.match(JSON.stringify(message.value), replyShape);
      else if (message.t === "absolute" || message.t === "delta") {
        const { type, key } = subscriptions.get(message.id as number) ?? { type: "", key: "" };
        assert.ok(type === "table" || (type === "player" && key === tap.user), `${tap.user} sees ${type}/${key}`);
        if (type === "player") assert.doesNotMatch(JSON.stringify(message), /cards|deck|serverSeed|salt/);
      } else if (message.t === "error") assert.doesNotMatch(JSON.stringify(message), /\d{1,2},\d{1,2}|[0-9a-f]{64}/);
      kinds.add(message.t);
    }
  }
  assert.deepEqual(
    [...kinds].filter((kind) => !allowedKinds.has(kind)),
    [],
  );
});

/** A turn, a seat left, chips in the wallet: numbers that are public or the player's own. */
const replyShape =
  /^(null|\{"handNumber":\d+,"turn":\d+\}|\{"left":(true|false)\}|\{("(created|sit|balance)":(true|false|\d+),?)+\})$/;
const allowedKinds = new Set(["welcome", "reply", "error", "absolute", "delta", "pong"]);

test("what everybody may watch is what it would be with other hidden cards and seeds, at every version of every table", () => {
  const watched = tableEntity.views.get("public");
  assert.equal(watched?.shared, true, "one value for all who look: it cannot depend on who does");
  const audit = new Audit();
  const visible = new Map<string, Set<string>>();
  let checked = 0;
  for (const { record } of records) {
    audit.take(record);
    const { type, key } = record.entity;
    const state = audit.tables.get(key);
    if (type !== "table" || state === undefined) continue;
    const seen = visible.get(key) ?? new Set<string>();
    visible.set(key, seen);
    for (const { name, payload } of record.events) if (name === "hand") noteVisible(seen, payload as HandEvent);
    const nobody = { kind: "anonymous", id: "anonymous" } as const;
    assert.deepEqual(watched.read(disguise(state, "", seen), nobody, key), watched.read(state, nobody, key));
    checked += 1;
  }
  assert.ok(checked > 1_000, `${checked} versions were checked`);
});

test("no event that leaves the service for others to keep holds a card, a seed or a salt", () => {
  let checked = 0;
  for (const { record } of records) {
    for (const { name, payload } of record.events) {
      if (!(analyticsEvents as readonly string[]).includes(name)) continue;
      assert.doesNotMatch(JSON.stringify(payload), /"\w*(card|deck|seed|salt|position|merkle)\w*":/i);
      checked += 1;
    }
  }
  assert.ok(checked > HANDS, `${checked} events were checked`);
});

test("no seed and no salt is in any frame before it is published", () => {
  const secrets: string[] = [];
  for (const { record } of records) {
    for (const { name, payload } of record.events) {
      if (name === "committed") secrets.push((payload as { serverSeed: string }).serverSeed);
    }
  }
  assert.ok(secrets.length > HANDS);
  for (const { user, frames } of taps) {
    const all = frames.join("\n");
    for (const secret of secrets) assert.ok(!all.includes(secret), `${user} was sent a server seed`);
    assert.doesNotMatch(all, /salt|proof|serverSeed/);
  }
});
