/**
 * The database under a simulated cluster: one log and one coordination for all nodes, that are slow, lose answers, and are away for a while.
 *
 * Invariants: what a process had sent goes on without it; a call that finds nobody waits, as the connections of the PostgreSQL adapters do,
 * for as long as they have patience; of what was under way when the database went away nobody is told what became of it.
 */
import { createCoordinationStore, openMemoryCoordination } from "../../adapters/memory/coordination.ts";
import { createMemoryStore, type MemoryStore } from "../../adapters/memory/log.ts";
import { VirtualClock } from "../../adapters/virtual/clock.ts";
import { HoldfastError } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";
import type { Append, AppendResult, LogFrame, LogPosition, ShardLog } from "../../ports/log.ts";
import { type Fate, SimLog } from "../log.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";
import type { ClusterSwarm, Slowness } from "./cluster-swarm.ts";
import type { SimProcess } from "./sim-process.ts";

export type Part = "log" | "coordination";

export class Database {
  readonly world: World;
  readonly swarm: ClusterSwarm;
  readonly store: MemoryStore;
  readonly coordination: ReturnType<typeof createCoordinationStore>;
  readonly #witness: Witness;
  readonly #epochs = new Map<ShardId, number>();
  readonly #written = new Map<string, number>();
  /** Reasons for which a part is away. */
  readonly #away: Record<Part, number> = { log: 0, coordination: 0 };
  readonly #outages: Record<Part, number> = { log: 0, coordination: 0 };
  readonly #waiting: Record<Part, (() => void)[]> = { log: [], coordination: [] };

  constructor(world: World, swarm: ClusterSwarm, witness: Witness) {
    this.world = world;
    this.swarm = swarm;
    this.#witness = witness;
    this.store = createMemoryStore(swarm.base.shardCount);
    this.coordination = createCoordinationStore(new VirtualClock({ timeline: world.timeline }));
  }

  /** The parts are away until the function that is returned is called. */
  goAway(parts: readonly Part[]): () => void {
    for (const part of parts) {
      this.#away[part]++;
      this.#outages[part]++;
    }
    return () => {
      for (const part of parts) if (--this.#away[part] === 0) for (const go of this.#waiting[part].splice(0)) go();
    };
  }

  /** When the frame that begins there was written. */
  writtenMs(shard: ShardId, at: number): number | undefined {
    return this.#written.get(`${shard} ${at}`);
  }

  isAway(part: Part): boolean {
    return this.#away[part] > 0;
  }

  /** Resolves when the part is there. @throws `unavailable` after the patience of its callers */
  async #there(part: Part): Promise<void> {
    const untilMs = this.world.timeline.nowMs + this.swarm.patienceMs;
    while (this.isAway(part)) {
      if (this.world.timeline.nowMs >= untilMs) throw new HoldfastError("unavailable", `The ${part} does not answer.`);
      await new Promise<void>((resolve) => {
        this.#waiting[part].push(resolve);
        this.world.timeline.after(untilMs - this.world.timeline.nowMs, resolve);
      });
    }
  }

  /** A call that may be repeated until there is an answer. */
  async repeat<T>(part: Part, call: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#there(part);
      const outages = this.#outages[part];
      const answer = await call();
      if (this.#outages[part] === outages) return answer;
    }
  }

  /** A write: sent once. */
  async write<T>(part: Part, call: () => Promise<T>): Promise<T> {
    await this.#there(part);
    return await call();
  }

  wait(slowness: Slowness): Promise<void> {
    const { timeline } = this.world;
    const ms = delayOf(this.world, slowness);
    return ms === 0 ? Promise.resolve() : new Promise((resolve) => timeline.after(ms, resolve));
  }

  /** The log as one process has it open. */
  openLog(process: SimProcess): ShardLog {
    const { world } = this;
    const { timeline, prng } = world;
    const log = new SimLog({
      store: this.store,
      after: (ms, run) => void timeline.after(ms, run),
      outlasting: (ms, run) => void timeline.after(ms, run),
      delayMs: () => this.#logDelayMs(),
      // what a process had sent when it ended arrives or does not
      fate: () => (!process.alive && prng.chance(0.5) ? "unknown-lost" : this.#fate()),
      random: () => prng.fraction(),
      wrote: ({ shard, at, frame, epoch }) => {
        const verb = epoch === this.#epochs.get(shard) ? "appends" : "claims";
        this.#epochs.set(shard, epoch);
        world.note(`log: ${process.name} ${verb} shard ${shard} at ${at} epoch ${epoch} ${frame.length} bytes`);
        this.#written.set(`${shard} ${at}`, timeline.nowMs);
        this.#witness.saw(shard, at, frame, epoch);
      },
    });
    return new ProcessLog(this, log, process);
  }

  #logDelayMs(): number {
    const { delayMs, stall, stallMs } = this.swarm.base.log;
    return delayOf(this.world, { rangeMs: delayMs, stall, stallMs });
  }

  #fate(): Fate {
    const { unknown, unknownWritten, unknownLate } = this.swarm.base.log;
    if (!this.isAway("log") && !this.world.unlucky(unknown)) return "written";
    if (this.world.prng.chance(unknownWritten)) return "unknown-written";
    return this.world.unlucky(unknownLate) ? "unknown-late" : "unknown-lost";
  }

  openClient() {
    return openMemoryCoordination(this.coordination);
  }
}

export function delayOf(world: World, { rangeMs, stall, stallMs }: Slowness): number {
  const { prng } = world;
  return world.unlucky(stall) ? prng.integer(stallMs) : rangeMs[0] + prng.fraction() * (rangeMs[1] - rangeMs[0]);
}

/** Answers reach the process only while it lives and runs. */
class ProcessLog implements ShardLog {
  readonly #database: Database;
  readonly #log: ShardLog;
  readonly #process: SimProcess;
  #closed = false;

  constructor(database: Database, log: ShardLog, process: SimProcess) {
    this.#database = database;
    this.#log = log;
    this.#process = process;
  }

  async tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    this.#checkOpen();
    return this.#process.ask(() => this.#database.repeat("log", () => this.#log.tail(shards)));
  }

  async claim(claims: readonly Append[]): Promise<readonly AppendResult[]> {
    this.#checkOpen();
    return this.#process.ask(() => this.#write("claim", claims));
  }

  async append(appends: readonly Append[]): Promise<readonly AppendResult[]> {
    this.#checkOpen();
    return this.#process.ask(() => this.#write("append", appends));
  }

  async *read(from: ReadonlyMap<ShardId, number>): AsyncGenerator<readonly LogFrame[]> {
    this.#checkOpen();
    const batches = this.#log.read(from)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#process.ask(() => this.#database.write("log", () => batches.next()));
      if (next.done === true) return;
      yield next.value;
    }
  }

  async trim(shard: ShardId, before: number): Promise<void> {
    this.#checkOpen();
    return this.#process.ask(() => this.#database.repeat("log", () => this.#log.trim(shard, before)));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #write(kind: "claim" | "append", appends: readonly Append[]): Promise<readonly AppendResult[]> {
    const results = await this.#database.write("log", () => this.#log[kind](appends));
    for (const [index, result] of results.entries()) {
      if (result.ok) continue;
      const { shard, at, epoch } = appends[index] as Append;
      const what = `the ${kind} of ${this.#process.name} for shard ${shard} at ${at} epoch ${epoch}`;
      this.#database.world.note(`log: ${what} is ${result.reason}`);
    }
    return results;
  }

  #checkOpen(): void {
    if (this.#closed) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
  }
}
