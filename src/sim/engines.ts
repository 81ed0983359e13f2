/**
 * What the simulated node keeps its log in, and how that fails: the faulty log, or the real segment log on a simulated
 * disk.
 *
 * Invariant: an engine outlives the processes that open it; what a process had in flight when it ended is torn.
 */
import { createMemoryStore, type MemoryStore } from "../adapters/memory/log.ts";
import { openSegmentLog } from "../adapters/segments/open.ts";
import type { ShardLog } from "../ports/log.ts";
import { decodeFrame, encodeFrame } from "../wire/frame.ts";
import type { LogCopy } from "./damage-kinds.ts";
import { SimDisk, type SimProcess } from "./disk.ts";
import { Elsewhere } from "./elsewhere.ts";
import { type Fate, SimLog } from "./log.ts";
import type { World } from "./world.ts";

/** One process's hold on the engine. */
export interface Opening {
  readonly log: Promise<ShardLog>;
  /** The device failed while this process used it. */
  readonly broke: boolean;
  kill(): void;
}

export interface Engine {
  open(after: (ms: number, run: () => void) => void): Opening;
  /** Every process that uses the engine has ended by then. */
  cutPower(): void;
  setFull(full: boolean): void;
  /** The next write fails, and with it the device for that process. */
  breakNext(): void;
  /** Another node claims a shard. */
  claimElsewhere(shard: number): void;
  /** What is stored now, for itself. */
  copy(): LogCopy;
}

export function makeEngine(world: World): Engine {
  return world.swarm.engine === "log" ? new LogEngine(world) : new DiskEngine(world);
}

class LogEngine implements Engine {
  readonly #world: World;
  readonly #store: MemoryStore;
  readonly #elsewhere: Elsewhere;
  #full = false;
  #breakNext = false;

  constructor(world: World) {
    this.#world = world;
    this.#store = createMemoryStore(world.swarm.shardCount);
    this.#elsewhere = new Elsewhere(world.swarm);
  }

  open(after: (ms: number, run: () => void) => void): Opening {
    const world = this.#world;
    const { timeline, prng } = world;
    let broke = false;
    const log = new SimLog({
      store: this.#store,
      after,
      outlasting: (ms, run) => void timeline.after(ms, run),
      delayMs: () => this.#delayMs(),
      fate: () => this.#fate(),
      breaks: () => {
        if (!this.#breakNext || !world.faulty) return false;
        this.#breakNext = false;
        broke = true;
        world.note("the device broke");
        return true;
      },
      random: () => prng.fraction(),
    });
    return {
      log: Promise.resolve(log),
      get broke() {
        return broke;
      },
      kill: () => log.crash(),
    };
  }

  #delayMs(): number {
    const { delayMs, stall, stallMs } = this.#world.swarm.log;
    const { prng } = this.#world;
    return this.#world.unlucky(stall)
      ? prng.integer(stallMs)
      : delayMs[0] + prng.fraction() * (delayMs[1] - delayMs[0]);
  }

  #fate(): Fate {
    const { unknown, unknownWritten, unknownLate, fullShare } = this.#world.swarm.log;
    if (this.#full && this.#world.unlucky(fullShare)) return "full";
    if (!this.#world.unlucky(unknown)) return "written";
    if (this.#world.unlucky(unknownWritten)) return "unknown-written";
    return this.#world.unlucky(unknownLate) ? "unknown-late" : "unknown-lost";
  }

  cutPower(): void {}

  copy(): LogCopy {
    const copyShard = (shard: MemoryStore["shards"][number]) => ({
      ...shard,
      frames: shard.frames.map((frame) => ({ ...frame, bytes: Uint8Array.from(frame.bytes) })),
    });
    return { engine: "log", store: { shards: this.#store.shards.map(copyShard) } };
  }

  setFull(full: boolean): void {
    this.#full = full;
  }

  breakNext(): void {
    this.#breakNext = true;
  }

  claimElsewhere(shard: number): void {
    const state = this.#store.shards[shard];
    if (state === undefined) return;
    const epoch = state.epoch + 1;
    const at = state.tail;
    const last = state.frames.at(-1);
    // the chain of what is trimmed is not known here
    if (last === undefined && at > 1) return;
    const before = last === undefined ? undefined : decodeFrame(last.bytes, shard, last.at, undefined);
    const time = before?.records.at(-1)?.time ?? 0;
    const chain = before?.chain ?? 0;
    const claim = encodeFrame({ shard, epoch, at }, [{ kind: "claim", time, epoch, node: "elsewhere" }], chain);
    state.frames.push({ shard, epoch, at, count: 1, bytes: claim.bytes });
    state.epoch = epoch;
    state.tail = at + 1;
    const step = this.#elsewhere.step(shard, time);
    if (step !== undefined) {
      const { bytes } = encodeFrame({ shard, epoch, at: state.tail }, [step], claim.chain);
      state.frames.push({ shard, epoch, at: state.tail++, count: 1, bytes });
    }
    this.#world.note(`another node claimed shard ${shard} at ${at} with epoch ${epoch}`);
  }
}

/** As small as they may be. */
export const simulatedSegmentBytes = 64 * 1024;

/** Bytes that a full disk has left: too few for another segment. */
const diskSlack = 16;

class DiskEngine implements Engine {
  readonly #world: World;
  readonly #disk: SimDisk;
  #breakIn = 0;
  #breaks = 0;

  constructor(world: World) {
    this.#world = world;
    const { timeline, prng } = world;
    this.#disk = new SimDisk({
      schedule: (ms, run) => void timeline.after(ms, run),
      random: () => prng.fraction(),
      latencyMs: ({ verb }) => this.#latencyMs(verb === "write" || verb === "sync"),
      fault: ({ verb }) => this.#fault(verb),
    });
  }

  open(): Opening {
    const { shardCount } = this.#world.swarm;
    const { prng } = this.#world;
    const process: SimProcess = this.#disk.attach();
    const breaksBefore = this.#breaks;
    const random = { bytes: (count: number) => prng.bytes(count) };
    const log = openSegmentLog({ disk: process.disk, shardCount, segmentBytes: simulatedSegmentBytes, random });
    const breaks = () => this.#breaks;
    return {
      log,
      get broke() {
        return breaks() > breaksBefore;
      },
      kill: () => process.kill(),
    };
  }

  #latencyMs(durable: boolean): number {
    const { delayMs, stall, stallMs } = this.#world.swarm.log;
    if (!durable) return 0;
    const { prng } = this.#world;
    return this.#world.unlucky(stall)
      ? prng.integer(stallMs)
      : delayMs[0] + prng.fraction() * (delayMs[1] - delayMs[0]);
  }

  #fault(verb: string): "broken" | undefined {
    if (this.#breakIn === 0 || !this.#world.faulty || !["write", "sync", "create", "rename"].includes(verb))
      return undefined;
    if (--this.#breakIn > 0) return undefined;
    this.#breaks++;
    this.#world.note(`the disk refused to ${verb}`);
    return "broken";
  }

  cutPower(): void {
    this.#disk.crash();
  }

  setFull(full: boolean): void {
    const used = this.#disk.list().reduce((sum, { bytes }) => sum + bytes, 0);
    this.#disk.capacityBytes = full ? used + diskSlack : Number.POSITIVE_INFINITY;
  }

  breakNext(): void {
    this.#breakIn = this.#world.prng.between(1, 4);
  }

  claimElsewhere(): void {}

  copy(): LogCopy {
    const files = this.#disk.list().map(({ name }) => [name, this.#disk.content(name)] as const);
    return { engine: "disk", files: new Map(files) };
  }
}
