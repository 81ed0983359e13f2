/**
 * Makes the tables of a service whose log is in a database: what `holdfast migrate` runs. Apart from the preset, so that the command line
 * loads a driver only where it is used.
 */
export { type Migrated, type MigrateOptions, migratePostgres as migrateSchema } from "../adapters/postgres/migrate.ts";
