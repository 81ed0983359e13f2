/**
 * A node: every shard of a service in one process, over one log.
 *
 * Invariants: a caller is answered once, never from inside its own call; after a crash of the node's own code nobody is
 * answered again; `stop` loses nothing that was accepted.
 */
import type { Built, Input, RebuildOrder } from "../core/effects.ts";
import { listParked } from "../core/quarantine.ts";
import type { EntityDefinition } from "../model/entity.ts";
import type { EraseCall } from "../model/erasure.ts";
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
import type { LogReader } from "../ports/log.ts";
import { Alarm } from "./alarm.ts";
import { listCalls } from "./call-list.ts";
import { CallRunner } from "./calls.ts";
import { type Checkpointer, logOnly } from "./checkpointer.ts";
import { Committer } from "./committer.ts";
import { drained } from "./drained.ts";
import { entitiesOf } from "./entity-list.ts";
import type { FeedSource } from "./feed-source.ts";
import { figuresOf, healthOf, type Sources } from "./figures.ts";
import { IdleTick } from "./idle-tick.ts";
import type { Keep } from "./keep.ts";
import { type HoldfastNode, indexDefinitions, type NodeOptions } from "./node-options.ts";
import { Outgoing } from "./outgoing.ts";
import { makePersonal, type Personal } from "./personal.ts";
import { Rebuilder } from "./rebuilder.ts";
import { RecentFrames } from "./recent-frames.ts";
import { Recoveries, type RecoveriesOptions } from "./recoveries.ts";
import { crowded, invalidKey, notServing } from "./refusals.ts";
import type { Figures, Health, Phase, ShownCall } from "./service.ts";
import type { CallerToken, HostSurroundings, ReleaseReason, ShardHost } from "./shard-host.ts";
import { ShardRoles } from "./shard-roles.ts";
import { makeShards } from "./shards.ts";
import { SteadyTime } from "./steady-time.ts";
import { surroundingsOf } from "./surroundings.ts";
import { type Commit, countedSnapshots, Tally } from "./tally.ts";
import { WarmUp } from "./warm-up.ts";
import { startWatch } from "./watch.ts";

export type { HoldfastNode, NodeOptions } from "./node-options.ts";

/**
 * Starts a node: recovers every shard and claims it.
 * @throws `invalid-definition` two entities of one name
 * @throws `log-damaged`, `unknown-event`, `evolve-failed` the log cannot be recovered by this code
 * @throws `unavailable` it was stopped meanwhile
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

class Node implements HoldfastNode {
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  run: string;
  readonly #options: NodeOptions;
  readonly #time: SteadyTime;
  readonly #hosts: readonly ShardHost[];
  readonly #keeps: readonly Keep[];
  readonly #warmUp: WarmUp;
  readonly #tally = new Tally();
  readonly onCommit = (listener: (commit: Commit) => void): (() => void) => this.#tally.onCommit(listener);
  readonly #committer: Committer;
  readonly #calls: CallRunner;
  readonly #alarm: Alarm<ShardHost>;
  readonly #checkpointer: Checkpointer | undefined;
  readonly #around: HostSurroundings;
  readonly #outgoing: Outgoing;
  readonly #past: LogReader;
  readonly #supervise = (work: Promise<void>): void => void work.catch((error: unknown) => this.#crash(error));
  readonly #recoveries: Recoveries;
  readonly #rebuilder: Rebuilder;
  readonly #personal: Personal;
  #phase: Phase = "starting";
  #stopping: Promise<void> | undefined;
  readonly #idleTick: IdleTick;
  readonly #recent: RecentFrames;
  readonly source: FeedSource;
  readonly roles: ShardRoles | undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.limits = limitsWith(options.limits);
    this.definitions = indexDefinitions(options.entities);
    const renew = () => {
      this.run = Buffer.from(options.random.bytes(9)).toString("base64url");
    };
    this.run = "";
    renew();
    this.#time = new SteadyTime(options.clock);
    const { clock } = options;
    this.#outgoing = new Outgoing(clock, (error) => options.onFault?.("a caller's callback", error));
    const now = () => this.#time.now();
    const mark = (call: EraseCall, done: (result: CallResult) => void) =>
      this.#take(call.subject, { answer: done }, (caller) => ({ kind: "erase", ...call, caller, nowMs: now() }));
    this.#personal = makePersonal(options, { definitions: this.definitions, limits: this.limits, now, mark, renew });
    const { log, vault, door } = this.#personal;
    this.#committer = new Committer({
      log,
      clock,
      limits: this.limits,
      flush: () => this.#outgoing.flush(),
      supervise: this.#supervise,
      committed: (commit) => this.#tally.committed(commit),
      now,
    });
    this.#recent = new RecentFrames(this.limits.feedRecentBytesMax, clock);
    this.#around = this.#surroundings();
    this.#rebuilder = new Rebuilder({
      log,
      past: () => this.#past,
      clock,
      definitions: this.definitions,
      supervise: this.#supervise,
      fault: (where, error) => this.#around.fault(where, error),
      built: (shard, order, built) => this.#guard(() => this.#rebuilt(shard, order, built)),
    });
    const step = (host: ShardHost, input: Input) => this.#stepAlone(host, input);
    const moment = () => this.#moment();
    this.#alarm = new Alarm(clock, now, (host) => this.#guard(() => this.#tick(host)));
    const [seed, { definitions, limits }] = [Buffer.from(options.random.bytes(4)).readUInt32LE(), this];
    this.#calls = new CallRunner({ definitions, limits, clock, step, moment, door });
    const report = (where: string, error: unknown) => options.onFault?.(where, error);
    const { hosts, keeps, checkpointer, past } = makeShards(
      {
        count: options.shardCount ?? shardCountDefault,
        owner: { definitions, limits, seed, vault },
        log,
        state: options.state,
        snapshots: options.snapshots && countedSnapshots(options.snapshots, this.#tally),
        archive: options.archive,
        ...{ retention: options.retention, held: options.held },
        clock,
        heap: options.heap,
        report,
      },
      this.#around,
    );
    this.#hosts = hosts;
    this.#idleTick = new IdleTick(clock, () => this.#hosts.forEach((host) => this.#guard(() => this.#tick(host))));
    this.#warmUp = new WarmUp({ hosts, state: options.state, clock, limits, report });
    this.#keeps = keeps;
    this.#checkpointer = checkpointer;
    this.#past = past;
    this.source = this.#feedSource(now);
    const origins = checkpointer ?? logOnly;
    const facts = { log, clock, now, node: options.name ?? this.run, origins };
    this.#recoveries = new Recoveries(facts);
    if (options.cluster !== undefined) this.roles = this.#makeRoles(facts);
  }

  async recover(): Promise<void> {
    this.#phase = "recovering";
    try {
      if (this.roles === undefined) await this.#recoveries.all(this.#hosts);
      if (this.#phase !== "recovering")
        throw new HoldfastError("unavailable", "The node was stopped while it recovered.");
    } catch (error) {
      this.#phase = "stopped";
      throw error;
    }
    this.#phase = "serving";
    this.#idleTick.start();
    this.#checkpointer?.start();
    this.#supervise(this.#warmUp.run());
    this.#supervise(this.#personal.eraser.complete());
  }

  execute(call: CommandCall, done: (result: CallResult) => void): void {
    this.#tally.commands++;
    this.#take(call.entity, { answer: this.#personal.door.answer(call.entity.type, done) }, (caller) => ({
      kind: "command",
      call,
      caller,
      ...this.#moment(),
      appendMs: this.#committer.appendMs,
    }));
  }

  query(call: QueryCall, done: (result: CallResult) => void): void {
    this.#tally.queries++;
    const answer = this.#personal.door.answer(call.entity.type, done);
    this.#take(call.entity, { answer }, (caller) => ({ kind: "query", call, caller, nowMs: this.#time.now() }));
  }

  operate(call: OperatorCall, done: (result: CallResult) => void): void {
    this.#take(call.entity, { answer: done }, (caller) => ({ kind: "operate", call, caller, nowMs: this.#time.now() }));
  }

  quarantined(principal: Principal): readonly ParkedEntry[] {
    if (principal.kind !== "operator")
      throw new HoldfastError("forbidden", "Only an operator may see what is quarantined.");
    return this.#hosts.flatMap((host) => listParked(host.owner));
  }

  listCalls(filter: Partial<CallFilter> = {}): Promise<readonly ShownCall[]> {
    const hosts = this.#hosts.filter(({ shard }) => this.roles?.owns(shard) !== false);
    return listCalls(hosts, filter, (host, input) => this.#stepAlone(host, input));
  }

  operateCall(order: CallOrder, done: (result: CallResult) => void): void {
    const input = { kind: "operate-call", order, ...this.#moment() } as const;
    this.#take(order.entity, { answer: done }, (caller) => ({ ...input, caller }));
  }

  erase(call: EraseCall, done: (result: CallResult) => void): void {
    const answer = (result: CallResult) => this.#outgoing.add(() => done(result));
    if (this.#phase === "stopped") return answer(notServing);
    this.#supervise(this.#personal.eraser.erase(call).then(answer));
  }

  watch(call: WatchCall, listener: (news: WatchNews) => void): () => void {
    return this.#personal.door.watch(call, listener, (heard) => this.#watch(call, heard));
  }

  #watch(call: WatchCall, listener: (news: WatchNews) => void): () => void {
    const host = this.#hostOf(call.entity);
    const refusal = host === undefined ? invalidKey : this.#phase === "serving" ? undefined : notServing;
    const guard = (work: () => void) => this.#guard(work);
    return startWatch(call, listener, { host, refusal, around: this.#around, guard });
  }

  health(): Health {
    return healthOf(this.#sources());
  }

  figures(): Promise<Figures> {
    return figuresOf(this.#sources(), this.#phase === "stopped" ? undefined : this.#options.log);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose] = (): Promise<void> => this.stop();

  async #stop(): Promise<void> {
    if (this.#phase === "serving") {
      this.#phase = "draining";
      for (const host of this.#hosts) this.#guard(() => host.step({ kind: "drain" }));
      const idle = this.#calls.drain().then(() => this.#committer.idle());
      await drained(this.#options.clock, this.limits.drainMs, idle);
    }
    const complete = this.#phase === "draining";
    this.#phase = "stopped";
    this.#endWork();
    this.#outgoing.flush();
    await this.#recoveries.close(this.limits.drainMs);
    await this.#checkpointer?.close(complete);
    if (complete) await this.#warmUp.note();
    await this.#options.state?.close();
    await this.#options.snapshots?.close();
    await this.#options.archive?.close();
    await this.#personal.log.close();
  }

  /** Hands a caller's input to the owner of the entity, or says why not. */
  #take(entity: EntityRef, caller: CallerToken, input: (caller: CallerToken) => Input): void {
    const host = this.#hostOf(entity);
    if (host === undefined) this.#around.answer(caller, invalidKey);
    else if (this.#phase !== "serving" && this.#phase !== "draining") this.#around.answer(caller, notServing);
    else if (this.#checkpointer?.crowded === true) this.#around.answer(caller, crowded);
    else this.#stepAlone(host, input(caller));
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

  #surroundings(): HostSurroundings {
    return surroundingsOf({
      ...{ options: this.#options, tally: this.#tally, outgoing: this.#outgoing, supervise: this.#supervise },
      ...{ committer: this.#committer, recent: this.#recent },
      now: () => this.#time.now(),
      later: () => ({ alarm: this.#alarm, calls: this.#calls, rebuilder: this.#rebuilder }),
      route: (entity, input) => this.#route(entity, input),
      released: (host, reason) => this.#recoverAgain(host, reason),
    });
  }

  readonly take: HoldfastNode["take"] = (entity, input) => {
    const { nowMs, chance } = this.#moment();
    this.#guard(() => this.#route(entity, { ...input, nowMs, chance } as Input));
  };

  #route(entity: EntityRef, input: Input): void {
    const host = this.#hostOf(entity);
    if (host === undefined) return;
    if (this.roles?.owns(host.shard) === false) this.#options.cluster?.route(entity, input);
    else host.step(input);
  }

  #makeRoles(facts: Omit<RecoveriesOptions, "progress">): ShardRoles {
    const landed = (host: ShardHost) => this.#committer.landed(host);
    const [hosts, recent, { progress }] = [this.#hosts, this.#recent, this.#recoveries];
    return new ShardRoles({ ...facts, hosts, recent, progress, landed, guard: (work) => this.#guard(work) });
  }

  #rebuilt(shard: ShardId, order: RebuildOrder, built: Built | undefined): void {
    if (this.#phase === "stopped") return;
    this.#hosts[shard]?.step({ kind: "rebuilt", order, built, nowMs: this.#time.now() });
  }

  #tick(host: ShardHost): void {
    host.step({ kind: "tick", nowMs: this.#time.now(), chance: this.#around.chance });
  }

  /** A shard's incarnation ended: a new one recovers from the log, after the frame in flight is answered. */
  #recoverAgain(host: ShardHost, reason: ReleaseReason): void {
    if (this.roles === undefined && !this.#recoveries.expect(host)) return;
    this.#alarm.clear(host);
    this.#calls.drop(host);
    if (this.roles !== undefined) return this.#options.cluster?.released(host.shard, reason);
    this.#supervise(this.#recoveries.one(host, this.#committer.landed(host)));
  }

  #feedSource(now: () => number): FeedSource {
    const look: FeedSource["look"] = (call, done) =>
      this.#take(call.entity, { answer: done }, (caller) => ({ kind: "look", call, caller }));
    const { definitions, limits } = this;
    const [{ clock }, past, recent, shardCount] = [this.#options, this.#past, this.#recent, this.#hosts.length];
    const { openDoor } = this.#personal;
    const entities: FeedSource["entities"] = (shard, below) => entitiesOf(this.#keeps[shard], below);
    const heed = () => () => {};
    return { definitions, limits, clock, now, past, shardCount, recent, entities, heed, look, openDoor };
  }

  #sources(): Sources {
    const [hosts, keeps, tally, phase] = [this.#hosts, this.#keeps, this.#tally, this.#phase];
    const { progress, elapsedMs: recoveringMs } = this.#recoveries;
    const [{ readOnly }, { running: callsRunning }] = [this.#committer, this.#calls];
    const nowMs = this.#options.clock.monotonic();
    return { hosts, keeps, tally, phase, readOnly, progress, recoveringMs, nowMs, callsRunning };
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
    this.#checkpointer?.halt();
    this.#endWork();
    this.#options.onCrash?.(error);
  }

  #endWork(): void {
    this.#idleTick.stop();
    this.#warmUp.close();
    this.#alarm.close();
    this.#calls.close();
    this.#committer.close();
  }
}
