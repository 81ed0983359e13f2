/**
 * The tables of the PostgreSQL sink, and its statements.
 *
 * Invariant: an item is one row, found by what names it for ever: of changes shard, offset and index, of absolutes the
 * entity. A row that is written again is replaced, never doubled. Statements hold no value: names of tables are checked,
 * everything else is a parameter.
 */

import { HoldfastError } from "../../model/errors.ts";
import type { AbsoluteItem, ChangeItem, FeedForm, FeedItem } from "../../model/feeds.ts";

/** What a row is: one event, or one entity's newest state. */
export type PostgresForm = Exclude<FeedForm, "deltas">;

/** Type of the column that holds payloads and states. */
export type PostgresJson = "json" | "jsonb";

const identifierPattern = /^[a-z_][a-z0-9_]{0,62}$/;

/** A name as it stands in statements. @throws `invalid-configuration` */
export function quotedName(what: string, name: string): string {
  if (identifierPattern.test(name)) return `"${name}"`;
  const text = `The ${what} ${JSON.stringify(name)} is not 1 to 63 of a-z 0-9 _ without a digit first. Name another one.`;
  throw new HoldfastError("invalid-configuration", text, { details: { [what]: name } });
}

/** The statements that make what the sink needs. Each may run again. @throws `invalid-configuration` */
export function tableStatements({ schema, table, form, json = "jsonb" }: TableNames): string[] {
  const place = quotedName("schema", schema);
  const statements = [`CREATE SCHEMA IF NOT EXISTS ${place}`, cursorsStatement(place)];
  if (table === undefined || form === undefined) return statements;
  const name = `${place}.${quotedName("table", table)}`;
  return [...statements, form === "changes" ? changesStatement(name, json) : statesStatement(name, json)];
}

export interface TableNames {
  readonly schema: string;
  /** Absent: the application writes what it wants to. */
  readonly table?: string | undefined;
  readonly form?: PostgresForm | undefined;
  readonly json?: PostgresJson;
}

/** Of all sinks that write to one schema. */
export const cursorsTable = "feed_cursors";

function cursorsStatement(place: string): string {
  return `CREATE TABLE IF NOT EXISTS ${place}.${cursorsTable} (
  service     text        NOT NULL,
  subscriber  text        NOT NULL,
  epoch       bigint      NOT NULL,
  cursor      text,
  relation    text,
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (service, subscriber)
)`;
}

function changesStatement(name: string, json: PostgresJson): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (
  shard         integer     NOT NULL,
  log_offset    bigint      NOT NULL,
  event_index   integer     NOT NULL,
  recorded_at   timestamptz NOT NULL,
  entity_type   text        NOT NULL,
  entity_key    text        NOT NULL,
  event         text        NOT NULL,
  event_version integer     NOT NULL,
  command       text        NOT NULL,
  request_id    text,
  payload       ${json.padEnd(11)} NOT NULL,
  PRIMARY KEY (shard, log_offset, event_index)
)`;
}

function statesStatement(name: string, json: PostgresJson): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (
  entity_type   text        NOT NULL,
  entity_key    text        NOT NULL,
  shard         integer     NOT NULL,
  version       bigint      NOT NULL,
  state         ${json.padEnd(11)} NOT NULL,
  updated_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (entity_type, entity_key)
)`;
}

/** One statement that writes any number of rows: an array for each column. */
export interface RowsStatement {
  /** Prepared under this name. */
  readonly name: string;
  readonly text: string;
  readonly values: (items: readonly FeedItem[]) => unknown[][];
}

export function rowsStatement(name: string, form: PostgresForm, json: PostgresJson): RowsStatement {
  return form === "changes" ? changeRows(name, json) : stateRows(name, json);
}

function changeRows(name: string, json: PostgresJson): RowsStatement {
  // What comes again after a rewind is what the log says now: it counts.
  const text = `INSERT INTO ${name} AS kept (shard, log_offset, event_index, recorded_at, entity_type, entity_key, event,
    event_version, command, request_id, payload)
  SELECT shard, log_offset, event_index, to_timestamp(at_ms / 1000), entity_type, entity_key, event, event_version, command,
    request_id, payload::${json}
  FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::double precision[], $5::text[], $6::text[], $7::text[],
    $8::integer[], $9::text[], $10::text[], $11::text[]) AS given (shard, log_offset, event_index, at_ms, entity_type,
    entity_key, event, event_version, command, request_id, payload)
  ON CONFLICT (shard, log_offset, event_index) DO UPDATE SET recorded_at = excluded.recorded_at,
    entity_type = excluded.entity_type, entity_key = excluded.entity_key, event = excluded.event,
    event_version = excluded.event_version, command = excluded.command, request_id = excluded.request_id,
    payload = excluded.payload
  WHERE (kept.recorded_at, kept.entity_type, kept.entity_key, kept.event, kept.event_version, kept.command, kept.request_id,
    kept.payload::text) IS DISTINCT FROM (excluded.recorded_at, excluded.entity_type, excluded.entity_key, excluded.event,
    excluded.event_version, excluded.command, excluded.request_id, excluded.payload::text)`;
  return { name: "holdfast-changes", text, values: (items) => changeColumns(items as readonly ChangeItem[]) };
}

function changeColumns(items: readonly ChangeItem[]): unknown[][] {
  return [
    items.map(({ shard }) => shard),
    items.map(({ offset }) => offset),
    items.map(({ index }) => index),
    items.map(({ timeMs }) => timeMs),
    items.map(({ entity }) => entity.type),
    items.map(({ entity }) => entity.key),
    items.map(({ event }) => event),
    items.map(({ eventVersion }) => eventVersion),
    items.map(({ command }) => command),
    items.map(({ requestId }) => requestId ?? null),
    items.map(({ payload }) => JSON.stringify(payload)),
  ];
}

function stateRows(name: string, json: PostgresJson): RowsStatement {
  // The same version again may hold another value: a view whose code has changed since.
  const text = `INSERT INTO ${name} AS kept (entity_type, entity_key, shard, version, state, updated_at)
  SELECT entity_type, entity_key, shard, version, state::${json}, now()
  FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::text[])
    AS given (entity_type, entity_key, shard, version, state)
  ON CONFLICT (entity_type, entity_key) DO UPDATE
  SET shard = excluded.shard, version = excluded.version, state = excluded.state, updated_at = now()
  WHERE kept.version <= excluded.version`;
  return { name: "holdfast-states", text, values: (items) => stateColumns(items as readonly AbsoluteItem[]) };
}

function stateColumns(given: readonly AbsoluteItem[]): unknown[][] {
  // One statement may touch a row once only.
  const newest = new Map<string, AbsoluteItem>();
  for (const item of given) {
    const name = `${item.entity.type}/${item.entity.key}`;
    const known = newest.get(name);
    if (known === undefined || known.offset <= item.offset) newest.set(name, item);
  }
  const items = [...newest.values()];
  return [
    items.map(({ entity }) => entity.type),
    items.map(({ entity }) => entity.key),
    items.map(({ shard }) => shard),
    items.map(({ offset }) => offset),
    items.map(({ value }) => JSON.stringify(value)),
  ];
}
