/**
 * What one durable group commit costs, by the way it is written: the measurement behind decision 0002.
 *
 *   node --conditions=source bench/engines.ts [--commits 2000] [--directory <on the disk to measure>]
 *
 * One commit in flight, sizes of 200 B (one command) and 52 kB (a group of 256). The ways take turns in rounds, because
 * a shared disk has good and bad minutes; the figures are over all rounds.
 */
import * as fs from "node:fs";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { openSegmentLog } from "../src/adapters/segments/open.ts";

const { values: options } = parseArgs({
  options: { commits: { type: "string", default: "2000" }, directory: { type: "string", default: tmpdir() } },
});
const rounds = 4;
const commits = Math.ceil(Number(options.commits) / rounds);
const base = mkdtempSync(join(options.directory, "holdfast-engines-"));

interface Way {
  readonly name: string;
  /** Opens a fresh store in a directory. */
  readonly open: (directory: string, bytes: number) => Promise<Store>;
}

interface Store {
  readonly commit: (block: Uint8Array) => Promise<void>;
  readonly close: () => Promise<void>;
}

const call = (run: (done: (error: Error | null) => void) => void) =>
  new Promise<void>((resolve, reject) => run((error) => (error === null ? resolve() : reject(error))));

/** A descriptor that is written at the end of what was written before. */
function fileStore(path: string, flags: number, sync: boolean): Store {
  const descriptor = fs.openSync(path, flags, 0o644);
  let position = 0;
  return {
    async commit(block) {
      const at = position;
      position += block.length;
      await call((done) => fs.write(descriptor, block, 0, block.length, at, done));
      if (sync) await call((done) => fs.fdatasync(descriptor, done));
    },
    close: async () => fs.closeSync(descriptor),
  };
}

/** Fills a file with zeros and syncs it, so that later writes change no metadata. */
function preallocate(path: string, bytes: number): void {
  const descriptor = fs.openSync(path, "w");
  const zeros = Buffer.alloc(1024 * 1024);
  for (let at = 0; at < bytes; at += zeros.length) fs.writeSync(descriptor, zeros, 0, zeros.length, at);
  fs.fsyncSync(descriptor);
  fs.closeSync(descriptor);
}

const { O_CREAT, O_DSYNC, O_RDWR } = fs.constants;

const sqliteSetup =
  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE blocks (id INTEGER PRIMARY KEY, bytes BLOB)";
const sqliteInsert = "INSERT INTO blocks (bytes) VALUES (?)";

const workerCode = `
  const { parentPort, workerData } = require("node:worker_threads");
  const { DatabaseSync } = require("node:sqlite");
  const database = new DatabaseSync(workerData.path);
  database.exec(workerData.setup);
  const insert = database.prepare(workerData.insert);
  parentPort.on("message", (block) => {
    if (block === null) { database.close(); parentPort.close(); return; }
    insert.run(block);
    parentPort.postMessage(0);
  });
`;

const ways: readonly Way[] = [
  {
    name: "append, then fdatasync",
    open: async (directory) => fileStore(join(directory, "log"), O_RDWR | O_CREAT, true),
  },
  {
    name: "preallocated, O_DSYNC",
    async open(directory, bytes) {
      preallocate(join(directory, "log"), bytes * (commits + 10));
      return fileStore(join(directory, "log"), O_RDWR | O_DSYNC, false);
    },
  },
  {
    name: "preallocated, fdatasync",
    async open(directory, bytes) {
      preallocate(join(directory, "log"), bytes * (commits + 10));
      return fileStore(join(directory, "log"), O_RDWR, true);
    },
  },
  {
    name: "SQLite, one blob, in this thread",
    async open(directory) {
      const database = new DatabaseSync(join(directory, "log"));
      database.exec(sqliteSetup);
      const insert = database.prepare(sqliteInsert);
      return { commit: async (block) => void insert.run(block), close: async () => database.close() };
    },
  },
  {
    name: "SQLite, one blob, in a worker",
    async open(directory) {
      const workerData = { path: join(directory, "log"), setup: sqliteSetup, insert: sqliteInsert };
      const worker = new Worker(workerCode, { eval: true, workerData });
      return {
        commit: (block) =>
          new Promise((resolve) => {
            worker.once("message", () => resolve());
            worker.postMessage(block);
          }),
        async close() {
          worker.postMessage(null);
          await new Promise((resolve) => worker.once("exit", resolve));
        },
      };
    },
  },
  {
    name: "Holdfast's segment log",
    async open(directory) {
      const log = await openSegmentLog({ directory, shardCount: 256 });
      let at = 1;
      return {
        async commit(frame) {
          const one = [{ shard: 0, epoch: 1, at, count: 1, frame }];
          const [result] = at === 1 ? await log.claim(one) : await log.append(one);
          if (result?.ok !== true) throw new Error(`answered ${JSON.stringify(result)}`);
          at = result.tail;
        },
        close: () => log.close(),
      };
    },
  },
];

async function measure(way: Way, bytes: number, name: string): Promise<number[]> {
  const directory = join(base, name);
  mkdirSync(directory);
  const store = await way.open(directory, bytes);
  const block = new Uint8Array(bytes).fill(5);
  const latenciesMs: number[] = [];
  for (let index = 0; index < commits + 10; index++) {
    const startMs = performance.now();
    await store.commit(block);
    if (index >= 10) latenciesMs.push(performance.now() - startMs);
  }
  await store.close();
  rmSync(directory, { recursive: true });
  return latenciesMs;
}

function quantile(sorted: readonly number[], part: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN).toFixed(3);
}

try {
  console.log(
    `${commits * rounds} commits each, one in flight, in ${rounds} rounds, ${options.directory}, Node ${process.version}\n`,
  );
  console.log("| way of writing | bytes | p50 ms | p99 ms | commits/s |");
  console.log("|---|---|---|---|---|");
  for (const bytes of [200, 52_000]) {
    const found = ways.map((way) => ({ way, latenciesMs: [] as number[] }));
    for (let round = 0; round < rounds; round++) {
      for (const [index, { way, latenciesMs }] of found.entries()) {
        latenciesMs.push(...(await measure(way, bytes, `${bytes}-${round}-${index}`)));
      }
    }
    for (const { way, latenciesMs } of found) {
      const sorted = latenciesMs.toSorted((a, b) => a - b);
      const totalMs = sorted.reduce((sum, each) => sum + each, 0);
      const perSecond = Math.round((sorted.length / totalMs) * 1000);
      console.log(`| ${way.name} | ${bytes} | ${quantile(sorted, 0.5)} | ${quantile(sorted, 0.99)} | ${perSecond} |`);
    }
  }
} finally {
  rmSync(base, { recursive: true, force: true });
}
