/**
 * A shard log in memory: for tests, for the simulator and for services that may forget.
 *
 * Invariants: the same fence and the same answers as the durable engines. Frames are copied when they come in, so the
 * caller may use its bytes again. Several logs may be opened over one `MemoryStore`, as several nodes over one database.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../../model/ids.ts";
import type { Append, AppendResult, LogFrame, LogPosition, ShardLog } from "../../ports/log.ts";
import { checkOffset, checkShard, checkWrites, fenceAdmits, type WriteKind } from "../../ports/log-fence.ts";

/** What outlives a log that is closed: the frames of every shard. */
export interface MemoryStore {
  readonly shards: readonly MemoryShard[];
}

interface MemoryShard {
  epoch: Epoch;
  tail: Offset;
  trimmed: Offset;
  frames: LogFrame[];
}

/** Ways for a test to come between a caller and the log. */
export interface MemoryLogHooks {
  /** Runs before a claim or an append is looked at. Throw to fail the call with nothing written. */
  readonly before?: (kind: WriteKind, appends: readonly Append[]) => void | Promise<void>;
  /** Answers `full` or `unknown` instead of writing this one. */
  readonly refuse?: (kind: WriteKind, append: Append) => "full" | "unknown" | undefined;
  /** Runs after the writes, before the answer. Throw or answer otherwise to lose the acknowledgement. */
  readonly after?: (kind: WriteKind, results: readonly AppendResult[]) => MaybePromise<readonly AppendResult[]>;
}

type MaybePromise<T> = T | Promise<T>;

export interface MemoryLogOptions {
  /** Needed unless `store` is given. */
  readonly shardCount?: number;
  readonly store?: MemoryStore;
  /** Default 16 MiB, as the segment log's. */
  readonly frameBytesMax?: number;
  readonly hooks?: MemoryLogHooks;
}

export interface MemoryLog extends ShardLog {
  readonly store: MemoryStore;
  readonly shardCount: number;
  readonly frameBytesMax: number;
}

export function createMemoryStore(shardCount: number): MemoryStore {
  return { shards: Array.from({ length: shardCount }, () => ({ epoch: 0, tail: 1, trimmed: 1, frames: [] })) };
}

export function openMemoryLog(options: MemoryLogOptions): MemoryLog {
  return new Log(options.store ?? createMemoryStore(options.shardCount ?? 0), options);
}

class Log implements MemoryLog {
  readonly store: MemoryStore;
  readonly shardCount: number;
  readonly frameBytesMax: number;
  readonly #hooks: MemoryLogHooks;
  #appending = false;
  #closed = false;

  constructor(store: MemoryStore, options: MemoryLogOptions) {
    if (store.shards.length === 0) {
      throw new HoldfastError("invalid-configuration", "A memory log needs `shardCount` (at least 1) or a `store`.");
    }
    this.store = store;
    this.shardCount = store.shards.length;
    this.frameBytesMax = options.frameBytesMax ?? 16 * 1024 * 1024;
    this.#hooks = options.hooks ?? {};
  }

  async tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    this.#checkOpen();
    return shards.map((shard) => {
      const { epoch, tail, trimmed } = this.#shard(shard);
      return { epoch, tail, trimmed };
    });
  }

  async claim(claims: readonly Append[]): Promise<readonly AppendResult[]> {
    return this.#write("claim", claims);
  }

  async append(appends: readonly Append[]): Promise<readonly AppendResult[]> {
    if (this.#appending) throw new HoldfastError("internal", "Broken invariant: one append in flight per log");
    this.#appending = true;
    try {
      return await this.#write("append", appends);
    } finally {
      this.#appending = false;
    }
  }

  read(from: ReadonlyMap<ShardId, Offset>): AsyncIterable<readonly LogFrame[]> {
    this.#checkOpen();
    const wanted = [...from].map(([shard, offset]) => {
      checkOffset(offset);
      const { tail, trimmed, frames } = this.#shard(shard);
      if (offset < trimmed) throw belowTrimmed(shard, offset, trimmed);
      return { offset, frames: offset < tail ? frames.slice() : [] };
    });
    return (async function* () {
      for (const { offset, frames } of wanted) {
        const first = frames.findIndex((frame) => frame.at + frame.count > offset);
        if (first >= 0) yield frames.slice(first);
      }
    })();
  }

  async trim(shard: ShardId, before: Offset): Promise<void> {
    this.#checkOpen();
    checkOffset(before);
    const state = this.#shard(shard);
    const kept = state.frames.findIndex((frame) => frame.at + frame.count > before);
    state.frames = kept < 0 ? [] : state.frames.slice(kept);
    state.trimmed = state.frames[0]?.at ?? state.tail;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #write(kind: WriteKind, appends: readonly Append[]): Promise<readonly AppendResult[]> {
    this.#checkOpen();
    checkWrites(appends, this.shardCount, this.frameBytesMax);
    await this.#hooks.before?.(kind, appends);
    const results = appends.map((append): AppendResult => {
      const state = this.#shard(append.shard);
      if (!fenceAdmits(kind, append, state.epoch, state.tail)) return { ok: false, reason: "fenced" };
      const refused = this.#hooks.refuse?.(kind, append);
      if (refused !== undefined) return { ok: false, reason: refused };
      const { shard, epoch, at, count, frame } = append;
      state.frames.push({ shard, epoch, at, count, bytes: frame.slice() });
      state.epoch = epoch;
      state.tail = at + count;
      return { ok: true, tail: state.tail };
    });
    return (await this.#hooks.after?.(kind, results)) ?? results;
  }

  #shard(shard: ShardId): MemoryShard {
    checkShard(shard, this.shardCount);
    return this.store.shards[shard] as MemoryShard;
  }

  #checkOpen(): void {
    if (this.#closed) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
  }
}

function belowTrimmed(shard: ShardId, offset: Offset, trimmed: Offset): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `Shard ${shard} was to be read from offset ${offset}, but its log begins at ${trimmed}.`,
    { details: { shard, offset, trimmed } },
  );
}
