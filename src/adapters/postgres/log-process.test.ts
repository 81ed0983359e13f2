/**
 * Real processes: writers that are killed or paused in the midst of appends, a server that is killed under load. Nothing acknowledged
 * is lost, nothing is there twice, and a writer that comes back after another claimed writes nothing more.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { collect } from "../../ports/log.contract.kit.ts";
import { openPostgresLog } from "./log.ts";
import { frameFor } from "./log-writer.fixture.ts";
import { migratePostgres } from "./migrate.ts";
import { type PostgresServer, postgresSkipReason, startPostgres } from "./server.harness.ts";

/** The last one is killed, so that nobody who was paused is the newest. */
const rounds = 37;
const shardCount = 6;
const fixture = join(import.meta.dirname, "log-writer.fixture.ts");

interface Writer {
  readonly child: ChildProcess;
  readonly acknowledged: string[];
  /** Resolves when it has printed so many lines since now. */
  readonly more: (lines: number) => Promise<void>;
  /** With the exit code; null if it was killed. */
  readonly gone: Promise<number | null>;
}

function startWriter(url: string): Writer {
  const child = spawn(process.execPath, ["--conditions=source", fixture, url, String(shardCount)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const acknowledged: string[] = [];
  const listeners = new Set<() => void>();
  let lines = 0;
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const found = (rest + text).split("\n");
    rest = found.pop() ?? "";
    for (const line of found) if (line !== "fenced") acknowledged.push(...line.split(" ").filter(Boolean));
    lines += found.length;
    for (const listener of listeners) listener();
  });
  const gone = new Promise<number | null>((done) => child.once("close", done));
  return {
    child,
    acknowledged,
    gone,
    more: (count) =>
      new Promise((resolve, reject) => {
        const until = lines + count;
        const look = () => {
          if (lines < until) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        void gone.then((code) => reject(new Error(`the writer ended with ${code}`)));
        look();
      }),
  };
}

test(`after ${rounds} writers that were killed or paused, and servers that were killed, all that was acknowledged is there once`, {
  skip: postgresSkipReason() ?? false,
}, async () => {
  const server = await startPostgres();
  try {
    const url = await server.database();
    await migratePostgres({ connection: url, shardCount });
    const acknowledged: string[] = [];
    const paused: Writer[] = [];
    for (let round = 0; round < rounds; round++) {
      const writer = startWriter(url);
      await writer.more(3 + ((round * 5) % 11));
      if (round % 9 === 4) await crashUnder(server, writer);
      if (round % 3 === 2) {
        writer.child.kill("SIGSTOP");
        paused.push(writer);
        continue;
      }
      writer.child.kill("SIGKILL");
      assert.equal(await writer.gone, null);
      acknowledged.push(...writer.acknowledged);
    }
    for (const writer of paused) {
      const before = writer.acknowledged.length;
      writer.child.kill("SIGCONT");
      assert.equal(await writer.gone, 0, "it found that it was fenced, and ended");
      // What had been answered before the pause may be told now; of each shard at most one.
      assert.ok(writer.acknowledged.length <= before + 2 * shardCount);
      acknowledged.push(...writer.acknowledged);
    }
    await assertThere(url, acknowledged);
  } finally {
    await server.stop();
  }
});

/** The writer finds the server again, resolves what it had no answer to, and goes on. */
async function crashUnder(server: PostgresServer, writer: Writer): Promise<void> {
  await server.crash();
  await server.start();
  await writer.more(5);
}

async function assertThere(url: string, acknowledged: readonly string[]): Promise<void> {
  const log = await openPostgresLog({ connection: url });
  const shards = Array.from({ length: shardCount }, (_, shard) => shard);
  const found = await collect(log, Object.fromEntries(shards.map((shard) => [shard, 1])));
  const there = new Set(found.map(({ shard, at, epoch }) => `${shard}/${at}/${epoch}`));
  assert.equal(new Set(acknowledged).size, acknowledged.length, "nothing was acknowledged twice");
  for (const one of acknowledged) assert.ok(there.has(one), `${one} was acknowledged and is lost`);
  const next = new Map(shards.map((shard) => [shard, { at: 1, epoch: 0 }]));
  for (const { shard, at, epoch, bytes } of found) {
    const expected = next.get(shard);
    assert.equal(at, expected?.at);
    assert.ok(epoch >= (expected?.epoch ?? 0), "epochs never go back");
    assert.deepEqual(Buffer.from(bytes), Buffer.from(frameFor(shard, at, epoch)));
    next.set(shard, { at: at + 1, epoch });
  }
  assert.ok(acknowledged.length > 1_000, `${acknowledged.length} were acknowledged`);
  await log.close();
}
