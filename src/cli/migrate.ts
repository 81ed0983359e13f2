/**
 * `holdfast migrate`: makes the tables of a service in PostgreSQL, or brings them to this version.
 */
import type { Command } from "commander";
import { HoldfastError } from "../model/errors.ts";
import { print, printJson } from "./print.ts";
import { UsageError } from "./settings.ts";

interface MigrateVerbOptions {
  readonly databaseUrl?: string;
  readonly schema: string;
  readonly shards?: string;
  readonly grantTo?: string;
  readonly json?: boolean;
}

export function addMigrate(program: Command): void {
  program
    .command("migrate")
    .description("makes the tables of a service in PostgreSQL, or brings them to this version")
    .option("--database-url <url>", "postgres://…, of the owner of the schema; default: the variable DATABASE_URL")
    .option("--schema <name>", "of the service", "holdfast")
    .option("--shards <n>", "how many shards the log has; fixed when it is made; default 256")
    .option("--grant-to <role>", "the role that nodes use: gets the rights they need, and no others")
    .option("--json", "prints JSON for programs")
    .action(migrate);
}

async function migrate({ databaseUrl, schema, shards, grantTo, json }: MigrateVerbOptions): Promise<void> {
  const connection = databaseUrl ?? process.env["DATABASE_URL"];
  if (connection === undefined || connection === "")
    throw new UsageError("give --database-url <url>, or set the variable DATABASE_URL.");
  if (shards !== undefined && !/^\d{1,5}$/.test(shards)) throw new UsageError("--shards is a number, 1 to 65536.");
  const { migrateSchema } = await loadDriver();
  const done = await migrateSchema({
    connection,
    schema,
    ...(shards === undefined ? {} : { shardCount: Number(shards) }),
    ...(grantTo === undefined ? {} : { grantTo }),
  });
  if (json === true) return printJson(done);
  for (const step of done.steps) print(`done: ${step}`);
  print(`${schema} is at version ${done.version}, with ${done.shardCount} shards.`);
}

/** The driver is optional: loaded only where it is used. */
async function loadDriver() {
  try {
    return await import("../presets/migrate.ts");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const text = "The driver of PostgreSQL is not installed. Run `npm install pg`.";
    throw new HoldfastError("invalid-configuration", text, { cause: error });
  }
}
