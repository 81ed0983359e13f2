/**
 * The PostgreSQL log and standbys of the server: failover to one that has everything goes on; one that lagged is found out; a commit
 * that did not wait for its standby is no answer.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHolds, assertRejects, fill, frameOf, write } from "../../ports/log.contract.kit.ts";
import { runOn } from "./database.harness.ts";
import { openPostgresLog } from "./log.ts";
import { migratePostgres } from "./migrate.ts";
import { type PostgresServer, type PostgresStandby, postgresSkipReason, startPostgres } from "./server.harness.ts";

const standbys = "SELECT state FROM pg_stat_replication WHERE state = 'streaming'";

describe("a standby of the server", { skip: postgresSkipReason() ?? false }, () => {
  let server: PostgresServer;
  let url: string;
  let standby: PostgresStandby;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.stop());

  async function opened() {
    url = await server.database();
    await migratePostgres({ connection: url, shardCount: 2 });
    standby = await server.standby();
    while ((await runOn(url, standbys)).length === 0) await new Promise((done) => setTimeout(done, 20));
    const { hostname: host, port, username: user, pathname } = new URL(url);
    // The list of hosts that a driver or a proxy would go through; `pg` takes one, so the test changes it.
    const connection = { host, port: Number(port), user, database: pathname.slice(1) };
    return { connection, log: await openPostgresLog({ connection, patienceMs: 20_000 }) };
  }

  const replayed = (target: string) => `SELECT pg_last_wal_replay_lsn() >= '${target}'::pg_lsn AS done`;
  async function caughtUp() {
    const [row] = await runOn(url, "SELECT pg_current_wal_flush_lsn()::text AS lsn");
    while ((await runOn(standby.url(url), replayed(String(row?.["lsn"]))))[0]?.["done"] !== true)
      await new Promise((done) => setTimeout(done, 20));
  }

  test("that has everything is gone on with after its promotion", async () => {
    const { connection, log } = await opened();
    const frames = await fill(log, 0, 5);
    await caughtUp();
    await server.crash();
    connection.port = standby.port;
    // It takes no writes yet: the log waits for it.
    const claimed = log.claim([write(0, 2, 7)]);
    await standby.promote();
    const [result] = await claimed;
    assert.deepEqual(result, { ok: true, tail: 8 });
    await assertHolds(log, [...frames, frameOf(write(0, 2, 7))]);
    await log.close();
    await standby.stop();
    await server.start();
  });

  test("that lagged is found out when it is promoted, and nothing is written to it", async () => {
    const { connection, log } = await opened();
    await fill(log, 0, 3);
    await caughtUp();
    // It is gone while one more frame is acknowledged.
    await standby.stop();
    await log.append([write(0, 1, 5)]);
    await server.crash();
    await standby.start();
    await standby.promote();
    connection.port = standby.port;
    await assertRejects(async () => {
      for (;;) await log.claim([write(0, 9, 5)]);
    }, "log-damaged");
    const rows = await runOn(
      standby.url(url),
      "SELECT tail::integer, epoch::integer FROM holdfast.shards WHERE shard = 0",
    );
    assert.deepEqual(rows, [{ tail: 5, epoch: 1 }]);
    await log.close();
    await standby.stop();
    await server.start();
  });

  test("that is waited for and gone makes an append whose wait is cancelled unknown, not acknowledged", async () => {
    const { log } = await opened();
    await fill(log, 0, 1);
    await runOn(url, "ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()");
    while ((await runOn(url, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")).length === 0)
      await new Promise((done) => setTimeout(done, 20));
    assert.deepEqual(await log.append([write(0, 1, 3)]), [{ ok: true, tail: 4 }]);
    await standby.stop();
    const appended = log.append([write(0, 1, 4)]);
    const waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    while ((await runOn(url, waiting)).length === 0) await new Promise((done) => setTimeout(done, 20));
    await runOn(url, `SELECT pg_cancel_backend(pid) FROM (${waiting}) AS waiting`);
    assert.deepEqual(await appended, [{ ok: false, reason: "unknown" }]);
    // Whoever resolves it reads behind a commit that waits for the standby as well.
    let told: unknown;
    const resolved = log.append([write(0, 1, 4)]).then((results) => {
      told = results;
    });
    while ((await runOn(url, waiting)).length === 0) await new Promise((done) => setTimeout(done, 20));
    assert.equal(told, undefined);
    await standby.start();
    await resolved;
    assert.deepEqual(told, [{ ok: false, reason: "fenced" }]);
    assert.equal((await log.tail([0]))[0]?.tail, 5);
    await log.close();
    await standby.stop();
  });
});
