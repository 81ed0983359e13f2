/**
 * Makes and changes the schema: `holdfast migrate`.
 *
 * Invariants: one migration runs at a time, under a lock of the database; all its steps are one transaction, so a schema is of one
 * version or of the next. The number of shards is fixed by the first one.
 */
import pg from "pg";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import { shardCountDefault } from "../../model/ids.ts";
import { sqlStateOf } from "./failures.ts";
import { grantStatements, type Migration, migrationsIn } from "./schema.ts";
import { quotedName } from "./tables.ts";

export interface MigrateOptions {
  /** Of a role that may make tables: the owner of the schema. */
  readonly connection: string | pg.ClientConfig;
  /** Default `holdfast`. */
  readonly schema?: string;
  /** Default 256. Fixed when the schema is made. */
  readonly shardCount?: number;
  /** The role that nodes use, if it is another one: it gets the rights it needs, and no others. */
  readonly grantTo?: string;
}

export interface Migrated {
  readonly schema: string;
  readonly shardCount: number;
  /** What the schema is at now. */
  readonly version: number;
  /** Titles of the steps that were run. */
  readonly steps: readonly string[];
}

/** Key of the lock: any number that others are unlikely to take. */
const lockKey = 4_846_791_558;

/**
 * @throws `invalid-configuration` a name that is none, another number of shards, missing rights, a schema of a newer version
 * @throws `unavailable` the server does not answer
 */
export async function migratePostgres(options: MigrateOptions): Promise<Migrated> {
  const { connection, schema = "holdfast", shardCount = shardCountDefault } = options;
  if (!Number.isSafeInteger(shardCount) || shardCount < 1 || shardCount > 65_536)
    throw new HoldfastError("invalid-configuration", `A log has 1 to 65,536 shards, not ${shardCount}.`);
  const migrations = migrationsIn(schema);
  const grants = options.grantTo === undefined ? [] : grantStatements(schema, options.grantTo);
  const client = new pg.Client(typeof connection === "string" ? { connectionString: connection } : connection);
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query("BEGIN");
    const steps = await migrate(client, schema, migrations, shardCount);
    for (const grant of grants) await client.query(grant);
    await client.query("COMMIT");
    return { schema, shardCount: await shardsOf(client, schema), version: migrations.length, steps };
  } catch (error) {
    throw failure(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function migrate(
  client: pg.Client,
  schema: string,
  migrations: readonly Migration[],
  shardCount: number,
): Promise<string[]> {
  const place = quotedName("schema", schema);
  await client.query("SELECT pg_advisory_xact_lock($1)", [lockKey]);
  const { rows: found } = await client.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]);
  // Not "if not exists": that needs the right to make schemas even where there is one.
  if (found.length === 0) await client.query(`CREATE SCHEMA ${place}`);
  await client.query(`CREATE TABLE IF NOT EXISTS ${place}.migrations (
  version    integer     PRIMARY KEY,
  title      text        NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
)`);
  const { rows } = await client.query<{ version: number }>(`SELECT max(version) AS version FROM ${place}.migrations`);
  const from = rows[0]?.version ?? 0;
  if (from > migrations.length)
    throw new HoldfastError(
      "invalid-configuration",
      `The schema is of version ${from}; this code knows ${migrations.length}. Use the newer code.`,
    );
  const due = migrations.filter(({ version }) => version > from);
  for (const { version, title, statements } of due) {
    for (const text of statements) await client.query(text.replaceAll("$shards", String(shardCount)));
    await client.query(`INSERT INTO ${place}.migrations (version, title) VALUES ($1, $2)`, [version, title]);
  }
  const made = await shardsOf(client, schema);
  if (made !== shardCount)
    throw new HoldfastError(
      "invalid-configuration",
      `The log was made with ${made} shards, which cannot be changed to ${shardCount}.`,
    );
  return due.map(({ title }) => title);
}

async function shardsOf(client: pg.Client, schema: string): Promise<number> {
  const { rows } = await client.query<{ shard_count: number }>(
    `SELECT shard_count FROM ${quotedName("schema", schema)}.log_info`,
  );
  return rows[0]?.shard_count ?? 0;
}

function failure(error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  const state = sqlStateOf(error);
  const text = error instanceof Error ? error.message || String((error as { code?: unknown }).code) : String(error);
  if (state === undefined || /^(08|57)/.test(state))
    return new HoldfastError("unavailable", `PostgreSQL does not answer (${text}).`, { cause: error });
  return new HoldfastError(
    "invalid-configuration",
    `PostgreSQL refused the migration (${state}: ${text}). Run it as the owner of the schema, or as a role that may make one.`,
    { cause: error, details: { sqlState: state } },
  );
}
