/**
 * A whole node in the test's process: over a log in memory, on a clock that moves only when it is told to, with chance
 * from a seed.
 *
 *   await using node = await startTestNode({ entities: [wallet] });
 *   await node.execute(wallet, "alice", "credit", { amount: 5 });
 *   await node.restart();                      // a crash: what was not durable is gone
 *   await node.advance(60_000);                // due timers run, sends are tried again
 *   assert.equal((await node.query(wallet, "alice", "balance")).value, 5);
 *
 * Invariant: it is the node that runs in production; only log, clock and chance are other ones. No real time passes.
 */
import { MemoryKeys, openMemoryKeys } from "../adapters/keys/memory.ts";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { passUntil, settle } from "../adapters/virtual/drive.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import type { CommandsOf, QueriesOf, Reply, ViewsOf } from "../client/types.ts";
import type { AnyEntity } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { EntityRef } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult, Principal, WatchNews } from "../model/records.ts";
import type { ShardLog } from "../ports/log.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import type { InputAnd, InputIn, ReplyIn } from "./types.ts";

export interface TestNodeOptions {
  readonly entities: readonly AnyEntity[];
  /** Of `ctx.random` and request ids. Default 1. */
  readonly seed?: number;
  /** Where the clock starts, ms since 1970. Default 2026-01-01. */
  readonly nowMs?: number;
  /** Default 8. */
  readonly shardCount?: number;
  readonly limits?: Partial<Limits>;
}

export interface TestCallOptions {
  /** Default: user `tester`. */
  readonly principal?: Principal;
}

export interface TestExecuteOptions extends TestCallOptions {
  /** To repeat a command. Default: a new one. */
  readonly requestId?: string;
  readonly ifVersion?: number;
}

/** Starts a node. Stop it, or declare it with `await using`. */
export async function startTestNode(options: TestNodeOptions): Promise<TestNode> {
  const node = new TestNode(options);
  await node.restart();
  return node;
}

const tester: Principal = { kind: "user", id: "tester" };

export class TestNode {
  /** What the authors' code threw, in order. The callers were told only that it did. */
  readonly faults: { readonly where: string; readonly error: unknown }[] = [];
  readonly #options: TestNodeOptions;
  readonly #timeline = new Timeline();
  readonly #prng: Prng;
  readonly #store;
  readonly #keys = new MemoryKeys();
  readonly #waiting = new Set<(error: HoldfastError) => void>();
  readonly #watches = new Set<(news: WatchNews) => void>();
  #life: { readonly node: HoldfastNode; readonly clock: VirtualClock; over: boolean } | undefined;
  #crash: unknown;

  constructor(options: TestNodeOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed ?? 1);
    this.#store = createMemoryStore(options.shardCount ?? 8);
  }

  /** The node itself, of this life: for the gateway, or for calls that the helpers do not make. */
  get node(): HoldfastNode {
    if (this.#crash !== undefined) throw this.#crash;
    if (this.#life === undefined) throw new HoldfastError("unavailable", "The test node was stopped.");
    return this.#life.node;
  }

  /** The node's time, ms since 1970. */
  now(): number {
    return this.#life?.clock.now() ?? 0;
  }

  /** A new request id of now. */
  requestId(): string {
    return makeUuidV7(this.now(), this.#prng.bytes(16));
  }

  /**
   * Runs a command; resolved means it is durable, unless the reply says `durable: false`.
   * @throws HoldfastError as the client does; `rejected` has `details.reason` and `details.details`
   */
  async execute<Entity extends AnyEntity, Name extends keyof CommandsOf<Entity> & string>(
    entity: Entity,
    key: string,
    command: Name,
    ...rest: InputAnd<InputIn<CommandsOf<Entity>, Name>, TestExecuteOptions>
  ): Promise<Reply<ReplyIn<CommandsOf<Entity>, Name>>> {
    const [input, { principal = tester, requestId = this.requestId(), ...more } = {}] = rest as [
      unknown,
      TestExecuteOptions | undefined,
    ];
    const call = { entity: { type: entity.name, key }, command, input, requestId, principal, ...more };
    return (await this.#answered((done) => this.node.execute(call, done))) as Reply<ReplyIn<CommandsOf<Entity>, Name>>;
  }

  /** @throws HoldfastError as the client does */
  async query<Entity extends AnyEntity, Name extends keyof QueriesOf<Entity> & string>(
    entity: Entity,
    key: string,
    query: Name,
    ...rest: InputAnd<InputIn<QueriesOf<Entity>, Name>, TestCallOptions>
  ): Promise<Reply<ReplyIn<QueriesOf<Entity>, Name>>> {
    const [input, { principal = tester } = {}] = rest as [unknown, TestCallOptions | undefined];
    const call = { entity: { type: entity.name, key }, query, input, principal };
    return (await this.#answered((done) => this.node.query(call, done))) as Reply<ReplyIn<QueriesOf<Entity>, Name>>;
  }

  /**
   * Watches a view. `news` fills as the node tells; a restart ends it with `unavailable`, as for a client's connection.
   * @returns what was told so far, and how to stop
   */
  async watch<Entity extends AnyEntity, Name extends keyof ViewsOf<Entity> & string>(
    entity: Entity,
    key: string,
    view: Name,
    { principal = tester }: TestCallOptions = {},
  ): Promise<{ readonly news: readonly TestNews<ViewsOf<Entity>[Name]>[]; stop(): void }> {
    const news: WatchNews[] = [];
    const listener = (item: WatchNews) => {
      news.push(item);
      if (!item.ok) this.#watches.delete(listener);
    };
    this.#watches.add(listener);
    const end = this.node.watch({ entity: { type: entity.name, key }, view, principal }, listener);
    await this.#pump();
    const stop = () => {
      this.#watches.delete(listener);
      end();
    };
    return { news: news as TestNews<ViewsOf<Entity>[Name]>[], stop };
  }

  /** Erases the personal data of a subject, as an operator would have it done. */
  async erase(subject: EntityRef, principal: Principal = { kind: "operator", id: "tester" }): Promise<Reply<unknown>> {
    return await this.#answered((done) => this.node.erase({ subject, principal }, done));
  }

  /** Lets time pass: timers fire, what failed is tried again. */
  async advance(ms: number): Promise<void> {
    await passUntil(this.#timeline, this.#timeline.nowMs + ms);
    void this.node; // says so if the node has crashed
  }

  /** Crashes the process and starts it again: memory is lost, the log stays. Calls under way end with `outcome-unknown`. */
  async restart(): Promise<void> {
    this.#end();
    const { entities, nowMs, shardCount = 8, limits } = this.#options;
    const clock = new VirtualClock({ timeline: this.#timeline, ...(nowMs === undefined ? {} : { wallMs: nowMs }) });
    const life = { over: false };
    const random = { bytes: (count: number) => this.#prng.bytes(count) };
    const starting = startNode({
      entities,
      log: mortal(openMemoryLog({ store: this.#store }), life),
      keys: await openMemoryKeys({ store: this.#keys, random, life }),
      clock,
      random,
      shardCount,
      ...(limits === undefined ? {} : { limits }),
      onFault: (where, error) => this.faults.push({ where, error }),
      onCrash: (error) => {
        if (!life.over) this.#crash = error;
      },
    });
    this.#life = Object.assign(life, { node: await starting, clock });
    await this.#pump();
  }

  /** Stops in good order. Idempotent. */
  async stop(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    let stopped = false;
    const stopping = life.node.stop().then(() => {
      stopped = true;
    });
    await this.#pump();
    // handlers of calls that run on are given their time
    while (!stopped && this.#timeline.runNext()) await settle();
    await stopping;
    this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #end(): void {
    if (this.#life !== undefined) {
      this.#life.over = true;
      this.#life.clock.stop();
      this.#life = undefined;
    }
    const detail = "The test node was restarted; send the same request again.";
    for (const refuse of this.#waiting) refuse(new HoldfastError("outcome-unknown", detail));
    for (const listener of [...this.#watches]) listener({ ok: false, code: "unavailable", detail });
    this.#waiting.clear();
    this.#watches.clear();
  }

  async #answered(ask: (done: (result: CallResult) => void) => void): Promise<Reply<unknown>> {
    const answer = new Promise<CallResult>((resolve, reject) => {
      this.#waiting.add(reject);
      ask((result) => {
        if (this.#waiting.delete(reject)) resolve(result);
      });
    });
    const [result] = await Promise.all([answer, this.#pump()]);
    const { version, durable } = result;
    const early = durable === false ? { durable } : undefined;
    if (result.ok) return { value: result.value, version: result.version, ...early };
    const { code, detail, reason, details } = result;
    throw new HoldfastError(code, detail, { details: { reason, details, version, ...early } });
  }

  /** Runs what is due now. */
  #pump(): Promise<void> {
    return passUntil(this.#timeline, this.#timeline.nowMs);
  }
}

export type TestNews<View> =
  | { readonly ok: true; readonly version: number; readonly value: View }
  | Extract<WatchNews, { ok: false }>;

/** A log whose answers stop with the process that asked. */
function mortal(log: ShardLog, life: { readonly over: boolean }): ShardLog {
  const living = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer;
    return life.over ? new Promise<T>(() => {}) : value;
  };
  return {
    tail: (shards) => living(log.tail(shards)),
    claim: (claims) => living(log.claim(claims)),
    append: (appends) => living(log.append(appends)),
    read: (from) => log.read(from),
    trim: (shard, before) => log.trim(shard, before),
    close: () => log.close(),
  };
}
