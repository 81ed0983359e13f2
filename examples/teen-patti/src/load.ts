/**
 * Load: bots at full speed on many tables, through the door, from a process of their own.
 *
 *     node --conditions=source examples/teen-patti/src/load.ts --tables 50 --seconds 20
 *
 * Without --url it starts a game server of its own on a temporary directory, and removes both at the end.
 *
 * Invariant: it ends after `--seconds`, and what it prints counts answered commands only.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startCrew } from "./bots/crew.ts";
import { openDoor } from "./bots/door.ts";
import type { TableView } from "./contract.ts";
import { systemClock } from "./system.ts";

type Server = { url: string; stop(): Promise<void> };

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { url: text, tables: text, bots: text, seconds: text, seed: text } });
const tableCount = numberOf(values.tables, 20);
const botsPerTable = numberOf(values.bots, 4);
const seconds = numberOf(values.seconds, 15);
const seed = numberOf(values.seed, 1);

function numberOf(given: string | undefined, fallback: number): number {
  const value = given === undefined ? fallback : Number(given);
  if (!Number.isInteger(value) || value < 1)
    throw new Error("--tables, --bots, --seconds and --seed are whole numbers from 1.");
  return value;
}

async function startServer(): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), "teen-patti-load-"));
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const args = ["--port", "0", "--data", directory, "--bots", "0", "--fast", String(tableCount)];
  const server = spawn(process.execPath, ["--conditions=source", "--disable-proto=delete", main, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await urlOf(server);
  return {
    url,
    async stop() {
      const ended = new Promise((resolve) => server.once("exit", resolve));
      server.kill("SIGTERM");
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function urlOf(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("exit", (code) => reject(new Error(`The server ended with code ${code}.`)));
    if (server.stdout === null) return;
    createInterface({ input: server.stdout }).on("line", (line) => {
      const url = /http:\/\/\S+/.exec(line)?.[0];
      if (url !== undefined) resolve(url);
    });
  });
}

/** Counts hands by what the tables show to a spectator. */
function countHands(url: string, tables: readonly string[]): { total(): number; close(): Promise<void> } {
  const door = openDoor(url, "load-spectator");
  const seen = new Map<string, { first: number; last: number }>();
  for (const table of tables) {
    door.watch("table", table, "seat", (value) => {
      const { handNumber } = (value as TableView).hand;
      seen.set(table, { first: seen.get(table)?.first ?? handNumber, last: handNumber });
    });
  }
  return {
    total: () => [...seen.values()].reduce((sum, { first, last }) => sum + last - first, 0),
    close: () => door.close(),
  };
}

function percentile(sorted: readonly number[], share: number): string {
  return `${(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1)} ms`;
}

async function run({ url }: Server): Promise<void> {
  const tables = Array.from({ length: tableCount }, (_, at) => `fast-${at + 1}`);
  const latencies: number[] = [];
  let refused = 0;
  const onAnswer = (latencyMs: number, failed: boolean): void => {
    if (failed) refused += 1;
    else latencies.push(latencyMs);
  };
  const open = (user: string) => openDoor(url, user);
  const hands = countHands(url, tables);
  const crew = startCrew({
    tables,
    botsPerTable,
    leaveFree: 0,
    speed: "max",
    seed,
    clock: systemClock,
    openDoor: open,
    onAnswer,
    prefix: "load",
    buyInShare: 0.5,
  });
  const wait = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));
  await wait(2_000); // everybody connects and sits down
  latencies.length = 0;
  const before = hands.total();
  const startedMs = systemClock.monotonic();
  await wait(seconds * 1_000);
  const elapsedS = (systemClock.monotonic() - startedMs) / 1_000;
  const played = hands.total() - before;
  const sorted = latencies.toSorted((a, b) => a - b);
  console.log(`${tableCount} tables, ${tableCount * botsPerTable} bots, ${elapsedS.toFixed(1)} s`);
  console.log(`hands     ${(played / elapsedS).toFixed(0)}/s`);
  console.log(`commands  ${(sorted.length / elapsedS).toFixed(0)}/s answered, ${refused} refused in all`);
  console.log(
    `latency   p50 ${percentile(sorted, 0.5)}, p99 ${percentile(sorted, 0.99)}, max ${percentile(sorted, 1)}`,
  );
  await crew.stop();
  await hands.close();
}

const server: Server = values.url === undefined ? await startServer() : { url: values.url, stop: async () => {} };
try {
  await run(server);
} finally {
  await server.stop();
}
