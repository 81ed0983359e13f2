/**
 * Whether the log's tables stay as large as what they hold: appends and trims for minutes, under the server's own autovacuum.
 *
 *   node --conditions=source bench/postgres-churn.ts [--seconds 240] [--naptime 60s]
 */
import { parseArgs } from "node:util";
import { migratePostgres, openPostgresLog } from "holdfast/postgres";
import pg from "pg";
import { startPostgres } from "../src/adapters/postgres/server.harness.ts";

const { values: options } = parseArgs({
  options: { seconds: { type: "string", default: "240" }, naptime: { type: "string", default: "60s" } },
});
const shards = Array.from({ length: 16 }, (_, shard) => shard);
/** Frames of each shard that stay. */
const kept = 400;
const server = await startPostgres([`autovacuum_naptime=${options.naptime}`]);
try {
  const connection = await server.database();
  await migratePostgres({ connection, shardCount: shards.length });
  const log = await openPostgresLog({ connection });
  const watcher = new pg.Client({ connectionString: connection });
  await watcher.connect();
  const sizeOf = async (table: string) => {
    const { rows } = await watcher.query<{ bytes: string }>("SELECT pg_total_relation_size($1) AS bytes", [table]);
    return Number(rows[0]?.bytes) / 2 ** 20;
  };
  const frames = (at: number) => shards.map((shard) => Buffer.alloc(200 + ((at * 7_919 + shard * 997) % 12_000), at));
  const writes = (at: number) => frames(at).map((frame, shard) => ({ shard, epoch: 1, at, count: 1, frame }));
  await log.claim(writes(1));
  const startMs = performance.now();
  let shownMs = 0;
  console.log("| s | MB appended | MB that stay | frames, MB | shards, MB |");
  console.log("|---|---|---|---|---|");
  let appended = 0;
  for (let at = 2; performance.now() - startMs < Number(options.seconds) * 1_000; at++) {
    await log.append(writes(at));
    for (const frame of frames(at)) appended += frame.length;
    if (at % 100 === 0 && at > kept) for (const shard of shards) await log.trim(shard, at - kept);
    const seconds = (performance.now() - startMs) / 1_000;
    if (seconds < shownMs) continue;
    shownMs += 20;
    const stay = (Math.min(at, kept + 100) * 16 * 6_200) / 2 ** 20;
    const sizes = [await sizeOf("holdfast.frames"), await sizeOf("holdfast.shards")].map((size) => size.toFixed(1));
    console.log(
      `| ${seconds.toFixed(0)} | ${(appended / 2 ** 20).toFixed(0)} | ${stay.toFixed(0)} | ${sizes.join(" | ")} |`,
    );
  }
  await watcher.end();
  await log.close();
} finally {
  await server.stop();
}
