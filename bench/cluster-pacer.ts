/**
 * Commands at a fixed rate, whatever becomes of those before: a pause delays all that are due in it, and none of them is left out. Each one's
 * latency counts from when it was due.
 */
import { shardOf } from "../src/model/ids.ts";
import { machineMs } from "./cluster-ask.ts";
import type { LoadType } from "./cluster-entities.ts";

export interface PacerOrder {
  readonly type: LoadType;
  readonly shardCount: number;
  /** Shards that get commands. */
  readonly shards: readonly number[];
  /** Entities of each shard. */
  readonly entities: number;
  /** Commands per second, together. */
  readonly rate: number;
}

/** Of the commands that were due while the window was open, or waited then. */
export interface Pause {
  readonly shard: number;
  readonly count: number;
  readonly longestMs: number;
  /** Between two answers. */
  readonly gapMs: number;
}

export interface PacerTotals {
  readonly done: number;
  readonly failed: number;
  /** The first few. */
  readonly failures: readonly string[];
}

interface Lane {
  readonly shard: number;
  readonly keys: readonly string[];
  next: number;
  count: number;
  longestMs: number;
  gapMs: number;
  answeredMs: number;
  readonly waiting: Set<number>;
}

const tickMs = 2;

export class Pacer {
  readonly #one: (type: LoadType, key: string) => Promise<void>;
  #lanes: Lane[] = [];
  #type: LoadType = "wallet";
  #timer: ReturnType<typeof setInterval> | undefined;
  #done = 0;
  #failures: string[] = [];
  #failed = 0;
  #isOpen = false;

  constructor(one: (type: LoadType, key: string) => Promise<void>) {
    this.#one = one;
  }

  /** Brings every entity into being, then goes on at the rate. */
  async begin({ type, shardCount, shards, entities, rate }: PacerOrder): Promise<void> {
    this.end();
    this.#type = type;
    const keys = keysOf(type, shardCount, shards, entities);
    this.#lanes = shards.map((shard) => ({
      ...{ shard, keys: keys.get(shard) ?? [], next: 0, count: 0, longestMs: 0, gapMs: 0, answeredMs: 0 },
      waiting: new Set(),
    }));
    await this.#makeAll();
    const startedMs = machineMs();
    let sent = 0;
    this.#timer = setInterval(() => {
      const nowMs = machineMs();
      for (; startedMs + (sent * 1_000) / rate <= nowMs; sent++) {
        const lane = this.#lanes[sent % this.#lanes.length] as Lane;
        void this.#send(lane, startedMs + (sent * 1_000) / rate);
      }
    }, tickMs);
  }

  open(): void {
    const nowMs = machineMs();
    for (const lane of this.#lanes) Object.assign(lane, { count: 0, longestMs: 0, gapMs: 0, answeredMs: nowMs });
    this.#isOpen = true;
  }

  shut(): readonly Pause[] {
    this.#isOpen = false;
    const nowMs = machineMs();
    return this.#lanes.map(({ shard, count, longestMs, gapMs, waiting, answeredMs }) => ({
      ...{ shard, count },
      longestMs: Math.max(longestMs, ...[...waiting].map((dueMs) => nowMs - dueMs)),
      gapMs: Math.max(gapMs, nowMs - answeredMs),
    }));
  }

  /** For each shard the time from then to the first answer of a command that was sent after it. */
  async first(
    shards: readonly number[],
    fromMs: number,
    one: (type: LoadType, key: string) => Promise<unknown>,
  ): Promise<readonly { shard: number; ms: number }[]> {
    const lanes = this.#lanes.filter(({ shard }) => shards.includes(shard));
    return Promise.all(
      lanes.map(async ({ shard, keys }) => {
        await one(this.#type, keys[0] as string);
        return { shard, ms: machineMs() - fromMs };
      }),
    );
  }

  totals(): PacerTotals {
    return { done: this.#done, failed: this.#failed, failures: this.#failures };
  }

  end(): PacerTotals {
    clearInterval(this.#timer);
    return this.totals();
  }

  async #makeAll(): Promise<void> {
    const all = this.#lanes.flatMap(({ keys }) => keys);
    const atOnce = this.#type === "bulk" ? 8 : 256;
    await Promise.all(
      Array.from({ length: atOnce }, async (_, lane) => {
        for (let at = lane; at < all.length; at += atOnce) await this.#one(this.#type, all[at] as string);
      }),
    );
  }

  async #send(lane: Lane, dueMs: number): Promise<void> {
    const key = lane.keys[lane.next++ % lane.keys.length] as string;
    lane.waiting.add(dueMs);
    try {
      await this.#one(this.#type, key);
      this.#done++;
      if (!this.#isOpen) return;
      const nowMs = machineMs();
      lane.count++;
      lane.longestMs = Math.max(lane.longestMs, nowMs - dueMs);
      lane.gapMs = Math.max(lane.gapMs, nowMs - lane.answeredMs);
      lane.answeredMs = nowMs;
    } catch (error) {
      this.#failed++;
      if (this.#failures.length < 5) this.#failures.push(error instanceof Error ? error.message : String(error));
    } finally {
      lane.waiting.delete(dueMs);
    }
  }
}

function keysOf(type: LoadType, shardCount: number, shards: readonly number[], entities: number) {
  const keys = new Map<number, string[]>(shards.map((shard) => [shard, []]));
  let missing = shards.length * entities;
  for (let n = 0; missing > 0; n++) {
    const of = keys.get(shardOf(type, `e${n}`, shardCount));
    if (of === undefined || of.length >= entities) continue;
    of.push(`e${n}`);
    missing--;
  }
  return keys;
}
