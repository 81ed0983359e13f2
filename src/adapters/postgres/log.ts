/**
 * The shard log on PostgreSQL (docs/decisions/0020-log-on-postgres.md).
 *
 * Invariants: an append or a claim is one statement, one round trip and one commit for any number of shards; the statement itself
 * compares epoch and tail. An answer means that the server has it on its disk, and on those of the standbys that it waits for. A
 * write whose answer was lost is `unknown`. Whatever a new connection shows is held against what this process knows before anything
 * is written by way of it.
 */
import { crc32 } from "node:zlib";
import type pg from "pg";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { Append, AppendResult, LogFrame, LogPosition, ShardLog } from "../../ports/log.ts";
import { checkOffset, checkShard, checkWrites, type WriteKind } from "../../ports/log-fence.ts";
import { pagesOf, stretchesFrom } from "./pages.ts";
import { type LogStatements, logStatements } from "./schema.ts";
import { type Row, type Run, Session, StatementFailure } from "./session.ts";
import { Witness } from "./witness.ts";

export interface PostgresLogOptions {
  /** A URL (`postgres://…`), or what `pg` takes: host, TLS, a password that is fetched. Not by way of a pooler of transactions. */
  readonly connection: string | pg.ClientConfig;
  /** The service's; made by `holdfast migrate`. Default `holdfast`. */
  readonly schema?: string;
  /** Default 5,000. */
  readonly connectMs?: number;
  /** One statement; after it an append is `unknown`. Default 10,000. */
  readonly statementMs?: number;
  /** How long calls wait for a server that does not answer, before they fail as `unavailable`. Default 60,000. */
  readonly patienceMs?: number;
}

export interface PostgresLog extends ShardLog {
  readonly shardCount: number;
  readonly frameBytesMax: number;
}

const schemaDefault = "holdfast";
const frameBytesMax = 16 * 1024 * 1024;
/** Of one call: a parameter of PostgreSQL ends at 1 GiB. */
const callBytesMax = 512 * 1024 * 1024;
/** Frames that one statement of a trim deletes: short enough that nobody waits for it. */
const dropFrames = 500;
/** Of a write that the server gave up on without having written: a deadlock, a timeout. */
const refusedAttempts = 3;
const fenced: AppendResult = { ok: false, reason: "fenced" };

/**
 * Connects, and checks server and schema.
 * @throws `invalid-configuration` the server does not sync what it commits, or the schema is not there
 * @throws `unavailable` no server within `patienceMs`
 */
export async function openPostgresLog(options: PostgresLogOptions): Promise<PostgresLog> {
  const statements = logStatements(options.schema ?? schemaDefault);
  const witness = new Witness();
  const prepare = async (run: Run) => {
    await run(statements.barrier);
    await witness.check(run, statements.info, statements.witness);
  };
  const { connection, connectMs = 5_000, statementMs = 10_000, patienceMs = 60_000 } = options;
  const session = () => new Session({ connection, connectMs, statementMs, patienceMs, prepare });
  const sessions = { writer: session(), claimer: session(), looker: session(), reader: session() };
  try {
    const [info] = await sessions.writer.repeat(statements.info);
    return new Log(statements, sessions, witness, Number(info?.["shard_count"]));
  } catch (error) {
    await sessions.writer.close();
    throw error;
  }
}

/** A claim, a look at tails and a long read wait for no append, nor it for them, nor they for each other. */
interface Sessions {
  readonly writer: Session;
  readonly claimer: Session;
  readonly looker: Session;
  readonly reader: Session;
}

class Log implements PostgresLog {
  readonly shardCount: number;
  readonly frameBytesMax = frameBytesMax;
  readonly #statements: LogStatements;
  readonly #sessions: Sessions;
  readonly #witness: Witness;
  /** Lowest offset that each read under way needs, by shard. */
  readonly #reads = new Set<ReadonlyMap<ShardId, Offset>>();
  #damaged: HoldfastError | undefined;
  #appending = false;
  #closed = false;

  constructor(statements: LogStatements, sessions: Sessions, witness: Witness, shardCount: number) {
    this.#statements = statements;
    this.#sessions = sessions;
    this.#witness = witness;
    this.shardCount = shardCount;
  }

  async tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    this.#checkUsable();
    for (const shard of shards) checkShard(shard, this.shardCount);
    if (shards.length === 0) return [];
    return this.#guarded(async () => {
      const check = this.#witness.moment();
      const rows = await this.#sessions.looker.repeat(this.#statements.tail, [[...new Set(shards)]]);
      const positions = new Map(rows.map((row) => [Number(row["shard"]), positionFrom(row)]));
      for (const [shard, position] of positions) {
        check(shard, position);
        this.#witness.shown(shard, position);
      }
      return shards.map((shard) => positions.get(shard) as LogPosition);
    });
  }

  claim(claims: readonly Append[]): Promise<readonly AppendResult[]> {
    return this.#write("claim", claims, this.#sessions.claimer);
  }

  async append(appends: readonly Append[]): Promise<readonly AppendResult[]> {
    if (this.#appending) throw new HoldfastError("internal", "Broken invariant: one append in flight per log");
    this.#appending = true;
    try {
      return await this.#write("append", appends, this.#sessions.writer);
    } finally {
      this.#appending = false;
    }
  }

  read(from: ReadonlyMap<ShardId, Offset>): AsyncIterable<readonly LogFrame[]> {
    this.#checkUsable();
    for (const [shard, offset] of from) {
      checkShard(shard, this.shardCount);
      checkOffset(offset);
    }
    const wanted = new Map(from);
    // On the writer's connection, so that it is answered before whatever is appended after this call.
    const columns = [[...wanted.keys()], [...wanted.values()]];
    const starts = wanted.size === 0 ? [] : this.#sessions.writer.repeat(this.#statements.starts, columns);
    const looked = Promise.resolve(starts);
    looked.catch(() => undefined);
    return this.#pages(wanted, looked);
  }

  async *#pages(wanted: ReadonlyMap<ShardId, Offset>, looked: Promise<readonly Row[]>) {
    this.#reads.add(wanted);
    try {
      const stretches = stretchesFrom(await this.#guarded(() => looked), wanted);
      const ask = (values: readonly unknown[]) =>
        this.#guarded(() => this.#sessions.reader.repeat(this.#statements.page, values));
      yield* pagesOf(stretches, ask);
    } finally {
      this.#reads.delete(wanted);
    }
  }

  async trim(shard: ShardId, before: Offset): Promise<void> {
    this.#checkUsable();
    checkShard(shard, this.shardCount);
    checkOffset(before);
    // What is being read is left to the next trim.
    const bound = [...this.#reads].reduce((least, read) => Math.min(least, read.get(shard) ?? least), before);
    const { reader } = this.#sessions;
    await this.#guarded(async () => {
      await reader.repeat(this.#statements.trim, [shard, bound]);
      for (;;) {
        const dropped = await reader.repeat(this.#statements.drop, [shard, dropFrames]);
        if (dropped.length < dropFrames || this.#closed) return;
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { writer, claimer, looker, reader } = this.#sessions;
    await Promise.all([writer, claimer, looker, reader].map((session) => session.close()));
  }

  async #write(kind: WriteKind, writes: readonly Append[], session: Session): Promise<readonly AppendResult[]> {
    this.#checkUsable();
    checkWrites(writes, this.shardCount, frameBytesMax);
    if (writes.length === 0) return [];
    const { values, checksums } = columnsOf(writes);
    return this.#guarded(async () => {
      const answer = await this.#sent(kind, values, session);
      if (answer === "full" || answer === "unknown") return writes.map(() => ({ ok: false, reason: answer }));
      const written = new Set(answer.map((row) => Number(row["shard"])));
      return writes.map((write, index): AppendResult => {
        if (!written.has(write.shard)) return fenced;
        this.#witness.acknowledged(write, checksums[index] as number);
        return { ok: true, tail: write.at + write.count };
      });
    });
  }

  async #sent(
    kind: WriteKind,
    values: readonly unknown[],
    session: Session,
  ): Promise<readonly Row[] | "full" | "unknown"> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await session.run(this.#statements[kind], values);
      } catch (error) {
        if (!(error instanceof StatementFailure)) throw error;
        const answer = meaningOf(error);
        if (answer !== "again") return answer;
        if (attempt === refusedAttempts) return "unknown";
      }
    }
  }

  /** A log that lost records answers nothing any more. */
  async #guarded<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (isHoldfastError(error)) {
        if (error.code === "log-damaged") this.#damaged ??= error;
        throw error;
      }
      throw new HoldfastError("log-failed", "PostgreSQL failed at a statement of the log.", { cause: error });
    }
  }

  #checkUsable(): void {
    if (this.#closed) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
    if (this.#damaged !== undefined) throw this.#damaged;
  }
}

/** What a failed write means for its caller. @throws what no waiting mends */
function meaningOf(failure: StatementFailure): "full" | "unknown" | "again" {
  if (failure.outcome === "unknown") return "unknown";
  const state = failure.sqlState ?? "";
  if (state === "53100") return "full";
  // A deadlock, a lock or statement that took too long, a server short of memory or connections: it wrote nothing.
  if (/^(40|53|55|57014$)/.test(state)) return "again";
  const details = { sqlState: state };
  if (state === "23505" || state.startsWith("XX"))
    throw new HoldfastError("log-damaged", "PostgreSQL's tables of the log contradict each other.", {
      cause: failure,
      details,
    });
  throw new HoldfastError("log-failed", `PostgreSQL refused a write of the log (${state}).`, {
    cause: failure,
    details,
  });
}

/** Columns of a write's statement; the frames stand in one parameter, because only that goes as bytes and not as text. */
function columnsOf(writes: readonly Append[]): { values: readonly unknown[]; checksums: readonly number[] } {
  const checksums = writes.map(({ frame }) => crc32(frame));
  const starts: number[] = [];
  let length = 0;
  for (const { frame } of writes) {
    starts.push(length + 1);
    length += frame.length;
  }
  if (length > callBytesMax)
    throw new HoldfastError(
      "too-large",
      `Frames of ${length} bytes in one call; this log takes at most ${callBytesMax}.`,
    );
  const values = [
    writes.map(({ shard }) => shard),
    writes.map(({ epoch }) => epoch),
    writes.map(({ at }) => at),
    writes.map(({ count }) => count),
    checksums,
    starts,
    writes.map(({ frame }) => frame.length),
    Buffer.concat(writes.map(({ frame }) => frame)),
  ];
  return { values, checksums };
}

function positionFrom(row: Row): LogPosition {
  return { epoch: Number(row["epoch"]), tail: Number(row["tail"]), trimmed: Number(row["trimmed"]) };
}
