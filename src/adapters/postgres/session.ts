/**
 * One connection of the engine to PostgreSQL, made anew whenever it breaks.
 *
 * Invariants: a statement is sent once at most; one whose answer was lost is told as `unknown`, never sent again from here. No
 * statement runs on a connection before the server was found to be a primary that syncs what it commits, and what `prepare` checks
 * was checked. The setting that was found is pinned, so that a reload cannot weaken it under a connection.
 */
import pg from "pg";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import { systemClock } from "../system/clock.ts";
import { sqlStateOf } from "./failures.ts";
import type { Statement } from "./schema.ts";

export type Row = Readonly<Record<string, unknown>>;
export type Run = (statement: Statement, values?: readonly unknown[]) => Promise<readonly Row[]>;

export interface SessionOptions {
  readonly connection: string | pg.ClientConfig;
  readonly connectMs: number;
  /** One statement, until its answer. Then the connection is given up. */
  readonly statementMs: number;
  /** How long a call waits for a server that does not answer. */
  readonly patienceMs: number;
  /** Runs on each new connection before anything else. */
  readonly prepare: (run: Run) => Promise<void>;
}

/** Why a statement has no answer that counts. */
export class StatementFailure extends Error {
  /** `refused`: the server ran nothing of it. `unknown`: it may have been carried out. */
  readonly outcome: "refused" | "unknown";
  readonly sqlState: string | undefined;

  constructor(outcome: "refused" | "unknown", cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.outcome = outcome;
    this.sqlState = sqlStateOf(cause);
  }
}

/** The server goes, is not ready, or was not meant: the connection is of no use any more. */
const lost = /^(08|57P|25006$)/;
/** What waiting does not mend at the first connection: authentication, a database or a table that is not there, rights. */
const settings = /^(28|3D|3F|42)/;
const retryMs = { first: 20, most: 500 };
const accepted: ReadonlySet<unknown> = new Set(["on", "remote_apply"]);

export class Session {
  readonly #options: SessionOptions;
  #client: pg.Client | undefined;
  #connecting: Promise<pg.Client> | undefined;
  /** Ends when the statements before are answered: one at a time is on its way. */
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  /** That the server has sent. */
  #warnings = 0;
  #wasConnected = false;
  #isClosed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * Runs one statement. Statements are sent in the order of these calls.
   * @throws StatementFailure
   * @throws `unavailable` no server within `patienceMs`; nothing was sent
   * @throws `invalid-configuration`, `log-damaged` by what the connection was checked for
   */
  run(statement: Statement, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const isFirst = this.#waiting++ === 0;
    const answered = isFirst ? this.#run(statement, values) : this.#turn.then(() => this.#queued(statement, values));
    this.#turn = answered.then(
      () => this.#waiting--,
      () => this.#waiting--,
    );
    return answered;
  }

  /** Its time begins when it is sent, and it is sent over the connection that there is then. */
  async #queued(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    if (this.#isClosed) throw unavailable(new Error("the session was closed before this statement was sent"));
    return this.#run(statement, values);
  }

  async #run(statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const client = this.#client ?? (await this.#connected());
    const before = this.#warnings;
    const rows = await this.#answered(client, statement, values);
    // A commit that did not wait for its standbys is told by a warning, and then as a success.
    if (this.#warnings !== before) {
      this.#drop(client);
      throw new StatementFailure("unknown", new Error("the server warned"));
    }
    return rows;
  }

  /** The same for a statement that may run twice: tries again, also over new connections, within `patienceMs`. */
  async repeat(statement: Statement, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const startMs = systemClock.monotonic();
    for (;;) {
      try {
        return await this.run(statement, values);
      } catch (error) {
        const isOver = systemClock.monotonic() - startMs > this.#options.patienceMs || this.#isClosed;
        if (!(error instanceof StatementFailure) || !mayPass(error)) throw error;
        if (isOver) throw unavailable(error);
      }
      await pause(retryMs.first);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = this.#client ?? (await this.#connecting?.catch(() => undefined));
    this.#client = undefined;
    if (client === undefined) return;
    const cut = systemClock.after(2_000, () => destroy(client));
    await client.end().catch(() => undefined);
    cut();
  }

  async #answered(client: pg.Client, statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    const cancel = systemClock.after(this.#options.statementMs, () => this.#drop(client));
    try {
      const { rows } = await client.query<Row>({ ...statement, values: [...values] });
      return rows;
    } catch (error) {
      const state = sqlStateOf(error);
      if (state !== undefined && !lost.test(state)) throw new StatementFailure("refused", error);
      this.#drop(client);
      throw new StatementFailure("unknown", error);
    } finally {
      cancel();
    }
  }

  #connected(): Promise<pg.Client> {
    if (this.#isClosed) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(): Promise<pg.Client> {
    const startMs = systemClock.monotonic();
    for (let waitMs = retryMs.first; ; waitMs = Math.min(2 * waitMs, retryMs.most)) {
      try {
        return await this.#attempt();
      } catch (error) {
        if (isHoldfastError(error) && error.code !== "unavailable") throw error;
        const cause = error instanceof StatementFailure ? error.cause : error;
        const state = sqlStateOf(cause);
        if (state !== undefined && settings.test(state) && !this.#wasConnected) throw misconfigured(cause, state);
        if (this.#isClosed || systemClock.monotonic() - startMs > this.#options.patienceMs) throw unavailable(error);
      }
      await pause(waitMs);
    }
  }

  async #attempt(): Promise<pg.Client> {
    const { connection, connectMs, prepare, statementMs } = this.#options;
    const given = typeof connection === "string" ? { connectionString: connection } : connection;
    const client = new pg.Client({
      application_name: "holdfast",
      keepAlive: true,
      ...given,
      connectionTimeoutMillis: connectMs,
    });
    client.on("error", () => this.#drop(client));
    client.on("notice", () => {
      this.#warnings++;
    });
    try {
      await client.connect();
      await checkServer(client, statementMs);
      await prepare((statement, values = []) => this.#answered(client, statement, values));
    } catch (error) {
      destroy(client);
      throw error;
    }
    this.#wasConnected = true;
    this.#client = client;
    return client;
  }

  /** Gives the connection up; whatever waits for an answer on it hears that it broke. */
  #drop(client: pg.Client): void {
    if (this.#client === client) this.#client = undefined;
    destroy(client);
  }
}

/** A primary that syncs what it commits. @throws `invalid-configuration`, or `unavailable` for what may pass */
async function checkServer(client: pg.Client, statementMs: number): Promise<void> {
  const { rows } = await client.query<Row>(`SELECT current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('fsync') AS fsync, current_setting('server_version_num')::integer AS version,
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS is_read_only`);
  const { synchronous_commit: commit, fsync, version, is_read_only: isReadOnly } = rows[0] as Row;
  if (isReadOnly === true) throw unavailable(new Error("this server takes no writes: it is a standby, or read-only"));
  if (Number(version) < 140_000) throw unfit(`It is version ${Number(version)}; 14 or newer is needed.`);
  if (fsync !== "on") throw unfit("Its setting fsync is off: a power cut would lose what was acknowledged.");
  if (!accepted.has(commit))
    throw unfit(
      `Its setting synchronous_commit is "${String(commit)}": it would acknowledge what a crash can lose. For the role of the nodes: ALTER ROLE … SET synchronous_commit = on.`,
    );
  await client.query(`SET synchronous_commit = ${String(commit)}; SET statement_timeout = ${Math.ceil(statementMs)};
    SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning;
    SET lock_timeout = 0; SET bytea_output = hex; SET plan_cache_mode = auto`);
}

function unfit(why: string): HoldfastError {
  return new HoldfastError("invalid-configuration", `This PostgreSQL cannot hold the log. ${why}`);
}

function misconfigured(cause: unknown, sqlState: string): HoldfastError {
  const isMissing = sqlState.startsWith("3F") || sqlState === "42P01";
  const remedy = isMissing
    ? "Run `holdfast migrate` first."
    : "Check the database's URL, its role and the role's rights.";
  const text = `PostgreSQL does not let the node work (${sqlState}: ${messageOf(cause)}). ${remedy}`;
  return new HoldfastError("invalid-configuration", text, { cause, details: { sqlState } });
}

function unavailable(cause: unknown): HoldfastError {
  if (isHoldfastError(cause)) return cause;
  return new HoldfastError("unavailable", `PostgreSQL does not answer (${messageOf(cause)}).`, { cause });
}

/** A lost connection, a deadlock, a server that is short of something: the next attempt may succeed. */
function mayPass(failure: StatementFailure): boolean {
  return failure.outcome === "unknown" || /^(40|53|55|57014$)/.test(failure.sqlState ?? "");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || String((error as { code?: unknown }).code) : String(error);
}

function destroy(client: pg.Client): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => systemClock.after(ms, resolve));
}
