/**
 * A database for the tests of the engine: that of `DATABASE_URL` where it is given, else a server of our own. Each case gets a
 * schema of its own, and drops it.
 */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { type PostgresServer, startPostgres } from "./server.harness.ts";

export interface TestDatabase {
  readonly schema: () => Promise<TestSchema>;
  readonly stop: () => Promise<void>;
}

export interface TestSchema {
  readonly connection: string;
  readonly schema: string;
  readonly drop: () => Promise<void>;
}

export function testDatabase(): TestDatabase {
  let server: Promise<PostgresServer> | undefined;
  let url: Promise<string> | undefined;
  const given = process.env["DATABASE_URL"];
  const connect = () => {
    if (given !== undefined) return Promise.resolve(given);
    server ??= startPostgres();
    url ??= server.then((it) => it.database());
    return url;
  };
  return {
    async schema() {
      const connection = await connect();
      const schema = `test_${randomBytes(6).toString("hex")}`;
      return {
        connection,
        schema,
        drop: () => runOn(connection, `DROP SCHEMA IF EXISTS ${schema} CASCADE`).then(() => {}),
      };
    },
    async stop() {
      await (await server)?.stop();
    },
  };
}

/** Runs statements on a connection of their own. */
export async function runOn(
  connection: string,
  ...texts: readonly string[]
): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: connection });
  await client.connect();
  try {
    let rows: readonly Record<string, unknown>[] = [];
    for (const text of texts) rows = (await client.query<Record<string, unknown>>(text)).rows;
    return rows;
  } finally {
    await client.end();
  }
}
