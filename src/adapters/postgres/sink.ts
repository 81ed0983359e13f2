/**
 * The PostgreSQL sink: rows and cursor in one transaction.
 *
 * Invariants: a batch's rows and its cursor are committed together, so that each item is in the table exactly once, whatever dies
 * when. Every transaction first locks the subscriber's row of cursors and looks whether it is still this running's: of two
 * runnings one writes. A batch is answered for when the server has it on disk, whatever the database's own setting is.
 *
 * A commit without an answer is no riddle: the row of cursors tells at the next attempt.
 */
import pg from "pg";
import { HoldfastError } from "../../model/errors.ts";
import { type FeedForm, type FeedItem, feedForms } from "../../model/feeds.ts";
import type { Sink, SinkBatch, SinkIdentity } from "../../ports/sink.ts";
import { systemClock } from "../system/clock.ts";
import { batchFailure, openFailure } from "./failures.ts";
import {
  cursorsTable,
  type PostgresForm,
  type PostgresJson,
  quotedName,
  type RowsStatement,
  rowsStatement,
  tableStatements,
} from "./tables.ts";

/** Runs one statement inside the batch's transaction; gives its rows. */
export type PostgresQuery = (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;

/** Of what `pg` takes the usual part; whatever else is in the object goes to it too. */
export interface PostgresConnection {
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  readonly user?: string;
  /** A function is asked at each connection, for tokens that expire. */
  readonly password?: string | (() => string | Promise<string>);
  /** True: with the system's certificates; or options of `node:tls`. */
  readonly ssl?: boolean | object;
}

export interface PostgresSinkOptions {
  /** A URL (`postgres://…`), or its parts. */
  readonly connection: string | PostgresConnection;
  /** `changes`: a row for each event. `absolutes`: a row for each entity, replaced by a newer one. */
  readonly form?: PostgresForm;
  /** Default `holdfast`. */
  readonly schema?: string;
  /** Default: the subscriber's name, with `_` for what no identifier has. */
  readonly table?: string;
  /** What is missing is made when the sink is opened. Default true. Without the right to: `postgresTables` gives the statements. */
  readonly createTables?: boolean;
  /** Of the column that holds payloads. `json` takes a character 0 in texts, `jsonb` can be searched. Default `jsonb`. */
  readonly json?: PostgresJson;
  /** Instead of `form` and its table: writes what it likes, in the same transaction as the cursor, so exactly once. */
  readonly write?: (query: PostgresQuery, items: readonly FeedItem[], identity: SinkIdentity) => Promise<void>;
  /** Until connected. Default 10,000. */
  readonly connectMs?: number;
  /** One statement; a batch takes five. Default 30,000. */
  readonly statementMs?: number;
}

/** The statements that make the tables of a sink: for who does not let services make their own. */
export function postgresTables(options: {
  schema?: string;
  table: string;
  form: PostgresForm;
  json?: PostgresJson;
}): string {
  return tableStatements({ schema: schemaDefault, ...options })
    .map((statement) => `${statement};\n`)
    .join("\n");
}

/**
 * Connects when it is opened. Needs the package `pg` beside `holdfast`.
 * @throws `invalid-configuration` neither `form` nor `write`, or both; names that are none
 */
export function postgresSink(options: PostgresSinkOptions): Sink {
  return new PostgresSink(options);
}

const schemaDefault = "holdfast";
const connectMsDefault = 10_000;
const statementMsDefault = 30_000;
/** A connection that does not say goodbye in this time is cut. */
const closeMs = 2_000;
/** Key of the lock under which tables are made: any number that others are unlikely to take. */
const tablesLock = 4_846_791_557;

class PostgresSink implements Sink {
  readonly forms: readonly FeedForm[];
  readonly #options: PostgresSinkOptions;
  readonly #cursors: string;
  readonly #begin: string;
  readonly #statementMs: number;
  #client: pg.Client | undefined;
  #identity: SinkIdentity | undefined;
  #rows: RowsStatement | undefined;
  /** Where the row of cursors stands as this sink knows it; after a commit without an answer it may be one batch further. */
  #cursor: string | null = null;
  #isClosed = false;

  constructor(options: PostgresSinkOptions) {
    if ((options.form === undefined) === (options.write === undefined))
      throw new HoldfastError("invalid-configuration", "Give a PostgreSQL sink either `form` or `write`.");
    this.#options = options;
    this.forms = options.form === undefined ? feedForms : [options.form];
    const schema = quotedName("schema", options.schema ?? schemaDefault);
    if (options.table !== undefined) quotedName("table", options.table);
    this.#cursors = `${schema}.${cursorsTable}`;
    this.#statementMs = options.statementMs ?? statementMsDefault;
    this.#begin = beginText(this.#statementMs);
  }

  async open(identity: SinkIdentity): Promise<string | undefined> {
    this.#identity = identity;
    const table = this.#options.write === undefined ? (this.#options.table ?? tableFor(identity)) : undefined;
    const { form, json = "jsonb", schema = schemaDefault } = this.#options;
    if (table !== undefined && form !== undefined)
      this.#rows = rowsStatement(`${quotedName("schema", schema)}.${quotedName("table", table)}`, form, json);
    try {
      const client = await this.#connected();
      await this.#prepareTables(client, table);
      this.#cursor = await this.#claim(client, table ?? null);
      return this.#cursor ?? undefined;
    } catch (error) {
      this.#drop();
      if (this.#isClosed) throw closed();
      const remedy = `Check the connection's settings and rights; the statements that make the tables are in docs/patterns/sinks.md.`;
      throw openFailure(error, remedy);
    }
  }

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw aborted();
    const given = Promise.withResolvers<never>();
    const giveUp = () => {
      this.#drop();
      given.reject(aborted());
    };
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      const written = this.#inTransaction(batch.cursor, (client) => this.#write(client, batch.items));
      // The application's `write` may wait for something else than the connection that is cut.
      await Promise.race([written, given.promise]);
    } catch (error) {
      this.#drop();
      if (signal.aborted) throw aborted();
      if (this.#isClosed) throw closed();
      throw batchFailure(error);
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  async rewind(cursor: string): Promise<void> {
    try {
      await this.#inTransaction(cursor, async () => undefined);
    } catch (error) {
      this.#drop();
      throw this.#isClosed ? closed() : batchFailure(error);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client;
    this.#client = undefined;
    if (client === undefined) return;
    await new Promise<void>((done) => {
      const cancel = systemClock.after(closeMs, () => {
        streamOf(client).destroy();
        done();
      });
      client
        .end()
        .catch(() => undefined)
        .finally(() => {
          cancel();
          done();
        });
    });
  }

  /** Commits what `write` does together with the new cursor, unless an earlier attempt has. */
  async #inTransaction(cursor: string, write: (client: pg.Client) => Promise<void>): Promise<void> {
    const identity = this.#known();
    const client = await this.#connected();
    await client.query(this.#begin);
    const isThere = await this.#lockCursor(client, identity, cursor);
    if (!isThere) {
      await write(client);
      await client.query({
        name: "holdfast-cursor",
        text: `UPDATE ${this.#cursors} SET cursor = $3, updated_at = now() WHERE service = $1 AND subscriber = $2`,
        values: [identity.service, identity.subscriber, cursor],
      });
    }
    await commit(client);
    this.#cursor = cursor;
  }

  /** @returns whether the row stands at `cursor` already: an earlier attempt was committed, and its answer was lost */
  async #lockCursor(client: pg.Client, { service, subscriber, epoch }: SinkIdentity, cursor: string): Promise<boolean> {
    const { rows } = await client.query<{ epoch: string; cursor: string | null }>({
      name: "holdfast-lock",
      text: `SELECT epoch, cursor FROM ${this.#cursors} WHERE service = $1 AND subscriber = $2 FOR UPDATE`,
      values: [service, subscriber],
    });
    const [row] = rows;
    if (row !== undefined && Number(row.epoch) > epoch) throw fenced(subscriber);
    if (row === undefined || Number(row.epoch) < epoch) throw moved(subscriber);
    if (row.cursor === cursor) return true;
    if (row.cursor !== this.#cursor) throw moved(subscriber);
    return false;
  }

  async #write(client: pg.Client, items: readonly FeedItem[]): Promise<void> {
    if (items.length === 0) return;
    const { write, form } = this.#options;
    if (write !== undefined) {
      const query: PostgresQuery = async (text, values = []) => (await client.query(text, [...values])).rows;
      await write(query, items, this.#known());
      return;
    }
    const kind = form === "changes" ? "change" : "absolute";
    const other = items.find((item) => item.kind !== kind);
    if (other !== undefined) {
      const text = `The PostgreSQL sink of the form ${form} was given a ${other.kind}. Make the subscriber one of ${form}.`;
      throw new HoldfastError("invalid-configuration", text);
    }
    const rows = this.#rows as RowsStatement;
    await client.query({ name: rows.name, text: rows.text, values: rows.values(items) });
  }

  /** Makes what is missing, if it may, and tries every statement on no rows: a wrong column is found before the first batch. */
  async #prepareTables(client: pg.Client, table: string | undefined): Promise<void> {
    const { schema = schemaDefault, form, json = "jsonb", createTables = true } = this.#options;
    await client.query(this.#begin);
    if (createTables) {
      await client.query("SELECT pg_advisory_xact_lock($1)", [tablesLock]);
      const wanted = [this.#cursors, ...(table === undefined ? [] : [`"${schema}"."${table}"`])];
      const { rows } = await client.query<{ missing: boolean }>(
        "SELECT bool_or(to_regclass(name) IS NULL) AS missing FROM unnest($1::text[]) AS name",
        [wanted],
      );
      if (rows[0]?.missing === true)
        for (const statement of tableStatements({ schema, table, form, json })) await client.query(statement);
    }
    await checkPermanent(client, this.#cursors);
    if (this.#rows !== undefined && table !== undefined) {
      await client.query(this.#rows.text, this.#rows.values([]));
      await checkPermanent(client, `"${schema}"."${table}"`);
    }
    await commit(client);
  }

  /** Takes the row of cursors for this running. @throws `fenced` */
  async #claim(client: pg.Client, relation: string | null): Promise<string | null> {
    const { service, subscriber, epoch } = this.#known();
    await client.query(this.#begin);
    await client.query("SELECT pg_advisory_xact_lock($1)", [tablesLock]);
    const others = await client.query<{ service: string }>(
      `SELECT service FROM ${this.#cursors} WHERE relation = $1 AND service <> $2 LIMIT 1`,
      [relation, service],
    );
    const [other] = others.rows;
    if (other !== undefined)
      throw misused(`The table ${relation} is the service ${other.service}'s. Name another one.`);
    const { rows } = await client.query<{ cursor: string | null; relation: string | null }>(
      `INSERT INTO ${this.#cursors} AS kept (service, subscriber, epoch, relation) VALUES ($1, $2, $3, $4)
       ON CONFLICT (service, subscriber) DO UPDATE SET epoch = excluded.epoch WHERE kept.epoch <= excluded.epoch
       RETURNING cursor, relation`,
      [service, subscriber, epoch, relation],
    );
    const [row] = rows;
    if (row === undefined) throw fenced(subscriber);
    // Its cursor says what is in the old table; the new one would begin in the middle.
    if (row.relation !== relation)
      throw misused(
        `The subscriber ${subscriber} writes to ${row.relation ?? "no table of its own"}, not to ${relation ?? "none"}. ` +
          "Make a new subscriber for another table.",
      );
    await commit(client);
    return row.cursor;
  }

  async #connected(): Promise<pg.Client> {
    if (this.#isClosed) throw closed();
    if (this.#client !== undefined) return this.#client;
    const { connection, connectMs = connectMsDefault } = this.#options;
    const client = new pg.Client({
      application_name: "holdfast",
      keepAlive: true,
      ...(typeof connection === "string" ? { connectionString: connection } : connection),
      connectionTimeoutMillis: connectMs,
      // The server gives up first; this one is for a server, or a way to it, that is silent.
      query_timeout: this.#statementMs + connectMs,
    });
    // An idle connection that ends is found at the next statement.
    client.on("error", () => {
      if (this.#client === client) this.#drop();
    });
    this.#client = client;
    await client.connect();
    return client;
  }

  /** Cuts the connection: whatever runs on it fails, and the server rolls it back unless it is being committed. */
  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) streamOf(client).destroy();
  }

  #known(): SinkIdentity {
    if (this.#identity === undefined) throw new HoldfastError("internal", "Broken invariant: a sink is opened first");
    return this.#identity;
  }
}

/**
 * In the transaction and not in the session: a pooler between us and the server gives each transaction another one. `remote_apply`
 * is stricter than `on` and stays.
 */
function beginText(statementMs: number): string {
  return `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL statement_timeout = ${Math.floor(statementMs)};
SET LOCAL lock_timeout = ${Math.floor(statementMs)};
SET LOCAL idle_in_transaction_session_timeout = ${Math.floor(statementMs)};
SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')`;
}

/**
 * Without a limit of the server's: one that runs out while the commit waits for a standby would have it answered as done. The wait is
 * ended by the connection's own limit, as a commit without an answer.
 */
async function commit(client: pg.Client): Promise<void> {
  const results = await client.query("SET LOCAL statement_timeout = 0; COMMIT");
  const command = (results as unknown as readonly pg.QueryResult[]).at(-1)?.command;
  // A transaction that failed ends with ROLLBACK and no error.
  if (command !== "COMMIT") throw new HoldfastError("unavailable", `PostgreSQL answered COMMIT with ${command}.`);
}

/** @throws `invalid-configuration` a crash of the server would empty the table, and not the other one */
async function checkPermanent(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query<{ kind: string }>(
    "SELECT relpersistence AS kind FROM pg_class WHERE oid = to_regclass($1)",
    [name],
  );
  if (rows[0]?.kind === "u") throw misused(`The table ${name} is UNLOGGED: a crash of the server empties it.`);
}

function tableFor({ subscriber }: SinkIdentity): string {
  return subscriber
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, "_")
    .replace(/^(?=[0-9])/, "_");
}

/** The socket: `pg` has no other way to cut a connection at once. */
function streamOf(client: pg.Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}

function misused(text: string): HoldfastError {
  return new HoldfastError("invalid-configuration", text);
}

function fenced(subscriber: string): HoldfastError {
  return new HoldfastError("fenced", `A later running of the subscriber ${subscriber} writes to this database.`);
}

function moved(subscriber: string): HoldfastError {
  const text = `The database does not stand where the subscriber ${subscriber} left it: it was restored, failed over, or changed by hand. Open the sink again (resume the subscriber): it goes on from the cursor that is there.`;
  return new HoldfastError("unavailable", text, { details: { reopen: true } });
}

function closed(): HoldfastError {
  return new HoldfastError("unavailable", "The sink is closed.");
}

function aborted(): HoldfastError {
  return new HoldfastError("aborted", "The delivery was given up.");
}
