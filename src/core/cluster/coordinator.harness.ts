/**
 * A small cluster around a coordinator, for its tests: a store of members and assignments, and nodes that do what pictures say.
 *
 * The nodes are simple, but as honest as real ones: the log's fence decides who owns, a standby takes a while to be ready, and a
 * target of a move takes over only with an owner that it reaches.
 */
import assert from "node:assert/strict";
import {
  type NodeInfo,
  type NodeRef,
  type NodeReport,
  type ShardReport,
  type ShardTarget,
  sameNode,
} from "../../model/cluster.ts";
import { stepCoordinator } from "./coordinator.ts";
import {
  type AssignmentChange,
  type AssignmentOutcome,
  type Coordinator,
  type CoordinatorEffect,
  type CoordinatorInput,
  type CoordinatorOptions,
  coordinatorDefault,
  makeCoordinator,
  type OperatorVerb,
} from "./coordinator-state.ts";

export const stepMs = 100;
export const leaseMs = 4_000;

interface Process {
  readonly ref: NodeRef;
  info: NodeInfo;
  /** Killed or hung: it does nothing. What is hung may wake up. */
  state: "runs" | "killed" | "hangs";
  renewedMs: number;
  /** Shards that it follows, and since when. */
  readonly follows: Map<number, number>;
}

interface Stored {
  version: number;
  target: ShardTarget;
}

export interface ClusterOptions extends Partial<CoordinatorOptions> {
  readonly shardCount?: number;
  /** How long a standby catches up. */
  readonly catchUpMs?: number;
  /** How long a write to the store takes to arrive, and its answer as long again. */
  readonly writeMs?: number;
}

export class TestCluster {
  nowMs = 0;
  readonly options: Omit<CoordinatorOptions, "self">;
  readonly catchUpMs: number;
  readonly writeMs: number;
  readonly members = new Map<string, Process>();
  readonly killed: Process[] = [];
  readonly assignments = new Map<number, Stored>();
  readonly log: { epoch: number; owner: NodeRef | undefined }[];
  /** Of ordered pairs `from>to`: what is sent does not arrive. */
  readonly cuts = new Set<string>();
  /** Nodes that never hand over, or never take over. */
  readonly stuck = new Set<string>();
  readonly answers: { readonly verb: OperatorVerb; readonly code: string | undefined }[] = [];
  readonly changes: AssignmentChange[] = [];
  readonly evicted: string[] = [];
  coordinator!: Coordinator;
  /** What becomes of the next changes, in place of what the store says. */
  lostAnswers = 0;
  readonly #later: { readonly atMs: number; readonly run: () => void }[] = [];
  #generations = 0;
  #version = 1;
  #shown = "";

  constructor(options: ClusterOptions = {}) {
    const { catchUpMs = 500, writeMs = 0, ...rest } = options;
    this.options = { ...coordinatorDefault, shardCount: 12, ...rest };
    this.catchUpMs = catchUpMs;
    this.writeMs = writeMs;
    this.log = Array.from({ length: this.options.shardCount }, () => ({ epoch: 0, owner: undefined }));
  }

  join(node: string, info: Partial<NodeInfo> = {}): NodeRef {
    const ref = { node, generation: ++this.#generations };
    const before = this.members.get(node);
    if (before !== undefined) before.state = "killed";
    this.members.set(node, {
      ref,
      info: { peer: `ws://${node}`, ...info },
      state: "runs",
      renewedMs: this.nowMs,
      follows: new Map(),
    });
    this.#version++;
    return ref;
  }

  describe(node: string, info: Partial<NodeInfo>): void {
    this.process(node).info = { peer: `ws://${node}`, ...info };
    this.#version++;
  }

  /** Somebody takes the lease of the coordinator, and knows nothing. */
  coordinate(node: string): Coordinator {
    const { ref } = this.process(node);
    this.coordinator = makeCoordinator({ ...this.options, self: ref });
    this.#shown = "";
    return this.coordinator;
  }

  process(node: string): Process {
    return this.members.get(node) as Process;
  }

  /** Ends what was sent from the one to the other. The connection of both is over. */
  cut(from: string, to: string): void {
    this.cuts.add(`${from}>${to}`);
  }

  isolate(node: string): void {
    for (const other of this.members.keys()) if (other !== node) this.cut(node, other);
  }

  verb(verb: OperatorVerb): void {
    this.step({ nowMs: this.nowMs, kind: "verb", verb, caller: verb });
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += stepMs;
      for (const { run } of this.#later.splice(0, this.#later.filter(({ atMs }) => atMs <= this.nowMs).length)) run();
      for (const process of [...this.members.values()]) if (process.state === "runs") this.#runNode(process);
      const self = this.members.get(this.coordinator.options.self.node);
      if (!sameNode(self?.ref, this.coordinator.options.self) || self?.state !== "runs") continue;
      this.#show();
      for (const process of this.members.values())
        if (process.state === "runs" && this.#reaches(process, self))
          this.step({ nowMs: this.nowMs, kind: "report", report: this.reportOf(process) });
      this.step({ nowMs: this.nowMs, kind: "tick" });
    }
  }

  step(input: CoordinatorInput): void {
    const effects: CoordinatorEffect[] = [];
    stepCoordinator(this.coordinator, input, effects);
    for (const effect of effects) this.#perform(effect);
  }

  target(shard: number): ShardTarget | undefined {
    return this.assignments.get(shard)?.target;
  }

  targets(): readonly (ShardTarget | undefined)[] {
    return this.log.map((_, shard) => this.target(shard));
  }

  /** Shards whose target names the node as owner. */
  owned(node: string): number[] {
    return this.targets().flatMap((target, shard) => (target?.owner?.node === node ? [shard] : []));
  }

  /** Shards whose target names the node at all. */
  named(node: string): number[] {
    return this.targets().flatMap((target, shard) =>
      [target?.owner, target?.to, ...(target?.standbys ?? [])].some((ref) => ref?.node === node) ? [shard] : [],
    );
  }

  reportOf(process: Process): NodeReport {
    const shards: ShardReport[] = [];
    this.log.forEach(({ epoch, owner }, shard) => {
      if (sameNode(owner, process.ref)) shards.push({ shard, role: "owner", epoch, tail: epoch + 1, load: 1 });
      else if (process.follows.has(shard))
        shards.push({
          shard,
          role: this.#isReady(process, shard) ? "standby" : "catching-up",
          epoch,
          tail: epoch + 1,
          load: 0,
        });
    });
    const unreachable = [...this.members.values()]
      .filter((other) => other !== process && !(other.state === "runs" && this.#connected(process, other)))
      .map(({ ref }) => ref);
    return { from: process.ref, shards, unreachable };
  }

  /** As `assign` of the port: each change by compare-and-set. */
  assign(changes: readonly AssignmentChange[]): readonly AssignmentOutcome[] {
    return changes.map(({ shard, expected, target }) => {
      const version = this.assignments.get(shard)?.version ?? 0;
      if (version !== expected) return { ok: false, reason: "stale" };
      this.assignments.set(shard, { version: version + 1, target });
      this.#version++;
      return { ok: true, version: version + 1 };
    });
  }

  #perform(effect: CoordinatorEffect): void {
    switch (effect.kind) {
      case "assign":
        assert.equal(new Set(effect.changes.map(({ shard }) => shard)).size, effect.changes.length);
        this.changes.push(...effect.changes);
        this.#write(effect.changes);
        break;
      case "evict": {
        const process = this.members.get(effect.member.node);
        if (process === undefined || !sameNode(process.ref, effect.member) || this.#leftMs(process) > 0) return;
        this.members.delete(effect.member.node);
        this.evicted.push(effect.member.node);
        this.#version++;
        break;
      }
      case "describe": {
        const process = this.members.get(effect.member.node);
        if (process === undefined || !sameNode(process.ref, effect.member)) return;
        process.info = effect.info;
        this.#version++;
        break;
      }
      case "answer":
        this.answers.push({ verb: effect.caller as OperatorVerb, code: effect.failure?.code });
        break;
      default:
        effect satisfies never;
    }
  }

  #write(changes: readonly AssignmentChange[]): void {
    const asker = this.coordinator;
    const written = (): void => {
      const outcomes = this.assign(changes);
      const lost = this.lostAnswers > 0;
      if (lost) this.lostAnswers--;
      const answered = (): void => {
        if (this.coordinator !== asker) return;
        const outcomeOf = (index: number): AssignmentOutcome =>
          lost ? { ok: false, reason: "unknown" } : (outcomes[index] as AssignmentOutcome);
        this.step({
          nowMs: this.nowMs,
          kind: "assigned",
          outcomes: changes.map((change, index) => ({ change, outcome: outcomeOf(index) })),
        });
      };
      this.#after(this.writeMs, answered);
    };
    this.#after(this.writeMs, written);
  }

  #after(ms: number, run: () => void): void {
    if (ms === 0) run();
    else this.#later.push({ atMs: this.nowMs + ms, run });
  }

  #show(): void {
    const members = [...this.members.values()].map((process) => ({
      ...process.ref,
      info: process.info,
      leftMs: this.#leftMs(process),
    }));
    const shown = JSON.stringify([this.#version, members.map(({ leftMs }) => leftMs > 0)]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const assignments = [...this.assignments].map(([shard, { version, target }]) => ({ shard, version, target }));
    this.step({ nowMs: this.nowMs, kind: "picture", picture: { version: this.#version, members, assignments } });
  }

  #leftMs({ renewedMs }: Process): number {
    return Math.max(0, renewedMs + leaseMs - this.nowMs);
  }

  #reaches(from: Process, to: Process): boolean {
    return from === to || !this.cuts.has(`${from.ref.node}>${to.ref.node}`);
  }

  /** A connection needs both ways. */
  #connected(one: Process, other: Process): boolean {
    return this.#reaches(one, other) && this.#reaches(other, one);
  }

  #isReady(process: Process, shard: number): boolean {
    return this.nowMs - (process.follows.get(shard) ?? this.nowMs) >= this.catchUpMs;
  }

  /** Makes itself what the picture says; the store is reached by everybody. */
  #runNode(process: Process): void {
    if (this.#leftMs(process) === 0) {
      this.join(process.ref.node);
      return;
    }
    process.renewedMs = this.nowMs;
    this.log.forEach((log, shard) => {
      const target = this.target(shard);
      const { ref, follows } = process;
      const isTarget = sameNode(target?.to, ref);
      if (sameNode(target?.owner, ref)) {
        // after a handoff the log has the target of the move as its owner, and the picture will say so
        if (!sameNode(log.owner, ref) && !(log.owner && sameNode(log.owner, target?.to))) this.#claim(process, shard);
      } else if (isTarget || target?.standbys.some((standby) => sameNode(standby, ref))) {
        if (!follows.has(shard)) follows.set(shard, this.nowMs);
        if (isTarget && this.#isReady(process, shard) && this.#handsOver(target?.owner, process))
          this.#claim(process, shard);
      } else follows.delete(shard);
    });
  }

  #handsOver(owner: NodeRef | undefined, to: Process): boolean {
    const process = owner && this.members.get(owner.node);
    if (process === undefined || process.state !== "runs" || this.stuck.has(process.ref.node)) return false;
    return this.#connected(process, to) && !this.stuck.has(to.ref.node);
  }

  #claim(process: Process, shard: number): void {
    const log = this.log[shard] as { epoch: number; owner: NodeRef | undefined };
    process.follows.delete(shard);
    if (sameNode(log.owner, process.ref)) return;
    log.epoch++;
    log.owner = process.ref;
  }
}

/** A cluster of these nodes that has come to rest; the first coordinates. */
export function startCluster(nodes: readonly string[], options: ClusterOptions = {}): TestCluster {
  const cluster = new TestCluster(options);
  for (const node of nodes) cluster.join(node);
  cluster.coordinate(nodes[0] as string);
  cluster.run(20_000);
  cluster.changes.length = 0;
  return cluster;
}

/** Each shard is served by the owner that its target names, and followed, evenly over these nodes. */
export function assertServed(cluster: TestCluster, nodes: readonly string[]): void {
  cluster.targets().forEach((target, shard) => {
    assert.ok(target?.owner && nodes.includes(target.owner.node), `shard ${shard} has no owner`);
    assert.ok(sameNode(cluster.log[shard]?.owner, target.owner), `shard ${shard} is not served by its owner`);
    assert.equal(target.to, undefined);
    assert.equal(target.standbys.length, Math.min(1, nodes.length - 1));
    for (const standby of target.standbys) assert.ok(nodes.includes(standby.node));
  });
  const counts = nodes.map((node) => cluster.owned(node).length);
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `not balanced: ${counts.join(" ")}`);
}
