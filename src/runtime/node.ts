/**
 * A node: every shard of a service in one process, over one log.
 *
 * Invariants: a caller is answered once, never from inside its own call; after a crash of the node's own code nobody is
 * answered again; `stop` loses nothing that was accepted.
 */
import type { Built, Input, RebuildOrder } from "../core/effects.ts";
import { listParked } from "../core/quarantine.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, isKey, type ShardId, shardCountDefault, shardOf } from "../model/ids.ts";
import { type Limits, limitsWith } from "../model/limits.ts";
import type { OperatorCall, ParkedEntry } from "../model/marks.ts";
import type {
  CallFilter,
  CallOrder,
  CallResult,
  CommandCall,
  Principal,
  QueryCall,
  WatchCall,
  WatchNews,
} from "../model/records.ts";
import { etaMs } from "../std/progress.ts";
import { Alarm } from "./alarm.ts";
import { listCalls } from "./call-list.ts";
import { CallRunner } from "./calls.ts";
import { makeChance } from "./chance.ts";
import { type Checkpointer, logOnly } from "./checkpointer.ts";
import { Committer } from "./committer.ts";
import { countEntities } from "./count-entities.ts";
import { type HoldfastNode, indexDefinitions, type NodeOptions } from "./node-options.ts";
import { Outgoing } from "./outgoing.ts";
import { readStep } from "./read-step.ts";
import { Rebuilder } from "./rebuilder.ts";
import { recoverShards } from "./recovery.ts";
import type { Health, Phase, ShownCall } from "./service.ts";
import type { CallerToken, HostSurroundings, ShardHost, Watching } from "./shard-host.ts";
import { makeShards } from "./shards.ts";
import { SteadyTime } from "./steady-time.ts";

export type { HoldfastNode, NodeOptions } from "./node-options.ts";

/**
 * Starts a node: recovers every shard and claims it.
 * @throws `invalid-definition` two entities of one name
 * @throws `log-damaged`, `unknown-event`, `evolve-failed` the log cannot be recovered by this code
 */
export async function startNode(options: NodeOptions): Promise<HoldfastNode> {
  const node = prepareNode(options);
  await node.recover();
  return node;
}

/**
 * A node that is not started: it answers `unavailable` until `recover`, called once, has resolved. For a door that opens
 * first, so that its health endpoint can tell how far the recovery is.
 */
export function prepareNode(options: NodeOptions): HoldfastNode & { recover(): Promise<void> } {
  return new Node(options);
}

const idleTickMs = 30_000;

class Node implements HoldfastNode {
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  readonly run: string;
  readonly #options: NodeOptions;
  readonly #time: SteadyTime;
  readonly #hosts: readonly ShardHost[];
  readonly #committer: Committer;
  readonly #calls: CallRunner;
  readonly #alarm: Alarm<ShardHost>;
  readonly #checkpointer: Checkpointer | undefined;
  readonly #around: HostSurroundings;
  readonly #outgoing: Outgoing;
  readonly #progress = { recovered: 0, toRecover: 0 };
  #recoveryStartMs = 0;
  readonly #recovering = new Set<ShardHost>();
  readonly #rebuilder: Rebuilder;
  #overBudget = 0;
  #phase: Phase = "starting";
  #stopping: Promise<void> | undefined;
  #cancelIdleTick: () => void = () => {};

  constructor(options: NodeOptions) {
    this.#options = options;
    this.limits = limitsWith(options.limits);
    this.definitions = indexDefinitions(options.entities);
    this.run = Buffer.from(options.random.bytes(9)).toString("base64url");
    this.#time = new SteadyTime(options.clock);
    const { log, clock } = options;
    const supervise = (work: Promise<void>) => void work.catch((error: unknown) => this.#crash(error));
    this.#outgoing = new Outgoing(options.clock, (error) => options.onFault?.("a caller's callback", error));
    const now = () => this.#time.now();
    this.#committer = new Committer({
      log,
      clock,
      limits: this.limits,
      flush: () => this.#outgoing.flush(),
      supervise,
      now,
    });
    this.#around = this.#surroundings(supervise);
    this.#rebuilder = new Rebuilder({
      log,
      definitions: this.definitions,
      supervise,
      fault: (where, error) => this.#around.fault(where, error),
      built: (shard, order, built) => this.#guard(() => this.#rebuilt(shard, order, built)),
    });
    const step = (host: ShardHost, input: Input) => this.#stepAlone(host, input);
    const moment = () => this.#moment();
    this.#alarm = new Alarm(clock, now, (host) => this.#guard(() => this.#tick(host)));
    const seed = Buffer.from(options.random.bytes(4)).readUInt32LE();
    const { definitions, limits } = this;
    this.#calls = new CallRunner({ definitions, limits, clock, step, moment });
    const { hosts, checkpointer } = makeShards(
      {
        count: options.shardCount ?? shardCountDefault,
        owner: { definitions, limits, seed },
        log,
        state: options.state,
        snapshots: options.snapshots,
        clock,
        report: (where, error) => options.onFault?.(where, error),
      },
      this.#around,
    );
    this.#hosts = hosts;
    this.#checkpointer = checkpointer;
  }

  async recover(): Promise<void> {
    this.#phase = "recovering";
    const { log, clock } = this.#options;
    this.#recoveryStartMs = clock.monotonic();
    try {
      await recoverShards(log, this.#hosts, this.#recoveryFacts());
    } catch (error) {
      this.#phase = "stopped";
      throw error;
    }
    this.#phase = "serving";
    this.#scheduleIdleTick();
    this.#checkpointer?.start();
  }

  execute(call: CommandCall, done: (result: CallResult) => void): void {
    this.#take(call.entity, { answer: done }, (caller) => ({
      kind: "command",
      call,
      caller,
      nowMs: this.#time.now(),
      chance: this.#around.chance,
      appendMs: this.#committer.appendMs,
    }));
  }

  query(call: QueryCall, done: (result: CallResult) => void): void {
    this.#take(call.entity, { answer: done }, (caller) => ({ kind: "query", call, caller, nowMs: this.#time.now() }));
  }

  operate(call: OperatorCall, done: (result: CallResult) => void): void {
    this.#take(call.entity, { answer: done }, (caller) => ({ kind: "operate", call, caller, nowMs: this.#time.now() }));
  }

  quarantined(principal: Principal): readonly ParkedEntry[] {
    if (principal.kind !== "operator")
      throw new HoldfastError("forbidden", "Only an operator may see what is quarantined.");
    return this.#hosts.flatMap((host) => listParked(host.owner));
  }

  async listCalls(filter: Partial<CallFilter> = {}): Promise<readonly ShownCall[]> {
    return await listCalls(this.#hosts, filter, (host, input) => this.#stepAlone(host, input));
  }

  operateCall(order: CallOrder, done: (result: CallResult) => void): void {
    this.#take(order.entity, { answer: done }, (caller) => ({
      kind: "operate-call",
      order,
      caller,
      ...this.#moment(),
    }));
  }

  watch(call: WatchCall, listener: (news: WatchNews) => void): () => void {
    const watching: Watching = { listener, over: false };
    const host = this.#hostOf(call.entity);
    if (this.#phase !== "serving" || host === undefined) {
      const detail =
        host === undefined
          ? "A key is 1 to 128 of letters, digits, _ and -."
          : "The node is not serving; subscribe again.";
      this.#around.publish(watching, { ok: false, code: host === undefined ? "invalid-key" : "unavailable", detail });
    } else {
      this.#guard(() => host.step({ kind: "watch", call, watcher: watching }));
    }
    return () => {
      if (watching.over) return;
      watching.over = true;
      this.#guard(() => host?.step({ kind: "unwatch", watcher: watching }));
    };
  }

  health(): Health {
    // a node that has stopped has closed its state store
    const stored = this.#phase === "stopped" ? 0 : (this.#checkpointer?.stored ?? 0);
    const { readOnly } = this.#committer;
    const overBudget = this.#overBudget;
    const counts = countEntities(this.#hosts);
    const health = { phase: this.#phase, ...this.#progress, readOnly, stored, overBudget, ...counts };
    if (this.#phase !== "recovering") return health;
    const { recovered, toRecover } = this.#progress;
    const leftMs = etaMs(recovered, toRecover, this.#options.clock.monotonic() - this.#recoveryStartMs);
    return leftMs === undefined ? health : { ...health, etaMs: leftMs };
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    if (this.#phase === "serving") {
      this.#phase = "draining";
      for (const host of this.#hosts) this.#guard(() => host.step({ kind: "drain" }));
      await this.#drained(this.#calls.drain());
    }
    const complete = this.#phase === "draining";
    this.#phase = "stopped";
    this.#cancelIdleTick();
    this.#alarm.close();
    this.#calls.close();
    this.#committer.close();
    this.#outgoing.flush();
    await this.#checkpointer?.close(complete);
    await this.#options.state?.close();
    await this.#options.snapshots?.close();
    await this.#options.log.close();
  }

  async #drained(called: Promise<void>): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(this.limits.drainMs, resolve);
      void called
        .then(() => this.#committer.idle())
        .then(() => {
          cancel();
          resolve();
        });
    });
  }

  /** Hands a caller's input to the owner of the entity, or says why not. */
  #take(entity: EntityRef, caller: CallerToken, input: (caller: CallerToken) => Input): void {
    const host = this.#hostOf(entity);
    if (host === undefined) {
      this.#around.answer(caller, {
        ok: false,
        code: "invalid-key",
        detail: "A key is 1 to 128 of letters, digits, _ and -.",
      });
    } else if (this.#phase !== "serving" && this.#phase !== "draining") {
      this.#around.answer(caller, {
        ok: false,
        code: "unavailable",
        detail: "The node is not serving; send the same request again.",
      });
    } else if (this.#checkpointer?.crowded === true) {
      const detail = "More entities are in memory than there is room for; send the same request again.";
      this.#around.answer(caller, { ok: false, code: "overloaded", detail });
    } else {
      this.#stepAlone(host, input(caller));
    }
  }

  /** A step that is not part of another one. */
  #stepAlone(host: ShardHost, input: Input): void {
    this.#guard(() => {
      const { pendingBytes } = host.owner;
      host.step(input);
      this.#committer.nudge(host.owner.pendingBytes - pendingBytes);
    });
  }

  #moment() {
    return { nowMs: this.#time.now(), chance: this.#around.chance };
  }

  #hostOf(entity: EntityRef): ShardHost | undefined {
    if (!isKey(entity.key) || typeof entity.type !== "string") return undefined;
    return this.#hosts[shardOf(entity.type, entity.key, this.#hosts.length)];
  }

  #surroundings(supervise: (work: Promise<void>) => void): HostSurroundings {
    return {
      answer: (caller, result) => this.#outgoing.add(() => caller.answer(result), result.durable === false),
      publish: (watching, news) =>
        this.#outgoing.add(() => {
          if (watching.over) return;
          if (!news.ok) watching.over = true;
          watching.listener(news);
        }),
      pending: (host, byMs) => this.#committer.add(host, byMs),
      wake: (host, atMs) => this.#alarm.set(host, atMs),
      rebuild: (host, order) => this.#rebuilder.add(host.shard, order),
      monotonic: () => this.#options.clock.monotonic(),
      overBudget: () => {
        this.#overBudget++;
      },
      call: (host, effect) => this.#calls.start(host, effect),
      route: (entity, input) => this.#hostOf(entity)?.step(input),
      readRecord: (shard, at) => readStep(this.#options.log, shard, at),
      fault: (where, error) => this.#options.onFault?.(where, error),
      released: (host) => this.#recoverAgain(host, supervise),
      now: () => this.#time.now(),
      chance: makeChance(this.#options.random),
      supervise,
    };
  }

  #rebuilt(shard: ShardId, order: RebuildOrder, built: Built | undefined): void {
    if (this.#phase === "stopped") return;
    this.#hosts[shard]?.step({ kind: "rebuilt", order, built, nowMs: this.#time.now() });
  }

  #tick(host: ShardHost): void {
    host.step({ kind: "tick", nowMs: this.#time.now(), chance: this.#around.chance });
  }

  #scheduleIdleTick(): void {
    this.#cancelIdleTick = this.#options.clock.after(idleTickMs, () => {
      if (this.#phase !== "serving") return;
      for (const host of this.#hosts) this.#guard(() => this.#tick(host));
      this.#scheduleIdleTick();
    });
  }

  /** A shard's incarnation ended: a new one recovers from the log, after the frame in flight is answered. */
  #recoverAgain(host: ShardHost, supervise: (work: Promise<void>) => void): void {
    if (this.#recovering.has(host)) return;
    this.#recovering.add(host);
    this.#alarm.clear(host);
    this.#calls.drop(host);
    supervise(this.#recoverOne(host));
  }

  async #recoverOne(host: ShardHost): Promise<void> {
    await this.#committer.landed(host);
    this.#recovering.delete(host);
    await recoverShards(this.#options.log, [host], this.#recoveryFacts());
  }

  #recoveryFacts() {
    return {
      now: () => this.#time.now(),
      node: this.#options.name ?? this.run,
      progress: this.#progress,
      origins: this.#checkpointer ?? logOnly,
    };
  }

  /** Runs core code; what it throws is a broken invariant of ours. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#crash(error);
    }
  }

  #crash(error: unknown): void {
    if (this.#phase === "stopped") return;
    this.#phase = "stopped";
    this.#outgoing.drop();
    this.#cancelIdleTick();
    this.#checkpointer?.halt();
    this.#committer.close();
    this.#calls.close();
    this.#alarm.close();
    this.#options.onCrash?.(error);
  }
}
