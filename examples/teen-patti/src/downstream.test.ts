/**
 * What comes of the game downstream, with the real things: rows in a PostgreSQL, signed requests to a receiver, the leaderboard.
 * Bots play at full speed; at one table a player loses to a friend on purpose.
 *
 * Invariant: what arrived is compared with the change log, event for event.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type ChangeItem, developmentAuthentication, type EmbeddedService, embedded, isHoldfastError } from "holdfast";
import pg from "pg";
import {
  type PostgresServer,
  postgresSkipReason,
  startPostgres,
} from "../../../src/adapters/postgres/server.harness.ts";
import { type Receiver, startReceiver } from "../../../src/adapters/webhook/receiver.harness.ts";
import { startCrew } from "./bots/crew.ts";
import { type Door, openDoor } from "./bots/door.ts";
import type { Standings, TableView } from "./contract.ts";
import { analyticsEvents, downstreamOf } from "./downstream.ts";
import { entities, projections } from "./entities.ts";
import { alwaysTogether, chipDumping } from "./fraud.ts";
import { settingsFor } from "./lobby.ts";
import { systemClock } from "./system.ts";
import type { TableEvents } from "./table-state.ts";
import { openTables } from "./tables.ts";

const skip = postgresSkipReason() ?? false;
const SECRET = `whsec_${Buffer.from("a secret of twenty-four b.").toString("base64")}`;
const FAST = { betweenHandsMs: 0, seedRevealMs: 60_000 };
const TABLES = [
  { table: "t-1", settings: settingsFor(50, { config: FAST }) },
  { table: "t-2", settings: settingsFor(50, { config: FAST }) },
  { table: "t-friends", settings: settingsFor(1_000, { config: FAST, buyInMax: 100_000 }) },
];
const HANDS = 20;

const directory = mkdtempSync(join(tmpdir(), "holdfast-game-downstream-"));
let postgres: PostgresServer | undefined;
let receiver: Receiver;
let service: EmbeddedService;
let database: pg.Client;

before(async () => {
  if (skip !== false) return;
  postgres = await startPostgres();
  receiver = await startReceiver(SECRET);
  const connection = await postgres.database();
  const { sinks, subscribers } = await downstreamOf({
    TEEN_PATTI_POSTGRES: connection,
    TEEN_PATTI_WEBHOOK: receiver.url,
    TEEN_PATTI_WEBHOOK_SECRET: SECRET,
  });
  service = await embedded({
    entities,
    projections,
    sinks,
    subscribers,
    directory,
    port: 0,
    progress: false,
    authenticate: developmentAuthentication({ warn: () => {} }),
  });
  // The webhook is of news from now on: it is to be there before there are any.
  await until(() => service.subscribers.list().every(({ cursor }) => cursor !== null) && subscribersRun());
  await play();
  database = new pg.Client({ connectionString: connection });
  await database.connect();
});

after(async () => {
  await database?.end();
  await service?.stop();
  await receiver?.down();
  await postgres?.stop();
  rmSync(directory, { recursive: true, force: true });
});

function subscribersRun(): boolean {
  return service.subscribers.list().filter(({ state }) => state === "running").length === 2;
}

async function until(fits: () => boolean): Promise<void> {
  while (!fits()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Bots at two tables, two friends at a third, until each has seen its hands and all of it has arrived. */
async function play(): Promise<void> {
  await openTables(service.node, TABLES);
  const crew = startCrew({
    tables: ["t-1", "t-2"],
    botsPerTable: 4,
    leaveFree: 0,
    speed: "max",
    seed: 3,
    clock: systemClock,
    openDoor: (user) => openDoor(service.url, user),
  });
  const friends = [await friend("boss", () => false), await friend("mule", (bets) => bets > 0)];
  const eve = openDoor(service.url, "eve");
  await Promise.all(TABLES.map(({ table }) => handsAt(eve, table)));
  await crew.stop();
  for (const each of friends) await each.close();
  await eve.close();
  await until(() => service.subscribers.list().every(({ lag }) => lag.records === 0));
  await until(() => service.projections.status().every(({ lag }) => lag?.records === 0));
}

function handsAt(door: Door, table: string): Promise<void> {
  return new Promise((resolve) => {
    door.watch("table", table, "seat", (value) => {
      if ((value as TableView).hand.handNumber > HANDS) resolve();
    });
  });
}

/** Somebody at the third table, who bets the least, or packs. */
async function friend(user: string, packs: (bets: number) => boolean): Promise<Door> {
  const door = openDoor(service.url, user);
  let [hand, bets] = [0, 0];
  await door.execute("player", user, "join", { name: user });
  await door.execute("player", user, "sit", { table: "t-friends", buyIn: user === "mule" ? 100_000 : 40_000 });
  door.watch("table", "t-friends", "seat", (value) => {
    const view = value as TableView;
    const { handNumber, turn } = view.hand;
    if (handNumber !== hand) [hand, bets] = [handNumber, 0];
    const bet = view.moves.find(({ type }) => type === "blind" || type === "chaal");
    if (bet === undefined) return;
    const move = packs(bets++) ? { type: "pack" } : bet;
    // The view may be one that was overtaken; then there is another.
    door.execute("table", "t-friends", "act", { handNumber, turn, move }).catch(() => undefined);
  });
  return door;
}

/** The change log of these events. */
async function logged(events: readonly string[]): Promise<ChangeItem[]> {
  const principal = { kind: "system", id: "test" } as const;
  const filter = { types: ["table", "player"], events };
  const feed = await service.feeds.open({ form: "changes", filter, start: "beginning", principal });
  const items: ChangeItem[] = [];
  for (;;) {
    const batch = await feed.next({ itemsMax: 1_000 });
    items.push(...(batch.items as ChangeItem[]));
    if (batch.lag.records === 0) break;
  }
  feed.close();
  return items;
}

const idsOf = (items: readonly ChangeItem[]) =>
  items.map(({ shard, offset, index }) => `${shard}-${offset}-${index}`).sort();

test("every event that analysts ask for is one row in PostgreSQL, and none of them holds a card", {
  skip,
}, async () => {
  const { rows } = await database.query<{ id: string; event: string }>(
    "SELECT shard || '-' || log_offset || '-' || event_index AS id, event FROM holdfast.game_events",
  );
  const items = await logged(analyticsEvents);
  assert.ok(items.length > TABLES.length * HANDS);
  assert.deepEqual(rows.map(({ id }) => id).sort(), idsOf(items));
  // Names of members, not any text: a sealed name is random letters.
  const secret = await database.query("SELECT 1 FROM holdfast.game_events WHERE payload::text ~* $1", [
    '"\\w*(card|deck|seed|salt|position|merkle)\\w*":',
  ]);
  assert.equal(secret.rowCount, 0);
});

test("losing chips to a friend on purpose is found, and nobody else is accused of it", { skip }, async () => {
  const { rows } = await database.query<{
    giver: string;
    taker: string;
    hands: number;
    chips: number;
    one_sided: number;
  }>(chipDumping, [10, 30_000]);
  assert.deepEqual(
    rows.map(({ giver, taker, one_sided }) => [giver, taker, one_sided]),
    [["mule", "boss", 1]],
  );
  assert.ok((rows[0]?.hands ?? 0) >= HANDS - 1 && (rows[0]?.chips ?? 0) >= 30_000, JSON.stringify(rows));
  const together = await database.query<{ one: string; other: string; share: number }>(alwaysTogether, [10]);
  assert.deepEqual([together.rows[0]?.one, together.rows[0]?.other, together.rows[0]?.share], ["boss", "mule", 1]);
});

test("each big win was told, signed, and nothing else was", { skip }, async () => {
  const items = await logged(["wonBig"]);
  assert.ok(items.length > 0);
  assert.deepEqual(receiver.unverified, []);
  assert.ok(receiver.received.every(({ subscriber }) => subscriber === "big-wins"));
  const told = receiver.received.flatMap(({ events }) => events.map(({ data }) => JSON.stringify(data)));
  const amounts = (texts: readonly string[]) => {
    const found = texts.map((text) => Number(/"amount":(\d+)/.exec(text)?.[1]));
    return found.sort((one, other) => one - other);
  };
  // At least once is what is promised; with a receiver that answers it is once.
  assert.deepEqual(amounts(told), amounts(items.map(({ payload }) => JSON.stringify(payload))));
});

test("the leaderboard is what the settled hands add up to", { skip }, async () => {
  const wanted = new Map<string, { chips: number; hands: number; handsWon: number; biggestPot: number }>();
  for (const { payload } of await logged(["handSettled"])) {
    const { pot, results } = payload as unknown as TableEvents["handSettled"];
    for (const { player, paid, won } of results) {
      const line = wanted.get(player) ?? { chips: 0, hands: 0, handsWon: 0, biggestPot: 0 };
      wanted.set(player, line);
      line.chips += won - paid;
      line.hands += 1;
      if (won > 0) [line.handsWon, line.biggestPot] = [line.handsWon + 1, Math.max(line.biggestPot, pot)];
    }
  }
  const response = await fetch(`${service.url}/v1/projections/leaderboard?limit=100&order=chips`);
  const { documents } = (await response.json()) as Standings;
  assert.equal(documents.length, wanted.size);
  for (const { key, value } of documents) {
    const { name, avatar: _avatar, atMs: _atMs, ...line } = value;
    assert.deepEqual(line, wanted.get(key), key);
    assert.ok(typeof name === "string" && name !== "", `${key} has a name`);
  }
  const chips = documents.map(({ value }) => value.chips);
  assert.deepEqual(
    chips,
    [...chips].sort((one, other) => other - one),
  );
  assert.equal(
    chips.reduce((sum, amount) => sum + amount, 0),
    0,
    "what one wins others lose",
  );
});

test("an erased player leaves the leaderboard", { skip }, async () => {
  const operator = { kind: "operator", id: "olga" } as const;
  const erased = await new Promise<{ ok: boolean }>((done) =>
    service.node.erase({ subject: { type: "player", key: "mule" }, principal: operator }, done),
  );
  assert.ok(erased.ok);
  const isThere = () =>
    service.projections.list("leaderboard", { limit: 100 }).documents.some(({ key }) => key === "mule");
  await until(() => !isThere());
});

test("no player may follow what holds cards: neither the change log nor a state, nor another's view", {
  skip,
}, async () => {
  const user = { kind: "user", id: "eve" } as const;
  const ask = async (of: { form: "changes" | "absolutes" | "deltas"; types?: string[]; view?: string }) => {
    try {
      const { form, types = ["table"], view } = of;
      const feed = await service.feeds.open({
        form,
        filter: { types },
        start: "beginning",
        principal: user,
        ...(view === undefined ? {} : { view }),
      });
      feed.close();
      return "open";
    } catch (error) {
      return isHoldfastError(error) ? error.code : String(error);
    }
  };
  assert.equal(await ask({ form: "changes" }), "forbidden");
  assert.equal(await ask({ form: "changes", types: ["player"] }), "forbidden");
  assert.equal(await ask({ form: "absolutes" }), "forbidden");
  assert.equal(await ask({ form: "deltas", view: "seat" }), "forbidden");
  assert.equal(await ask({ form: "deltas", view: "public" }), "open");
});

test("what is not configured is off, and says how it is turned on", async () => {
  const { sinks, subscribers, lines } = await downstreamOf({});
  assert.deepEqual([sinks, subscribers], [{}, []]);
  assert.ok(lines.length === 2 && lines.every((line) => /: off; TEEN_PATTI_\w+=/.test(line)));
  await assert.rejects(downstreamOf({ TEEN_PATTI_WEBHOOK: "https://example.org" }), /TEEN_PATTI_WEBHOOK_SECRET/);
});
