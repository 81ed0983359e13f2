/**
 * Drives a segment log over the simulated disk, step by step, so that a test can end it between any two steps.
 *
 * Invariant checked by `reopen`: whatever was answered is there; the one call without an answer is there whole or not
 * at all; what a recovery showed once stays.
 */
import assert from "node:assert/strict";
import { openSegmentLog, type SegmentLog } from "../adapters/segments/open.ts";
import { isHoldfastError } from "../model/errors.ts";
import { write } from "../ports/log.contract.kit.ts";
import { assertLike, ModelLog } from "../ports/log.contract.model.ts";
import type { Append, AppendResult } from "../ports/log.ts";
import { SimDisk, type SimDiskOptions, type SimProcess } from "./disk.ts";

/** Mulberry32: a seed's numbers, for tests. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Due {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Virtual time: what is due first runs first. */
class Agenda {
  #now = 0;
  #order = 0;
  readonly #due: Due[] = [];

  readonly schedule = (delayMs: number, run: () => void): void => {
    this.#due.push({ atMs: this.#now + delayMs, order: this.#order++, run });
  };

  step(): void {
    const first = this.#due.reduce((a, b) => (b.atMs < a.atMs || (b.atMs === a.atMs && b.order < a.order) ? b : a));
    this.#due.splice(this.#due.indexOf(first), 1);
    this.#now = first.atMs;
    first.run();
  }

  get empty(): boolean {
    return this.#due.length === 0;
  }
}

export type Ending = "done" | "cut";

export interface MachineOptions extends Omit<SimDiskOptions, "schedule" | "random"> {
  readonly seed: number;
  readonly shardCount: number;
  readonly segmentBytes?: number;
}

/** A disk, a process on it, and the model of what the log must hold. */
export class Machine {
  readonly sim: SimDisk;
  readonly model: ModelLog;
  readonly random: () => number;
  readonly #options: MachineOptions;
  readonly #agenda = new Agenda();
  #process: SimProcess;
  #log: SegmentLog | undefined;
  #unanswered: { verb: "claim" | "append"; appends: readonly Append[] } | undefined;
  /** Steps until the end of the process; Infinity for never. */
  stepsLeft = Number.POSITIVE_INFINITY;
  stepsTaken = 0;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed);
    this.sim = new SimDisk({ ...options, schedule: this.#agenda.schedule, random: this.random });
    this.model = new ModelLog(options.shardCount);
    this.#process = this.sim.attach();
  }

  get log(): SegmentLog {
    assert.ok(this.#log !== undefined, "the log is open");
    return this.#log;
  }

  /** Runs until the promise settles or the steps are used up. */
  async drive(promise: Promise<unknown>): Promise<Ending> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined);
    for (let idle = 0; ; ) {
      await new Promise((resolve) => setImmediate(resolve));
      if (settled) break;
      if (this.stepsLeft <= 0) return "cut";
      if (this.#agenda.empty) assert.ok(++idle < 100, "something runs or is done");
      else {
        this.#agenda.step();
        this.stepsLeft -= 1;
        this.stepsTaken += 1;
        idle = 0;
      }
    }
    await watched;
    return "done";
  }

  /** Ends the process, and with `power` the machine. */
  end(how: "power" | "kill"): void {
    if (how === "power") this.sim.crash();
    else this.#process.kill();
    this.#process = this.sim.attach();
    this.#log = undefined;
  }

  /** Opens the log and compares it with the model. */
  async reopen(): Promise<Ending> {
    const { shardCount, segmentBytes = 64 * 1024 } = this.#options;
    const salted = { bytes: (count: number) => new Uint8Array(count).fill(7) };
    return this.drive(
      (async () => {
        const { disk } = this.#process;
        this.#log = await openSegmentLog({ disk, shardCount, segmentBytes, random: salted });
        await this.#adopt(this.#log);
        await assertLike(this.model, this.#log);
        await this.#log.scrub();
      })(),
    );
  }

  async write(verb: "claim" | "append", appends: readonly Append[]): Promise<readonly AppendResult[]> {
    this.#unanswered = { verb, appends };
    const results = await this.log[verb](appends);
    this.#unanswered = undefined;
    if (results.some((result) => !result.ok && result.reason === "full")) {
      assert.ok(
        results.every(({ ok }) => !ok),
        "one block: all of it or nothing",
      );
      return results;
    }
    assert.deepEqual(results, this.model.write(verb, appends));
    return results;
  }

  async trim(shard: number, before: number): Promise<void> {
    this.model.trim(shard, before);
    await this.log.trim(shard, before);
  }

  /** Random claims, appends, trims and reads. Ends early when the log stops with `log-failed`. */
  async work(rounds: number, bytesMax: number): Promise<void> {
    try {
      for (let round = 0; round < rounds; round++) await this.#workOnce(bytesMax);
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "log-failed") throw error;
      await assert.rejects(this.log.tail([0]), { code: "log-failed" });
    }
  }

  async #workOnce(bytesMax: number): Promise<void> {
    const { epochs, tails } = this.model;
    const shard = this.#pick(tails.length);
    const dice = this.random();
    if (dice < 0.15) {
      const part = this.random() < 0.5 ? 1 : this.random();
      for (let each = 0; each < tails.length; each++) {
        await this.trim(each, Math.max(1, Math.floor((tails[each] as number) * part)));
      }
    } else if (dice < 0.2) {
      await this.log.scrub();
    } else if (dice < 0.3 || epochs[shard] === 0) {
      await this.write("claim", [write(shard, (epochs[shard] as number) + 1, tails[shard] as number)]);
    } else {
      const shards = tails.map((_, each) => each).filter((each) => each === shard || this.random() < 0.5);
      const bytes = () => 1 + this.#pick(this.random() < 0.2 ? bytesMax : 600);
      await this.write(
        "append",
        shards.map((each) =>
          write(each, epochs[each] || 1, tails[each] as number, { count: 1 + this.#pick(3), bytes: bytes() }),
        ),
      );
    }
  }

  /** Takes the unanswered call into the model if the log has it. */
  async #adopt(log: SegmentLog): Promise<void> {
    const unanswered = this.#unanswered;
    this.#unanswered = undefined;
    if (unanswered === undefined) return;
    const { epochs, tails } = this.model;
    const admitted = unanswered.appends.filter(({ shard, epoch, at }) => {
      const known = epochs[shard] as number;
      return at === tails[shard] && (unanswered.verb === "claim" ? epoch > known : epoch === known);
    });
    const positions = await log.tail(admitted.map(({ shard }) => shard));
    const moved = positions.filter(({ tail }, index) => tail !== admitted[index]?.at);
    assert.ok(moved.length === 0 || moved.length === admitted.length, "one block: all of it or nothing");
    if (moved.length > 0) this.model.write(unanswered.verb, admitted);
  }

  #pick(count: number): number {
    return Math.floor(this.random() * count);
  }
}
