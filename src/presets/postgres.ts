/**
 * `holdfast/postgres`: a whole service in one process whose log is in PostgreSQL (docs/patterns/postgres.md), its parts, and the sink. Needs
 * the package `pg` beside `holdfast`.
 *
 * Invariant: what `embedded` promises, it promises; only the log stands elsewhere.
 */
import { openPostgresLog, type PostgresLogOptions } from "../adapters/postgres/log.ts";

export { openPostgresCoordination, type PostgresCoordinationOptions } from "../adapters/postgres/coordination.ts";
export { openPostgresLog, type PostgresLog, type PostgresLogOptions } from "../adapters/postgres/log.ts";
export { type Migrated, type MigrateOptions, migratePostgres } from "../adapters/postgres/migrate.ts";
export {
  type PostgresQuery,
  type PostgresSinkOptions,
  postgresSink,
  postgresTables,
} from "../adapters/postgres/sink.ts";
export type { PostgresForm, PostgresJson } from "../adapters/postgres/tables.ts";

import { type EmbeddedService, type ServeOptions, serveOver } from "./embedded.ts";

export interface PostgresServiceOptions extends ServeOptions {
  /** The database; its schema is made by `holdfast migrate`, or by `migratePostgres`. */
  readonly postgres: PostgresLogOptions;
}

export type PostgresService = EmbeddedService;

/**
 * Opens the log, opens the door (health endpoints answer from now on), recovers, serves. `directory` holds the state store, which
 * may be lost, the keys of personal data, which may not, and snapshots and archive unless they are given.
 * @throws as `embedded`; `invalid-configuration` the server does not sync what it commits, or the schema is not there; `unavailable`
 */
export async function startPostgres(options: PostgresServiceOptions): Promise<PostgresService> {
  return serveOver(() => openPostgresLog(options.postgres), options);
}
