/**
 * A shard log with the faults of an engine that sits behind a network: slow and lost answers, writes that land late, no
 * space, a device that fails, another node that claims.
 *
 * Invariants: without faults it answers as every other engine (it passes the contract suite). What it keeps survives the
 * process; of what was in flight at a crash each shard's frame is written whole or not at all.
 */
import { type MemoryLog, type MemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { HoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Append, AppendResult, LogFrame, LogPosition, ShardLog } from "../ports/log.ts";
import { checkWrites, fenceAdmits, type WriteKind } from "../ports/log-fence.ts";

/** What happens to one frame. `late`: it is answered `unknown`, and written after a while if the fence still admits it. */
export type Fate = "written" | "full" | "unknown-written" | "unknown-lost" | "unknown-late";

export interface SimLogOptions {
  readonly store: MemoryStore;
  /** Runs something later; not if the process ended. */
  readonly after: (ms: number, run: () => void) => void;
  /** Runs something later, whatever becomes of the process. */
  readonly outlasting: (ms: number, run: () => void) => void;
  readonly frameBytesMax?: number;
  /** Default: everything takes no time. */
  readonly delayMs?: () => number;
  readonly fate?: (kind: WriteKind, append: Append) => Fate;
  /** Asked once per call that writes: true breaks the device for this process. */
  readonly breaks?: () => boolean;
  /** 0 <= value < 1 */
  readonly random?: () => number;
  /** A frame has been written, answered or not. */
  readonly wrote?: (append: Append) => void;
}

interface Flight {
  readonly kind: WriteKind;
  readonly appends: readonly Append[];
}

export class SimLog implements ShardLog {
  readonly #options: SimLogOptions;
  readonly #memory: MemoryLog;
  readonly #flights = new Set<Flight>();
  #appending = false;
  #broken = false;
  #closed = false;

  constructor(options: SimLogOptions) {
    this.#options = options;
    this.#memory = openMemoryLog({ store: options.store });
  }

  async tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    this.#checkUsable();
    await this.#pause();
    return this.#memory.tail(shards);
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
    this.#checkUsable();
    return this.#slowly(this.#memory.read(from));
  }

  async trim(shard: ShardId, before: Offset): Promise<void> {
    this.#checkUsable();
    return this.#memory.trim(shard, before);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** The process ends here: any of what is in flight may have been written. */
  crash(): void {
    for (const { kind, appends } of this.#flights) {
      for (const append of appends) if (this.#random() < 0.5) this.#put(kind, append);
    }
    this.#flights.clear();
  }

  async #write(kind: WriteKind, appends: readonly Append[]): Promise<readonly AppendResult[]> {
    this.#checkUsable();
    checkWrites(appends, this.#memory.shardCount, this.#options.frameBytesMax ?? this.#memory.frameBytesMax);
    const flight: Flight = { kind, appends };
    this.#flights.add(flight);
    await this.#pause();
    if (this.#options.breaks?.() === true) {
      this.#broken = true;
      this.crash();
      throw failed();
    }
    this.#flights.delete(flight);
    const results = appends.map((append) => this.#land(kind, append));
    await this.#pause();
    return results;
  }

  #land(kind: WriteKind, append: Append): AppendResult {
    const fate = this.#options.fate?.(kind, append) ?? "written";
    if (fate === "unknown-lost") return unknown;
    if (fate === "unknown-late") {
      const copy = { ...append, frame: append.frame.slice() };
      this.#options.outlasting(this.#random() * 500, () => this.#put(kind, copy));
      return unknown;
    }
    if (fate === "full" && this.#admits(kind, append)) return { ok: false, reason: "full" };
    const result = this.#put(kind, append);
    return fate === "unknown-written" ? unknown : result;
  }

  #admits(kind: WriteKind, append: Append): boolean {
    const state = this.#options.store.shards[append.shard];
    return state !== undefined && fenceAdmits(kind, append, state.epoch, state.tail);
  }

  /** The check and the write are one step. */
  #put(kind: WriteKind, append: Append): AppendResult {
    const state = this.#options.store.shards[append.shard];
    if (state === undefined || !this.#admits(kind, append)) return { ok: false, reason: "fenced" };
    const { shard, epoch, at, count } = append;
    state.frames.push({ shard, epoch, at, count, bytes: append.frame.slice() });
    state.epoch = epoch;
    state.tail = at + count;
    this.#options.wrote?.(append);
    return { ok: true, tail: state.tail };
  }

  async *#slowly(frames: AsyncIterable<readonly LogFrame[]>): AsyncGenerator<readonly LogFrame[]> {
    await this.#pause();
    for await (const batch of frames) {
      yield batch;
      if (this.#random() < 0.1) await this.#pause();
    }
  }

  async #pause(): Promise<void> {
    const { after, delayMs } = this.#options;
    if (delayMs !== undefined) await new Promise<void>((resolve) => after(delayMs(), resolve));
  }

  #random(): number {
    return this.#options.random?.() ?? 0;
  }

  #checkUsable(): void {
    if (this.#closed) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
    if (this.#broken) throw failed();
  }
}

const unknown: AppendResult = { ok: false, reason: "unknown" };

function failed(): HoldfastError {
  return new HoldfastError("log-failed", "The simulated device refused a write.");
}
