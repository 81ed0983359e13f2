/** The PostgreSQL sink against a real PostgreSQL: the contract suite, the tables it makes, and what it refuses. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import pg from "pg";
import type { AbsoluteItem, FeedItem } from "../../model/feeds.ts";
import { batchOf, changeOf, identityOf, never, subscriber } from "../../ports/sink.contract.kit.ts";
import { testSink } from "../../ports/sink.contract.ts";
import type { Plain } from "../../std/plain.ts";
import { startProxy } from "./proxy.harness.ts";
import { type PostgresServer, postgresSkipReason, startPostgres } from "./server.harness.ts";
import { type PostgresSinkOptions, postgresSink, postgresTables } from "./sink.ts";

const skip = postgresSkipReason();
let started: Promise<PostgresServer> | undefined;
after(async () => (await started)?.stop());

function server(): Promise<PostgresServer> {
  started ??= startPostgres();
  return started;
}

type Row = Record<string, unknown>;

async function query(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Row[];
  } finally {
    await client.end();
  }
}

/** In the order in which the rows were written. */
async function rowsOf(url: string, name: string): Promise<Row[]> {
  const table = `holdfast."${name.replaceAll("-", "_")}"`;
  const [found] = await query(url, "SELECT to_regclass($1) AS name", [table]);
  return found?.["name"] === null ? [] : await query(url, `SELECT * FROM ${table} ORDER BY ctid`);
}

const jsonb = { "text with a character 0 arrives unchanged": "jsonb takes none; the suite runs with json too" };

describe("PostgreSQL", { skip: skip ?? false }, () => {
  for (const json of ["jsonb", "json"] as const) {
    testSink(
      `PostgreSQL 18, ${json}`,
      async () => {
        const { crash, start, database, port } = await server();
        const url = await database();
        const proxy = await startProxy(port);
        const connection = proxy.through(url);
        let isDown = false;
        return {
          make: () => postgresSink({ connection, form: "changes", json }),
          arrived: async (name) =>
            (await rowsOf(url, name)).map((row) => ({
              id: [row["shard"], row["log_offset"], row["event_index"]].join("-"),
              data: row["payload"] as Plain,
            })),
          loseAnswer() {
            proxy.fault = "lose-answer";
          },
          cut() {
            proxy.fault = "cut";
          },
          hang() {
            proxy.fault = "hang";
            return new Promise((done) => {
              proxy.onHang = done;
            });
          },
          async down() {
            isDown = true;
            await crash();
          },
          async up() {
            await start();
            isDown = false;
          },
          async dispose() {
            // A case that failed in between must not fail those after it.
            if (isDown) await start();
            await proxy.close();
          },
        };
      },
      {
        promise: "exactly once",
        whole: true,
        keepsCursor: true,
        generatedRuns: 10,
        skip: json === "jsonb" ? jsonb : {},
      },
    );
  }

  async function opened(url: string, options: Partial<PostgresSinkOptions> = {}, epoch = 1) {
    const form = options.write === undefined ? ({ form: "changes" } as const) : {};
    const sink = postgresSink({ connection: url, ...form, ...options });
    return { sink, cursor: await sink.open(identityOf(epoch)) };
  }

  test("a change is a row with everything that is known of it", async () => {
    const url = await (await server()).database();
    const { sink } = await opened(url);
    await sink.deliver(batchOf([changeOf(4, { chips: 5 })], "c0", "c1"), never);
    await sink.close();
    const [row] = await rowsOf(url, subscriber);
    assert.deepEqual(row, {
      shard: 1,
      log_offset: "1",
      event_index: 1,
      recorded_at: new Date(1_764_000_000_004),
      entity_type: "player",
      entity_key: "p-4",
      event: "won",
      event_version: 1,
      command: "credit",
      request_id: "0193610e-3a54-7000-8000-00000000002a",
      payload: { chips: 5 },
    });
  });

  const absolute = (key: string, offset: number, value: Plain): AbsoluteItem => ({
    kind: "absolute",
    shard: 0,
    offset,
    entity: { type: "table", key },
    value,
  });

  test("of absolutes the newest state of each entity is there, also of several in one batch", async () => {
    const url = await (await server()).database();
    const { sink } = await opened(url, { form: "absolutes" });
    await sink.deliver(batchOf([absolute("a", 1, 1), absolute("b", 2, null), absolute("a", 5, 5)], "c0", "c1"), never);
    await sink.deliver(batchOf([absolute("b", 7, { pot: 7 })], "c1", "c2"), never);
    // After a rewind: the same version counts, since the code of a view may have changed; an older one does not.
    await sink.rewind?.("c0");
    await sink.deliver(batchOf([absolute("a", 5, "other"), absolute("b", 2, "old")], "c0", "c1"), never);
    await sink.close();
    const rows = await query(url, "SELECT entity_key, version, state FROM holdfast.ledger ORDER BY 1");
    assert.deepEqual(rows, [
      { entity_key: "a", version: "5", state: "other" },
      { entity_key: "b", version: "7", state: { pot: 7 } },
    ]);
  });

  test("a sink is given items of its form only", async () => {
    const url = await (await server()).database();
    const { sink } = await opened(url);
    assert.deepEqual(sink.forms, ["changes"]);
    await assert.rejects(sink.deliver(batchOf([absolute("a", 1, 1)], "c0", "c1"), never), {
      code: "invalid-configuration",
    });
    await sink.close();
    assert.throws(() => postgresSink({ connection: url }), { code: "invalid-configuration" });
    assert.throws(() => postgresSink({ connection: url, form: "changes", table: 'a"; DROP' }), {
      code: "invalid-configuration",
    });
  });

  test("what an application writes itself is committed with the cursor, once", async () => {
    const { database, port } = await server();
    const url = await database();
    const proxy = await startProxy(port);
    await query(url, "CREATE TABLE wins (player text PRIMARY KEY, chips bigint NOT NULL)");
    const write: PostgresSinkOptions["write"] = async (run, items) => {
      for (const { entity } of items as FeedItem[])
        await run("INSERT INTO wins VALUES ($1, 1) ON CONFLICT (player) DO UPDATE SET chips = wins.chips + 1", [
          entity.key,
        ]);
    };
    const { sink, cursor } = await opened(proxy.through(url), { write });
    assert.equal(cursor, undefined);
    const batches = [0, 1, 2, 3].map((index) =>
      batchOf(
        Array.from({ length: 10 }, (_, item) => changeOf(index * 10 + item)),
        `c${index}`,
        `c${index + 1}`,
      ),
    );
    for (const [index, batch] of batches.entries()) {
      proxy.fault = index % 2 === 0 ? "lose-answer" : "cut";
      await assert.rejects(sink.deliver(batch, never), { code: "unavailable" });
      await sink.deliver(batch, never);
    }
    await sink.close();
    await proxy.close();
    assert.deepEqual(await query(url, "SELECT sum(chips)::int AS chips, count(*)::int AS players FROM wins"), [
      { chips: 40, players: 7 },
    ]);
    assert.equal(await opened(url, { write }, 2).then(async (one) => (await one.sink.close(), one.cursor)), "c4");
  });

  test("an application's write that waits for something else is given up, and leaves nothing", async () => {
    const url = await (await server()).database();
    await query(url, "CREATE TABLE written (number integer)");
    const waits = Promise.withResolvers<void>();
    const { sink } = await opened(url, {
      write: async (run) => {
        await run("INSERT INTO written VALUES (1)");
        waits.resolve();
        await new Promise(() => undefined);
      },
    });
    const controller = new AbortController();
    const ended = assert.rejects(sink.deliver(batchOf([changeOf(0)], "c0", "c1"), controller.signal), {
      code: "aborted",
    });
    await waits.promise;
    controller.abort();
    await ended;
    await sink.close();
    assert.deepEqual(await query(url, "SELECT * FROM written"), []);
  });

  test("commits wait for the disk although the database says that they need not", async () => {
    const url = await (await server()).database();
    const name = new URL(url).pathname.slice(1);
    await query(url, `ALTER DATABASE ${name} SET synchronous_commit = off`);
    let seen: unknown;
    const { sink } = await opened(url, {
      write: async (run) => {
        [seen] = (await run("SHOW synchronous_commit")) as Row[];
      },
    });
    await sink.deliver(batchOf([changeOf(1)], "c0", "c1"), never);
    assert.deepEqual(seen, { synchronous_commit: "on" });
    await query(url, `ALTER DATABASE ${name} SET synchronous_commit = remote_apply`);
    await sink.close();
    const again = await opened(url, {
      write: async (run) => {
        [seen] = (await run("SHOW synchronous_commit")) as Row[];
      },
    });
    await again.sink.deliver(batchOf([changeOf(2)], "c1", "c2"), never);
    assert.deepEqual(seen, { synchronous_commit: "remote_apply" }, "what is stricter stays");
    await again.sink.close();
  });

  test("a row that the table refuses rejects the batch, and nothing of it is there", async () => {
    const url = await (await server()).database();
    const { sink } = await opened(url);
    const items = [changeOf(0), changeOf(1, { text: "a\0b" })];
    await assert.rejects(sink.deliver(batchOf(items, "c0", "c1"), never), {
      code: "rejected",
      message: /22P05.*json does/,
    });
    await query(url, "ALTER TABLE holdfast.ledger ADD CHECK (entity_key <> 'p-2')");
    await assert.rejects(sink.deliver(batchOf([changeOf(2)], "c0", "c1"), never), (error: Error) => {
      assert.equal((error as { code?: string }).code, "rejected");
      assert.ok(!error.message.includes("chips 2"), "no values of rows in a message");
      return true;
    });
    assert.deepEqual(await rowsOf(url, subscriber), []);
    await sink.deliver(batchOf([changeOf(3)], "c0", "c1"), never);
    assert.equal((await rowsOf(url, subscriber)).length, 1);
    await sink.close();
  });

  test("a table that goes away is unavailable, and the batch arrives when it is back", async () => {
    const url = await (await server()).database();
    const { sink } = await opened(url);
    await query(url, "ALTER TABLE holdfast.ledger RENAME TO elsewhere");
    await assert.rejects(sink.deliver(batchOf([changeOf(0)], "c0", "c1"), never), { code: "unavailable" });
    await query(url, "ALTER TABLE holdfast.elsewhere RENAME TO ledger");
    await sink.deliver(batchOf([changeOf(0)], "c0", "c1"), never);
    assert.equal((await rowsOf(url, subscriber)).length, 1);
    await sink.close();
  });

  test("a database that was set back says so, and goes on from where it stands", async () => {
    const url = await (await server()).database();
    const first = await opened(url);
    await first.sink.deliver(batchOf([changeOf(0)], "c0", "c1"), never);
    await first.sink.deliver(batchOf([changeOf(1)], "c1", "c2"), never);
    await query(url, "UPDATE holdfast.feed_cursors SET cursor = 'c1'");
    await query(url, "DELETE FROM holdfast.ledger WHERE shard = 1");
    const next = batchOf([changeOf(2)], "c2", "c3");
    await assert.rejects(first.sink.deliver(next, never), { code: "unavailable", details: { reopen: true } });
    await first.sink.close();
    const again = await opened(url);
    assert.equal(again.cursor, "c1");
    await again.sink.deliver(batchOf([changeOf(1), changeOf(2)], "c1", "c3"), never);
    await again.sink.close();
    assert.equal((await rowsOf(url, subscriber)).length, 3);
  });

  test("a user without the right to make tables uses those that were made, and is told what is missing", async () => {
    const url = await (await server()).database();
    await query(url, "CREATE ROLE reader LOGIN").catch(() => undefined);
    const connection = url.replace("holdfast@", "reader@");
    await assert.rejects(opened(connection), { code: "invalid-configuration", message: /42501.*sinks\.md/ });
    await assert.rejects(opened(url, { createTables: false }), { code: "invalid-configuration", message: /42P01/ });
    await query(url, postgresTables({ table: "ledger", form: "changes" }));
    await query(url, "GRANT USAGE ON SCHEMA holdfast TO reader");
    await assert.rejects(opened(connection), { code: "invalid-configuration", message: /42501/ });
    await query(url, "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA holdfast TO reader");
    const { sink } = await opened(connection);
    await sink.deliver(batchOf([changeOf(0)], "c0", "c1"), never);
    await sink.close();
    assert.equal((await rowsOf(url, subscriber)).length, 1);
  });

  test("a setting that cannot work is refused when the sink is opened", async () => {
    const { database } = await server();
    const url = await database();
    const refused = { code: "invalid-configuration" };
    await assert.rejects(opened(url.replace("holdfast@", "nobody@")), refused);
    await assert.rejects(opened(url.replace(/test_\d+$/, "no_such_database")), refused);
    await query(url, "CREATE SCHEMA holdfast; CREATE TABLE holdfast.ledger (other integer)");
    await assert.rejects(opened(url), { ...refused, message: /42703/ });
    await query(url, "DROP TABLE holdfast.ledger");
    await query(url, postgresTables({ table: "ledger", form: "changes" }));
    await query(url, "ALTER TABLE holdfast.ledger SET UNLOGGED");
    await assert.rejects(opened(url), { ...refused, message: /UNLOGGED/ });
    await query(url, "ALTER TABLE holdfast.ledger SET LOGGED");
    await query(url, "ALTER TABLE holdfast.feed_cursors SET UNLOGGED");
    await assert.rejects(opened(url), { ...refused, message: /feed_cursors is UNLOGGED/ });
    await query(url, "ALTER TABLE holdfast.feed_cursors SET LOGGED");
    await (await opened(url)).sink.close();
    // Its cursor would skip what the new table has not seen.
    await assert.rejects(opened(url, { table: "another" }, 2), {
      ...refused,
      message: /writes to ledger, not to another/,
    });
    const other = postgresSink({ connection: url, form: "changes", table: "ledger" });
    await assert.rejects(other.open({ ...identityOf(1), service: "dice" }), { ...refused, message: /service chips's/ });
  });

  test("several sinks that open at once make the tables once", async () => {
    const url = await (await server()).database();
    const names = Array.from({ length: 8 }, (_, index) => `subscriber-${index}`);
    await Promise.all(
      names.map(async (name) => {
        const sink = postgresSink({ connection: url, form: "changes", table: "together" });
        await sink.open(identityOf(1, name));
        await sink.close();
      }),
    );
    const rows = await query(url, "SELECT DISTINCT relation FROM holdfast.feed_cursors");
    assert.deepEqual(rows, [{ relation: "together" }]);
  });

  test("the statements in docs/patterns/sinks.md are those that the sink runs", () => {
    const page = readFileSync(join(import.meta.dirname, "..", "..", "..", "docs", "patterns", "sinks.md"), "utf8");
    for (const form of ["changes", "absolutes"] as const) {
      const table = form === "changes" ? "ledger" : "tables";
      for (const statement of postgresTables({ table, form }).split(";\n")) {
        assert.ok(page.includes(statement.trim()), `docs/patterns/sinks.md lacks:\n${statement}`);
      }
    }
  });
});
