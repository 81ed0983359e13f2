/**
 * A simulated node of the cluster: a supervisor that starts its process again, in another running, whenever that has ended.
 *
 * Invariant: at most one process of a name lives. What an ended one had sent may arrive; nothing of it runs.
 */
import type { NodeRef } from "../../model/cluster.ts";
import { ClusterNode } from "../../runtime/cluster/cluster-node.ts";
import { entities } from "../entities.ts";
import type { World } from "../world.ts";
import type { ClusterKept } from "./cluster-kept.ts";
import type { ClusterSwarm } from "./cluster-swarm.ts";
import type { Database } from "./database.ts";
import type { Lines } from "./lines.ts";
import { SimCoordination } from "./sim-coordination.ts";
import { SimProcess } from "./sim-process.ts";

export interface SimNodeParts {
  readonly world: World;
  readonly swarm: ClusterSwarm;
  readonly database: Database;
  readonly lines: Lines;
  readonly kept: ClusterKept;
}

/** What lives between two starts. */
interface Life {
  readonly process: SimProcess;
  readonly cluster: ClusterNode;
  self: NodeRef | undefined;
  started: boolean;
  stopping: boolean;
  resumes: (() => void)[];
}

/** A stop that takes longer is ended by its supervisor. */
const stopMostMs = 15_000;

export class SimNode {
  readonly name: string;
  readonly #parts: SimNodeParts;
  #life: Life | undefined;
  #starts = 0;

  constructor(name: string, parts: SimNodeParts) {
    this.name = name;
    this.#parts = parts;
  }

  /** The node, if it has joined and its process lives. */
  get cluster(): ClusterNode | undefined {
    return this.#life?.started === true ? this.#life.cluster : undefined;
  }

  get process(): SimProcess | undefined {
    return this.#life?.process;
  }

  /** It has joined, and nobody told it to stop. */
  get isUp(): boolean {
    return this.#life?.started === true && !this.#life.stopping && !this.#life.process.paused;
  }

  start(): void {
    if (this.#life !== undefined) return;
    const { world, swarm, lines } = this.#parts;
    const { prng, timeline } = world;
    this.#starts++;
    world.counts.restarts += this.#starts > 1 ? 1 : 0;
    world.note(`${this.name} starts`);
    const process = new SimProcess({
      name: this.name,
      timeline,
      rate: 1 + swarm.drift * (2 * prng.fraction() - 1),
      wallErrorMs: prng.between(-swarm.base.skewMs, swarm.base.skewMs) / 4,
      deferMs: () => (swarm.base.deferMs === 0 ? 0 : prng.integer(swarm.base.deferMs)),
    });
    const end = (why: string) => this.#ended(process, why);
    const transport = lines.opener(process, (self) => {
      life.self = self;
    });
    const cluster = this.#makeCluster(process, transport, end);
    const life: Life = { process, cluster, self: undefined, started: false, stopping: false, resumes: [] };
    this.#life = life;
    cluster.start().then(
      () => {
        if (!process.alive) return;
        life.started = true;
        world.note(`${this.name} has joined as ${cluster.self.generation}`);
      },
      (error: unknown) => end(`it did not start: ${String(error)}`),
    );
  }

  #makeCluster(process: SimProcess, transport: ReturnType<Lines["opener"]>, end: (why: string) => void): ClusterNode {
    const { world, swarm, database, kept } = this.#parts;
    return new ClusterNode({
      name: this.name,
      entities,
      log: database.openLog(process),
      ...kept.open(process),
      coordination: new SimCoordination(database, process),
      transport,
      info: () => ({}),
      clock: process.clock,
      random: { bytes: (count) => world.prng.bytes(count) },
      shardCount: swarm.base.shardCount,
      limits: swarm.base.limits,
      leaseMs: swarm.leaseMs,
      standbys: swarm.standbys,
      onLost: (why) => end(`lost: ${why}`),
      onFault: (where, error) => this.#faulted(where, error),
      onCrash: (error) => this.#broke(error, end),
    });
  }

  /** Databases that are away and code that throws are what faults are for. */
  #faulted(where: string, error: unknown): void {
    const { world } = this.#parts;
    world.note(`${this.name} fault: ${where}: ${String(error)}`);
    const { code, details } = error as { code?: string; details?: { trimmed?: number } };
    // a copy that fell behind what is trimmed is made anew
    if (details?.trimmed !== undefined) return;
    if (code === "log-damaged" || code === "internal" || code === "state-damaged")
      world.violated("a node finds nothing damaged", `${this.name}: ${where}: ${(error as Error).stack}`);
  }

  /** Nothing but a database that is away may end a node by itself. */
  #broke(error: unknown, end: (why: string) => void): void {
    const { code } = error as { code?: string };
    if (code !== "unavailable")
      this.#parts.world.violated("a node does not crash", `${this.name}: ${(error as Error).stack ?? String(error)}`);
    end(`crashed: ${String(error)}`);
  }

  #ended(process: SimProcess, why: string, again = true): void {
    const life = this.#life;
    if (life === undefined || life.process !== process) return;
    const { world, lines } = this.#parts;
    world.note(`${this.name} is gone: ${why}`);
    process.end();
    this.#life = undefined;
    if (life.self !== undefined) lines.end(life.self);
    for (const heal of life.resumes) heal();
    if (!again) return;
    world.timeline.after(world.faulty ? world.prng.integer(world.prng.pick([1, 300, 3_000])) : 10, () => this.start());
  }

  /** @param again its supervisor starts it again */
  crash(again = true): void {
    if (this.#life !== undefined) this.#ended(this.#life.process, "killed", again);
  }

  /** As an orderly end by its supervisor. */
  stop(again = true): void {
    const life = this.#life;
    if (life === undefined || !life.started || life.stopping) return;
    this.#parts.world.note(`${this.name} is told to stop`);
    life.stopping = true;
    const end = (why: string) => this.#ended(life.process, why, again);
    life.process.run(() => {
      life.cluster.stop().then(
        () => end("stopped"),
        (error: unknown) => {
          this.#parts.world.violated("a stop does not fail", `${this.name}: ${String(error)}`);
          end("its stop failed");
        },
      );
    });
    this.#parts.world.timeline.after(stopMostMs, () => end("its stop took too long"));
  }

  /** Nothing of it runs for a while; others hear nothing of it. @returns goes on */
  pause(others: readonly string[]): () => void {
    const life = this.#life;
    if (life === undefined || life.process.paused) return () => {};
    this.#parts.world.note(`${this.name} pauses`);
    life.process.pause();
    life.resumes = others.map((other) => this.#parts.lines.cut(this.name, other));
    return () => {
      if (!life.process.paused || !life.process.alive) return;
      this.#parts.world.note(`${this.name} goes on`);
      for (const heal of life.resumes.splice(0)) heal();
      life.process.resume();
    };
  }

  jump(errorMs: number): void {
    this.#life?.process.clock.jump(errorMs);
  }
}
