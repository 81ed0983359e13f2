/**
 * A node: every shard of a service in one process, over one log.
 *
 * Invariants: a caller is answered once, never from inside its own call; after a crash of the node's own code nobody is
 * answered again; `stop` loses nothing that was accepted.
 */
import { backoff } from "../core/alarms.ts";
import type { Input } from "../core/effects.ts";
import type { AnyEntity, EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, isKey, type Offset, type ShardId, shardCountDefault, shardOf } from "../model/ids.ts";
import { type Limits, limitsWith } from "../model/limits.ts";
import type { CallResult, CommandCall, QueryCall, StepRecord, WatchCall, WatchNews } from "../model/records.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { ShardLog } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import { etaMs } from "../std/progress.ts";
import { decodeFrame } from "../wire/frame.ts";
import { Alarm } from "./alarm.ts";
import { makeChance } from "./chance.ts";
import { type Checkpointer, logOnly } from "./checkpointer.ts";
import { Committer } from "./committer.ts";
import { Outgoing } from "./outgoing.ts";
import { recoverShards } from "./recovery.ts";
import type { Health, Phase, Service } from "./service.ts";
import type { CallerToken, HostSurroundings, ShardHost, Watching } from "./shard-host.ts";
import { makeShards } from "./shards.ts";
import { SteadyTime } from "./steady-time.ts";

export interface NodeOptions {
  readonly entities: readonly AnyEntity[];
  /** The node closes it when it stops. */
  readonly log: ShardLog;
  /**
   * Where entities go that are not in memory, and what a restart begins with. Left out, every entity stays in memory and
   * a restart replays the whole log. The node closes it when it stops.
   */
  readonly state?: StateStore;
  /** Where snapshots go; the log is trimmed behind them. Needs `state`. The node closes it when it stops. */
  readonly snapshots?: SnapshotStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Must be the one the log was made with. Default 256. */
  readonly shardCount?: number;
  readonly limits?: Partial<Limits>;
  /** For the log's claim records. */
  readonly name?: string;
  /** User code failed; the caller was told. No payload in either argument unless the author put it there. */
  readonly onFault?: (where: string, error: unknown) => void;
  /** An invariant or the disk is broken. The node has stopped answering; the process should end. */
  readonly onCrash?: (error: unknown) => void;
}

/** A running node. */
export interface HoldfastNode extends Service {
  /** Takes no new work, waits for what was accepted to be durable (at most `drainMs`), and closes the log. Idempotent. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

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
/** The longest a shard waits that its own code breaks again and again. Each attempt writes a claim. */
const pauseMostMs = 5_000;

class Node implements HoldfastNode {
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  readonly run: string;
  readonly #options: NodeOptions;
  readonly #time: SteadyTime;
  readonly #hosts: readonly ShardHost[];
  readonly #committer: Committer;
  readonly #alarm: Alarm<ShardHost>;
  readonly #checkpointer: Checkpointer | undefined;
  readonly #around: HostSurroundings;
  readonly #outgoing: Outgoing;
  readonly #progress = { recovered: 0, toRecover: 0 };
  #recoveryStartMs = 0;
  readonly #recovering = new Set<ShardHost>();
  /** Shards that user code broke: how often in a row, and when last. */
  readonly #broken = new Map<ShardHost, { readonly times: number; readonly atMs: number }>();
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
    this.#alarm = new Alarm(clock, now, (host) => this.#guard(() => this.#tick(host)));
    const seed = Buffer.from(options.random.bytes(4)).readUInt32LE();
    const { definitions, limits } = this;
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
    const counts = { hot: 0, lookups: 0, activations: 0 };
    for (const { owner } of this.#hosts) {
      counts.hot += owner.slots.size;
      counts.lookups += owner.slots.hits + owner.slots.activations;
      counts.activations += owner.slots.activations;
    }
    const stored = this.#checkpointer?.stored ?? 0;
    const health = { phase: this.#phase, ...this.#progress, readOnly: this.#committer.readOnly, stored, ...counts };
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
      await this.#drained();
    }
    const complete = this.#phase === "draining";
    this.#phase = "stopped";
    this.#cancelIdleTick();
    this.#alarm.close();
    this.#committer.close();
    this.#outgoing.flush();
    await this.#checkpointer?.close(complete);
    await this.#options.state?.close();
    await this.#options.snapshots?.close();
    await this.#options.log.close();
  }

  async #drained(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(this.limits.drainMs, resolve);
      void this.#committer.idle().then(() => {
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
      this.#guard(() => {
        const { pendingBytes } = host.owner;
        host.step(input(caller));
        this.#committer.nudge(host.owner.pendingBytes - pendingBytes);
      });
    }
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
      route: (entity, input) => this.#hostOf(entity)?.step(input),
      readRecord: (shard, at) => this.#readRecord(shard, at),
      fault: (where, error) => this.#options.onFault?.(where, error),
      released: (host, reason) => this.#recoverAgain(host, reason, supervise),
      now: () => this.#time.now(),
      chance: makeChance(this.#options.random),
      supervise,
    };
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
  #recoverAgain(host: ShardHost, reason: string, supervise: (work: Promise<void>) => void): void {
    if (this.#recovering.has(host)) return;
    this.#recovering.add(host);
    this.#alarm.clear(host);
    supervise(this.#recoverOne(host, reason));
  }

  async #recoverOne(host: ShardHost, reason: string): Promise<void> {
    await this.#committer.landed(host);
    if (reason === "faulty") await this.#pause(host);
    this.#recovering.delete(host);
    await recoverShards(this.#options.log, [host], this.#recoveryFacts());
  }

  /** A timer or send that broke its shard breaks it again at once: then it waits, longer each time. */
  async #pause(host: ShardHost): Promise<void> {
    const { clock } = this.#options;
    const atMs = clock.monotonic();
    const last = this.#broken.get(host);
    const times = last !== undefined && atMs - last.atMs < 2 * pauseMostMs ? last.times + 1 : 0;
    this.#broken.set(host, { times, atMs });
    if (times === 0) return;
    await new Promise<void>((resolve) => clock.after(Math.min(pauseMostMs, backoff(times - 1)), resolve));
  }

  #recoveryFacts() {
    return {
      now: () => this.#time.now(),
      node: this.#options.name ?? this.run,
      progress: this.#progress,
      origins: this.#checkpointer ?? logOnly,
    };
  }

  async #readRecord(shard: ShardId, at: Offset): Promise<StepRecord | undefined> {
    try {
      for await (const frames of this.#options.log.read(new Map([[shard, at]]))) {
        for (const frame of frames) {
          if (at < frame.at || at >= frame.at + frame.count) continue;
          const record = decodeFrame(frame.bytes, shard, frame.at, undefined).records[at - frame.at];
          return record?.kind === "step" ? record : undefined;
        }
      }
    } catch {
      // trimmed, or damaged: the caller is told that the answer is gone; the damage is found by whoever recovers
    }
    return undefined;
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
    this.#committer.close();
    this.#alarm.close();
    this.#options.onCrash?.(error);
  }
}

function indexDefinitions(entities: readonly AnyEntity[]): Map<string, EntityDefinition> {
  const definitions = new Map<string, EntityDefinition>();
  for (const entity of entities) {
    if (definitions.has(entity.name))
      throw new HoldfastError("invalid-definition", `Two entities are named "${entity.name}"; rename one.`);
    definitions.set(entity.name, entity);
  }
  return definitions;
}
