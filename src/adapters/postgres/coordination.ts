/**
 * Coordination on PostgreSQL (docs/decisions/0020-log-on-postgres.md).
 *
 * Invariants: a verb is one statement. Leases lapse by the server's clock. Whoever changes members or assignments locks the one row of
 * `coordination` first: so versions become visible in their order, and no two changes wait for each other in a circle. A renewal
 * touches its own row alone.
 */
import type pg from "pg";
import { assert, HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type {
  Assignment,
  Change,
  ChangeResult,
  Coordination,
  Generation,
  Lease,
  LeaseToken,
  Member,
  MemberId,
  Picture,
} from "../../ports/coordination.ts";
import { checkChanges, checkLease, checkName } from "../../ports/coordination-checks.ts";
import type { Plain } from "../../std/plain.ts";
import { systemClock } from "../system/clock.ts";
import { type CoordinationStatements, coordinationStatements } from "./coordination-statements.ts";
import { type Row, Session } from "./session.ts";

export interface PostgresCoordinationOptions {
  /** A URL (`postgres://…`), or what `pg` takes. */
  readonly connection: string | pg.ClientConfig;
  /** Default `holdfast`. */
  readonly schema?: string;
  /** Between two looks of a watch. Default 50. */
  readonly pollMs?: number;
  /** Default 5,000. */
  readonly connectMs?: number;
  /** Default 5,000. */
  readonly statementMs?: number;
  /** How long calls wait for a server that does not answer. Default 60,000. */
  readonly patienceMs?: number;
}

/** Connects at the first call. */
export function openPostgresCoordination(options: PostgresCoordinationOptions): Coordination {
  return new PostgresCoordination(options);
}

class PostgresCoordination implements Coordination {
  readonly #statements: CoordinationStatements;
  readonly #session: Session;
  readonly #pollMs: number;
  readonly #closing = new AbortController();

  constructor(options: PostgresCoordinationOptions) {
    const { connection, schema = "holdfast", pollMs = 50 } = options;
    const { connectMs = 5_000, statementMs = 5_000, patienceMs = 60_000 } = options;
    this.#statements = coordinationStatements(schema);
    this.#pollMs = pollMs;
    this.#session = new Session({ connection, connectMs, statementMs, patienceMs, prepare: async () => {} });
  }

  async join(node: string, info: Plain, leaseMs: number): Promise<Generation> {
    checkLease(node, leaseMs);
    const [row] = await this.#run("join", [node, JSON.stringify(info), leaseMs]);
    return Number(row?.["generation"]);
  }

  async renew({ node, generation }: MemberId, leaseMs: number): Promise<boolean> {
    checkLease(node, leaseMs);
    return (await this.#run("renew", [node, generation, leaseMs])).length === 1;
  }

  async describe({ node, generation }: MemberId, info: Plain): Promise<boolean> {
    checkName(node);
    return (await this.#run("describe", [node, generation, JSON.stringify(info)])).length === 1;
  }

  async leave({ node, generation }: MemberId): Promise<boolean> {
    checkName(node);
    return (await this.#run("leave", [node, generation])).length === 1;
  }

  async evict({ node, generation }: MemberId): Promise<boolean> {
    checkName(node);
    return (await this.#run("evict", [node, generation])).length === 1;
  }

  async acquire(name: string, node: string, leaseMs: number): Promise<LeaseToken | undefined> {
    checkLease(name, leaseMs);
    checkName(node);
    const [row] = await this.#run("acquire", [name, node, leaseMs]);
    return row === undefined ? undefined : Number(row["token"]);
  }

  async extend(name: string, token: LeaseToken, leaseMs: number): Promise<boolean> {
    checkLease(name, leaseMs);
    return (await this.#run("extend", [name, token, leaseMs])).length === 1;
  }

  async release(name: string, token: LeaseToken): Promise<void> {
    checkName(name);
    await this.#run("release", [name, token]);
  }

  async assign(
    changes: readonly Change[],
    under?: { readonly name: string; readonly token: LeaseToken },
  ): Promise<readonly ChangeResult[]> {
    checkChanges(changes);
    if (changes.length === 0) return [];
    const rows = await this.#run("assign", [
      changes.map(({ shard }) => shard),
      changes.map(({ expected }) => expected),
      changes.map(({ target }) => JSON.stringify(target)),
      under?.name ?? null,
      under?.token ?? null,
    ]);
    const byShard = new Map(rows.map((row) => [Number(row["shard"]), row]));
    return changes.map(({ shard }): ChangeResult => {
      const row = byShard.get(shard);
      if (row?.["held"] !== true) return { ok: false, reason: "deposed" };
      return row["version"] === null ? { ok: false, reason: "stale" } : { ok: true, version: Number(row["version"]) };
    });
  }

  async look(): Promise<Picture> {
    const [row] = await this.#run("look", []);
    assert(row !== undefined, "a look gives one row, also of nothing");
    return {
      version: Number(row["version"]),
      members: row["members"] as readonly Member[],
      leases: (row["leases"] as readonly (Omit<Lease, "node"> & { node: string | null })[]).map((lease) => ({
        ...lease,
        node: lease.node ?? undefined,
      })),
      assignments: row["assignments"] as readonly Assignment[],
    };
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Picture> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    let told = "";
    while (!ended.aborted) {
      const [row] = await this.#run("glance", []);
      const news = `${String(row?.["version"])} ${String(row?.["lapsed"])} ${String(row?.["held"])}`;
      if (news !== told) yield await this.look();
      told = news;
      await waited(this.#pollMs, ended);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#session.close();
  }

  async #run(verb: keyof CoordinationStatements, values: readonly unknown[]): Promise<readonly Row[]> {
    if (this.#closing.signal.aborted) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
    try {
      return await this.#session.repeat(this.#statements[verb], values);
    } catch (error) {
      if (isHoldfastError(error)) throw error;
      throw new HoldfastError("unavailable", `PostgreSQL failed at a statement of coordination (${verb}).`, {
        cause: error,
      });
    }
  }
}

/** Resolves after the time, or when the signal aborts. */
async function waited(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const cancel = systemClock.after(ms, done);
    function done(): void {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
