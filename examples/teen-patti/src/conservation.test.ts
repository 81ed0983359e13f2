/**
 * Bot hands by the hundreds, with restarts, wanderers and presents: not a chip appears or vanishes.
 *
 * The bots are those of the server, at full speed, on the node in this process; time is real, so that timers of tables
 * without pauses fire as they do under load.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type HoldfastNode, startNode } from "holdfast";
import { MemoryKeys, openMemoryKeys } from "../../../src/adapters/keys/memory.ts";
import { createMemoryStore, openMemoryLog } from "../../../src/adapters/memory/log.ts";
import { systemClock as nodeClock } from "../../../src/adapters/system/clock.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import { Audit } from "./audit.ts";
import { type Chance, seededChance } from "./bots/chance.ts";
import { startCrew } from "./bots/crew.ts";
import type { Door } from "./bots/door.ts";
import type { TableView } from "./contract.ts";
import { entities } from "./entities.ts";
import { nodeDoor, readRecords, SHARDS } from "./game.testkit.ts";
import { settingsFor } from "./lobby.ts";
import { systemClock } from "./system.ts";
import { openTables } from "./tables.ts";

const FAST = { betweenHandsMs: 0, seedRevealMs: 0, turnMs: 100, turnGraceMs: 0, sideShowMs: 100, seatHeldMs: 300 };
const TABLES = ["a", "b", "c", "d"];
const RUNS = 3;
/** Set HANDS for a longer campaign; the default keeps the suite quick. */
const HANDS_PER_RUN = Math.ceil(Number(process.env["HANDS"] ?? 450) / RUNS);

/** Sits down, mostly does not play, gives presents, buys chips and leaves when it likes. */
function startWanderer(door: Door, user: string, table: string, chance: Chance): { stop(): void } {
  let stopped = false;
  const wander = async (view: TableView): Promise<void> => {
    const roll = chance();
    if (view.you === null) await door.execute("player", user, "sit", { table, buyIn: 500 });
    else if (roll < 0.05) await door.execute("table", table, "leave");
    else if (roll < 0.1) await door.execute("player", user, "tip", { table, amount: 3 });
    else if (roll < 0.15) await door.execute("player", user, "gift", { table, gift: "chai", toSeat: 0 });
    else if (roll < 0.2) await door.execute("player", user, "addChips", { table, amount: 50 });
    else if (roll < 0.25) await door.execute("table", table, "back");
    else if (roll < 0.3) await door.execute("player", user, "setSeed", { clientSeed: `s${Math.floor(roll * 1e6)}` });
  };
  const refused = (): undefined => undefined;
  let busy = true;
  void door.execute("player", user, "join", {}).then(() => {
    busy = false;
  });
  const stop = door.watch("table", table, "seat", (value) => {
    if (stopped || busy) return;
    busy = true;
    void wander(value as TableView)
      .catch(refused)
      .then(() => {
        busy = false;
      });
  });
  return {
    stop: () => {
      stopped = true;
      stop();
    },
  };
}

async function play(node: HoldfastNode, seed: number): Promise<void> {
  const settings = settingsFor(10, { config: FAST });
  await openTables(
    node,
    TABLES.map((table) => ({ table, settings })),
  );
  const openDoor = (user: string): Door => nodeDoor(node, user);
  const crew = startCrew({
    tables: TABLES,
    botsPerTable: 4,
    leaveFree: 1,
    speed: "max",
    seed,
    clock: systemClock,
    openDoor,
  });
  const wanderers = ["a", "b"].map((table, at) =>
    startWanderer(openDoor(`wanderer-${at}`), `wanderer-${at}`, table, seededChance(seed + at)),
  );
  const watcher = openDoor("eve");
  const hands = new Map<string, { first: number; last: number }>();
  await new Promise<void>((resolve) => {
    for (const table of TABLES) {
      watcher.watch("table", table, "seat", (value) => {
        const { handNumber } = (value as TableView).hand;
        const seen = hands.get(table) ?? { first: handNumber, last: handNumber };
        hands.set(table, { ...seen, last: handNumber });
        let played = 0;
        for (const { first, last } of hands.values()) played += last - first;
        if (played >= HANDS_PER_RUN) resolve();
      });
    }
  });
  for (const wanderer of wanderers) wanderer.stop();
  await crew.stop();
}

test("over hundreds of bot hands (HANDS for more) and restarts, wallets + tables + in flight = issued", async () => {
  const store = createMemoryStore(SHARDS);
  const keys = new MemoryKeys();
  const faults: string[] = [];
  for (let run = 1; run <= RUNS; run++) {
    const node = await startNode({
      entities,
      log: openMemoryLog({ store }),
      keys: await openMemoryKeys({ store: keys, random: systemRandom }),
      clock: nodeClock,
      random: systemRandom,
      shardCount: SHARDS,
      onFault: (where, error) => faults.push(`${where}: ${String(error)}`),
      onCrash: (error) => {
        throw error;
      },
    });
    await play(node, run);
    await node.stop();
  }
  assert.deepEqual(faults, []);
  const audit = new Audit();
  let atEnd = 0;
  for (const { record } of await readRecords(store)) {
    audit.take(record);
    atEnd += 1;
  }
  const totals = audit.totals();
  assert.deepEqual(totals.problems, []);
  assert.ok(totals.hands >= RUNS * HANDS_PER_RUN - 50, `${totals.hands} hands in ${atEnd} records`);
  assert.ok(
    [...audit.tables.values()].some(({ house }) => house > 0),
    "presents were given",
  );
});
