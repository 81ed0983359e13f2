/**
 * One measurement over PostgreSQL, in a process of its own: a closed loop of commands.
 *
 *   postgres-child.ts <URL> node <in flight> <ms> <shards>   through a node over the log
 *   postgres-child.ts <URL> insert <in flight> <ms>          bare `INSERT … RETURNING`, a connection for each in flight
 *   postgres-child.ts <URL> update <in flight> <ms>          bare `UPDATE … RETURNING` of 10,000 rows, the same way
 */
import { createHistogram } from "node:perf_hooks";
import { startNode } from "holdfast";
import { migratePostgres, openPostgresLog } from "holdfast/postgres";
import pg from "pg";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { postgresCpuSeconds } from "./postgres-cpu.ts";
import { uuidV7 } from "./uuid.ts";
import { wallet } from "./wallet.ts";

const [url, way, inFlightText, measureText, shardsText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const [inFlight, measureMs] = [Number(inFlightText), Number(measureText)];
const entities = 10_000;
let sent = 0;

interface Way {
  readonly one: () => Promise<boolean>;
  readonly commits: () => number;
  readonly close: () => Promise<void>;
}

async function overNode(): Promise<Way> {
  const schema = `bench_${shardsText}`;
  const shardCount = Number(shardsText);
  await migratePostgres({ connection: url, schema, shardCount });
  const log = await openPostgresLog({ connection: url, schema });
  let appends = 0;
  const append = log.append.bind(log);
  log.append = (frames) => {
    appends++;
    return append(frames);
  };
  const limits = { createsPerMinuteMax: 1_000_000 };
  const node = await startNode({
    entities: [wallet],
    log,
    clock: systemClock,
    random: systemRandom,
    shardCount,
    limits,
  });
  const one = () =>
    new Promise<boolean>((resolve) => {
      const call = {
        entity: { type: "wallet", key: `w${(sent++ * 7_919) % entities}` },
        command: "credit",
        input: { amount: 5 },
        requestId: uuidV7(),
        principal: { kind: "service", id: "bench" },
      } as const;
      node.execute(call, (result) => resolve(result.ok));
    });
  return { one, commits: () => appends, close: () => node.stop() };
}

async function bare(statement: pg.QueryConfig, prepare: readonly string[]): Promise<Way> {
  const setup = new pg.Client({ connectionString: url });
  await setup.connect();
  for (const text of prepare) await setup.query(text);
  await setup.end();
  const clients = Array.from({ length: inFlight }, () => new pg.Client({ connectionString: url }));
  await Promise.all(clients.map((client) => client.connect()));
  let commits = 0;
  const free = [...clients];
  const one = async () => {
    const client = free.pop() as pg.Client;
    const { rowCount } = await client.query({ ...statement, values: [`w${(sent++ * 7_919) % entities}`, 5] });
    free.push(client);
    commits++;
    return rowCount === 1;
  };
  const close = async () => void (await Promise.all(clients.map((client) => client.end())));
  return { one, commits: () => commits, close };
}

const insertTables = [
  "CREATE TABLE IF NOT EXISTS bench_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, wallet text NOT NULL, event jsonb NOT NULL)",
];
const insert = {
  name: "insert",
  text: "INSERT INTO bench_events (wallet, event) VALUES ($1, jsonb_build_object('credited', $2::integer)) RETURNING id",
};
const updateTables = [
  "CREATE TABLE IF NOT EXISTS bench_wallets (wallet text PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50)",
  `INSERT INTO bench_wallets SELECT 'w' || n, 0 FROM generate_series(0, ${entities - 1}) AS n ON CONFLICT DO NOTHING`,
];
const update = {
  name: "update",
  text: "UPDATE bench_wallets SET balance = balance + $2::integer WHERE wallet = $1 RETURNING balance",
};

const ways = { node: overNode, insert: () => bare(insert, insertTables), update: () => bare(update, updateTables) };
const { one, commits, close } = await ways[way as keyof typeof ways]();
const port = Number(new URL(url).port);
const histogram = createHistogram();
let [done, failed, stopped] = [0, 0, false];
const loops = Array.from({ length: inFlight }, async () => {
  while (!stopped) {
    const askedAt = performance.now();
    if (await one()) done++;
    else failed++;
    histogram.record(Math.max(1, Math.round((performance.now() - askedAt) * 1_000)));
  }
});
await new Promise((resolve) => setTimeout(resolve, 1_500));
const before = {
  done,
  commits: commits(),
  cpu: process.cpuUsage(),
  server: postgresCpuSeconds(port),
  at: performance.now(),
};
histogram.reset();
await new Promise((resolve) => setTimeout(resolve, measureMs));
const seconds = (performance.now() - before.at) / 1_000;
const count = done - before.done;
const cpu = process.cpuUsage(before.cpu);
const commitsPerSecond = (commits() - before.commits) / seconds;
const serverSeconds = postgresCpuSeconds(port) - before.server;
stopped = true;
await Promise.all(loops);
process.send?.({
  perSecond: count / seconds,
  failed,
  commitsPerSecond,
  p50Ms: histogram.percentile(50) / 1_000,
  p99Ms: histogram.percentile(99) / 1_000,
  ownMicros: (cpu.user + cpu.system) / count,
  serverMicros: (serverSeconds * 1e6) / count,
});
await close();
