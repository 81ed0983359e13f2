/**
 * The PostgreSQL log when the way to the server breaks, the server restarts, its settings are too weak, or it comes back with less.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertHolds, assertRejects, collect, fill, frameOf, write } from "../../ports/log.contract.kit.ts";
import type { Append } from "../../ports/log.ts";
import { runOn } from "./database.harness.ts";
import { openPostgresLog, type PostgresLog, type PostgresLogOptions } from "./log.ts";
import { migratePostgres } from "./migrate.ts";
import { type PostgresProxy, startProxy } from "./proxy.harness.ts";
import { type PostgresServer, postgresSkipReason, startPostgres } from "./server.harness.ts";

const skip = postgresSkipReason() ?? false;
const appends = { armed: "holdfast-append\0", fired: "holdfast-append\0" };

describe("a PostgreSQL that fails", { skip }, () => {
  let server: PostgresServer;
  let proxy: PostgresProxy;
  let url: string;
  before(async () => {
    server = await startPostgres();
    proxy = await startProxy(server.port, appends);
    proxy.onHang = () => undefined;
  });
  after(async () => {
    await proxy?.close();
    await server?.stop();
  });

  async function opened(options: Partial<PostgresLogOptions> = {}): Promise<PostgresLog> {
    url = await server.database();
    await migratePostgres({ connection: url, shardCount: 4 });
    return openPostgresLog({ connection: proxy.through(url), ...options });
  }

  for (const { fault, isThere } of [
    { fault: "lose-answer", isThere: true },
    { fault: "cut", isThere: false },
    { fault: "hang", isThere: false },
  ] as const) {
    test(`an append whose connection fails by "${fault}" is unknown, and reading resolves it`, async () => {
      const log = await opened({ statementMs: 1_000 });
      const frames = await fill(log, 0, 2);
      proxy.fault = fault;
      const next = write(0, 1, 4);
      assert.deepEqual(await log.append([next]), [{ ok: false, reason: "unknown" }]);
      const [position] = await log.tail([0]);
      assert.equal(position?.tail, isThere ? 5 : 4);
      if (!isThere) assert.deepEqual(await log.append([next]), [{ ok: true, tail: 5 }]);
      await assertHolds(log, [...frames, frameOf(next)]);
      await log.close();
    });
  }

  test("a server that was killed and started again is found again, with all it acknowledged", async () => {
    const log = await opened();
    const frames = await fill(log, 0, 20);
    await server.crash();
    const appended = log.append([write(0, 1, 22)]);
    await server.start();
    const [result] = await appended;
    // Its connection may have told of its end before the append was sent, or not.
    assert.ok(result?.ok === true || result?.reason === "unknown");
    if (!result.ok && (await log.tail([0]))[0]?.tail === 22) await log.append([write(0, 1, 22)]);
    await assertHolds(log, [...frames, frameOf(write(0, 1, 22))]);
    await log.close();
  });

  test("a backend that an operator ends costs no acknowledged frame", async () => {
    const log = await opened();
    const frames = await fill(log, 0, 3);
    await runOn(
      url,
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'holdfast'",
    );
    await assertHolds(log, frames);
    assert.deepEqual((await log.tail([0]))[0]?.tail, 5);
    await log.close();
  });

  test("without a server calls fail as unavailable when their patience ends", async () => {
    const log = await opened({ patienceMs: 300 });
    await fill(log, 0, 1);
    await server.crash();
    await assertRejects(() => log.tail([0]), "unavailable");
    await assertRejects(() => log.claim([write(0, 2, 3)]), "unavailable");
    await log.close();
    await assertRejects(() => openPostgresLog({ connection: url, patienceMs: 200 }), "unavailable");
    await server.start();
  });

  for (const setting of ["off", "local", "remote_write"]) {
    test(`synchronous_commit = ${setting} is refused`, async () => {
      url = await server.database();
      await migratePostgres({ connection: url, shardCount: 4 });
      await runOn(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET synchronous_commit = ${setting}`);
      await assertRejects(() => openPostgresLog({ connection: url }), "invalid-configuration");
    });
  }

  test("a database without the schema is refused with what to do", async () => {
    url = await server.database();
    await assert.rejects(openPostgresLog({ connection: url }), /Run `holdfast migrate` first/);
  });

  test("another number of shards than the log was made with is refused", async () => {
    const log = await opened();
    await log.close();
    await assertRejects(() => migratePostgres({ connection: url, shardCount: 5 }), "invalid-configuration");
  });

  test("migrations at once run once each", async () => {
    url = await server.database();
    const done = await Promise.all(
      Array.from({ length: 4 }, () => migratePostgres({ connection: url, shardCount: 4 })),
    );
    assert.deepEqual(
      done.map(({ steps }) => steps.length).sort((one, other) => one - other),
      [0, 0, 0, 2],
    );
  });

  test("the role of a node works with its rights, and can neither change a frame nor drop a table", async () => {
    url = await server.database();
    await runOn(url, "DROP ROLE IF EXISTS app", "CREATE ROLE app LOGIN");
    await migratePostgres({ connection: url, shardCount: 4, grantTo: "app" });
    const asApp = url.replace("holdfast@", "app@");
    const log = await openPostgresLog({ connection: asApp });
    await fill(log, 0, 5, { bytes: 3_000 });
    await log.trim(0, 4);
    assert.equal((await collect(log, { 0: 4 })).length, 3);
    await log.close();
    const forbidden = [
      "UPDATE holdfast.frames SET bytes = ''",
      "DROP TABLE holdfast.frames",
      "TRUNCATE holdfast.frames",
      "DELETE FROM holdfast.shards",
      "INSERT INTO holdfast.shards VALUES (9)",
      "UPDATE holdfast.log_info SET shard_count = 1",
      "CREATE TABLE holdfast.mine ()",
    ];
    for (const text of forbidden) await assert.rejects(runOn(asApp, text), /permission denied|must be owner/);
  });

  for (const { what, text } of [
    {
      what: "its newest frame",
      text: "DELETE FROM holdfast.frames WHERE at = 4; UPDATE holdfast.shards SET tail = 4 WHERE shard = 0",
    },
    {
      what: "its newest frame, and has another one",
      text: "UPDATE holdfast.frames SET checksum = checksum + 1 WHERE at = 4",
    },
    { what: "its epoch", text: "UPDATE holdfast.shards SET epoch = 0 WHERE shard = 0" },
    { what: "everything", text: "DELETE FROM holdfast.shards" },
    { what: "its identity", text: "UPDATE holdfast.log_info SET log_id = gen_random_uuid()" },
  ]) {
    test(`a server that comes back and lacks ${what} is damaged, and nothing more is written`, async () => {
      const log = await opened();
      await fill(log, 0, 3);
      await runOn(
        url,
        text,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'holdfast'",
      );
      await assertRejects(() => claimedUntilAnswered(log, [write(0, 9, 5), write(1, 1, 1)]), "log-damaged");
      await assertRejects(() => log.append([write(0, 1, 5)]), "log-damaged");
      await log.close();
      const rows = await runOn(url, "SELECT 1 FROM holdfast.frames WHERE at > 4 OR shard = 1");
      assert.deepEqual(rows, []);
    });
  }

  test("a frame whose bytes were changed in the table is damaged when it is read", async () => {
    const log = await opened();
    await fill(log, 0, 3);
    await runOn(url, "UPDATE holdfast.frames SET bytes = set_byte(bytes, 3, 255 - get_byte(bytes, 3)) WHERE at = 3");
    await assertRejects(() => collect(log, { 0: 1 }), "log-damaged");
    await log.close();
  });

  test("what another node trims under a read is an error, never a gap", async () => {
    const log = await opened();
    const other = await openPostgresLog({ connection: url });
    await fill(log, 0, 12, { bytes: 1_000_000 });
    const reading = (async () => {
      let frames = 0;
      for await (const batch of log.read(new Map([[0, 1]]))) {
        frames += batch.length;
        await other.trim(0, 12);
      }
      return frames;
    })();
    await assertRejects(() => reading, "log-damaged");
    await other.close();
    await log.close();
  });
});

/** The end of a connection may be noticed before a claim is sent, or by it. */
async function claimedUntilAnswered(log: PostgresLog, claims: readonly Append[]): Promise<void> {
  for (;;) {
    const results = await log.claim(claims);
    assert.ok(results.every((result) => !result.ok && result.reason === "unknown"));
  }
}
