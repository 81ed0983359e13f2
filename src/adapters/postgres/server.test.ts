/** The server that tests are run against is a real one, and what it committed survives a kill. */
import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { postgresSkipReason, startPostgres } from "./server.harness.ts";

test("a killed PostgreSQL has after its start what was committed before", {
  skip: postgresSkipReason() ?? false,
}, async () => {
  const server = await startPostgres();
  try {
    const connectionString = await server.database();
    const query = async (text: string) => {
      const client = new pg.Client({ connectionString });
      client.on("error", () => undefined);
      await client.connect();
      const { rows } = await client.query(text);
      await client.end();
      return rows;
    };
    await query("CREATE TABLE kept AS SELECT 7 AS value");
    await server.crash();
    await assert.rejects(query("SELECT 1"));
    await server.start();
    assert.deepEqual(await query("SELECT value FROM kept"), [{ value: 7 }]);
    assert.deepEqual(await query("SHOW fsync"), [{ fsync: "on" }]);
  } finally {
    await server.stop();
  }
});
