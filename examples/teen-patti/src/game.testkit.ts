/**
 * Helpers of the game's tests: the real node over a memory log, a clock that only tests move, and people who act in it.
 *
 * Invariant: nothing here waits for wall time; `settle` waits until the log has not grown for several turns of the event
 * loop, which is when every send and reply has arrived.
 */
import assert from "node:assert/strict";
import { type CallResult, type HoldfastNode, type Principal, startNode } from "holdfast";
import { MemoryKeys, openMemoryKeys } from "../../../src/adapters/keys/memory.ts";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../../../src/adapters/memory/log.ts";
import { systemClock as nodeClock } from "../../../src/adapters/system/clock.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import type { StepRecord } from "../../../src/model/records.ts";
import type { Clock } from "../../../src/ports/clock.ts";
import { makeUuidV7 } from "../../../src/std/uuid.ts";
import { decodeFrame } from "../../../src/wire/frame.ts";
import { Audit } from "./audit.ts";
import type { Door } from "./bots/door.ts";
import type { MeView, TableSettings, TableView } from "./contract.ts";
import { entities } from "./entities.ts";
import { settingsFor } from "./lobby.ts";
import type { Move } from "./rules/moves.ts";

export const SHARDS = 8;
const QUIET_TURNS = 10;

export class ManualClock implements Clock {
  #nowMs = 1_800_000_000_000;
  #due: { atMs: number; callback: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  after(ms: number, callback: () => void): () => void {
    const item = { atMs: this.#nowMs + Math.max(0, ms), callback };
    this.#due.push(item);
    return () => {
      this.#due = this.#due.filter((of) => of !== item);
    };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }

  /** Moves time and calls back what is due. */
  move(ms: number): void {
    this.#nowMs += ms;
    const due = this.#due.filter(({ atMs }) => atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#due = this.#due.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { callback } of due) callback();
  }
}

export class Game {
  readonly store: MemoryStore;
  readonly clock: ManualClock;
  readonly keys = new MemoryKeys();
  readonly faults: string[] = [];
  #node: HoldfastNode | undefined;

  constructor(store = createMemoryStore(SHARDS), clock = new ManualClock()) {
    this.store = store;
    this.clock = clock;
  }

  get node(): HoldfastNode {
    assert.ok(this.#node);
    return this.#node;
  }

  async start(): Promise<this> {
    this.#node = await startNode({
      entities,
      log: openMemoryLog({ store: this.store }),
      keys: await openMemoryKeys({ store: this.keys, random: systemRandom }),
      clock: this.clock,
      random: systemRandom,
      shardCount: SHARDS,
      onFault: (where, error) => this.faults.push(`${where}: ${String(error)}`),
      onCrash: (error) => {
        throw error;
      },
    });
    return this;
  }

  /** Stops, and starts again on the same log after so long. */
  async restart(outageMs = 0): Promise<void> {
    await this.node.stop();
    this.clock.move(outageMs);
    await this.start();
    await this.pass(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.stop();
    assert.deepEqual(this.faults, []);
  }

  run(principal: Principal, place: string, command: string, input?: unknown): Promise<CallResult> {
    const [type = "", key = ""] = place.split("/");
    const requestId = makeUuidV7(this.clock.now(), systemRandom.bytes(16));
    const call = { entity: { type, key }, command, input, requestId, principal };
    return new Promise((resolve) => this.node.execute(call, resolve));
  }

  /** Runs a command as a user. Gives the reply, or the reason of the refusal as text. */
  async as(user: string, place: string, command: string, input?: unknown): Promise<unknown> {
    const result = await this.run({ kind: "user", id: user }, place, command, input);
    if (result.ok) return result.value;
    assert.ok(result.code === "rejected", `${place} ${command}: ${result.code} ${result.detail}`);
    return result.reason;
  }

  query(principal: Principal, place: string, query: string, input?: unknown): Promise<CallResult> {
    const [type = "", key = ""] = place.split("/");
    return new Promise((resolve) => this.node.query({ entity: { type, key }, query, input, principal }, resolve));
  }

  async view(user: string, place: string, view: string): Promise<unknown> {
    const [type = "", key = ""] = place.split("/");
    const principal = { kind: "user", id: user } as const;
    let stop = (): void => {};
    const value = await new Promise((resolve, reject) => {
      stop = this.node.watch({ entity: { type, key }, view, principal }, (news) =>
        news.ok ? resolve(news.value) : reject(new Error(news.detail)),
      );
    });
    stop();
    return value;
  }

  async me(user: string): Promise<MeView> {
    return (await this.view(user, `player/${user}`, "me")) as MeView;
  }

  async table(user: string, table = "t"): Promise<TableView> {
    return (await this.view(user, `table/${table}`, "seat")) as TableView;
  }

  async settle(): Promise<void> {
    let quiet = 0;
    for (let size = -1; quiet < QUIET_TURNS; quiet++) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = this.store.shards.reduce((total, { tail }) => total + tail, 0);
      if (now !== size) quiet = 0;
      size = now;
    }
  }

  async pass(ms: number): Promise<void> {
    this.clock.move(ms);
    await this.settle();
  }

  async open(table = "t", changes: Partial<TableSettings["config"]> = {}, boot = 10): Promise<void> {
    const settings = settingsFor(boot, { config: changes, buyInMin: boot, buyInMax: 100_000 });
    const result = await this.run({ kind: "operator", id: "o" }, "lobby/main", "openTable", { table, settings });
    assert.ok(result.ok);
    await this.settle();
  }

  /** Joins and sits down. */
  async seat(user: string, buyIn = 1_000, seat?: number, table = "t"): Promise<void> {
    await this.as(user, `player/${user}`, "join", { name: user });
    await this.as(user, `player/${user}`, "sit", { table, buyIn, ...(seat === undefined ? {} : { seat }) });
    await this.settle();
  }

  /** Makes a move of this type, as the view offers it. */
  async move(user: string, type: Move["type"], table = "t"): Promise<unknown> {
    const { hand, moves } = await this.table(user, table);
    const move = moves.find((of) => of.type === type);
    assert.ok(move, `${user} cannot ${type}, but ${moves.map((of) => of.type).join(", ")}`);
    const reply = await this.as(user, `table/${table}`, "act", {
      handNumber: hand.handNumber,
      turn: hand.turn,
      move,
    });
    await this.settle();
    return reply;
  }

  /** Every step record of the log with its offset, shard by shard. */
  async records(): Promise<{ record: StepRecord; offset: number }[]> {
    return readRecords(this.store);
  }

  async audit(): Promise<Audit> {
    const audit = new Audit();
    for (const { record } of await this.records()) audit.take(record);
    assert.deepEqual(audit.totals().problems, []);
    return audit;
  }
}

export async function readRecords(store: MemoryStore): Promise<{ record: StepRecord; offset: number }[]> {
  const log = openMemoryLog({ store });
  const from = new Map(store.shards.map((_, shard) => [shard, 1]));
  const found: { record: StepRecord; offset: number }[] = [];
  for await (const frames of log.read(from)) {
    for (const frame of frames) {
      const { records } = decodeFrame(frame.bytes, frame.shard, frame.at, undefined);
      for (const [at, record] of records.entries()) {
        if (record.kind === "step") found.push({ record, offset: frame.at + at });
      }
    }
  }
  await log.close();
  return found;
}

export async function startGame(): Promise<Game> {
  return new Game().start();
}

/** A bot's door without a network: the same commands and views, on the node itself. */
export function nodeDoor(node: HoldfastNode, user: string): Door {
  const principal = { kind: "user", id: user } as const;
  const stops = new Set<() => void>();
  return {
    execute(type, key, command, input) {
      const requestId = makeUuidV7(nodeClock.now(), systemRandom.bytes(16));
      return new Promise((resolve, reject) =>
        node.execute({ entity: { type, key }, command, input, requestId, principal }, (result) =>
          result.ok ? resolve(result.value) : reject(new Error(`${result.code} ${result.reason ?? result.detail}`)),
        ),
      );
    },
    watch(type, key, view, listener) {
      const stop = node.watch({ entity: { type, key }, view, principal }, (news) => {
        if (news.ok) listener(news.value);
      });
      stops.add(stop);
      return () => {
        stops.delete(stop);
        stop();
      };
    },
    async close() {
      for (const stop of stops) stop();
    },
  };
}
