/** What the cluster's figures are measured on: a PostgreSQL, nodes as processes, a load generator. Everything ends with `close`. */
import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { migratePostgres } from "holdfast/postgres";
import { type PostgresServer, startPostgres } from "../src/adapters/postgres/server.harness.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../src/adapters/system/temporary.ts";
import { ask } from "./cluster-ask.ts";
import { endProcess, firstMessage, startProcess } from "./process.ts";

/** As JSON, the argument of `cluster-node.ts`. */
export interface NodeSettings {
  readonly name: string;
  readonly postgres: string;
  readonly directory: string;
  readonly shared: string;
  readonly standbys: number;
  readonly leaseMs?: number;
  /** Of its door; 0: any. */
  readonly port: number;
  readonly loud: boolean;
}

export interface NodeState {
  readonly owns: readonly number[];
  /** Follows them, and could be promoted. */
  readonly ready: readonly number[];
  readonly coordinates: boolean;
}

export interface StageOptions {
  readonly shardCount: number;
  readonly nodes: number;
  readonly standbys: number;
  readonly leaseMs?: number;
  readonly loud: boolean;
}

export interface StageNode {
  readonly name: string;
  child: ChildProcess;
  url: string;
}

const settleMs = 60_000;

export class ClusterStage {
  readonly #options: StageOptions;
  readonly #directory: TemporaryDirectory = temporaryDirectory();
  server!: PostgresServer;
  postgres!: string;
  load!: ChildProcess;
  readonly nodes: StageNode[] = [];

  constructor(options: StageOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    const { shardCount, nodes } = this.#options;
    this.server = await startPostgres(["max_connections=300", "shared_buffers=256MB"]);
    this.postgres = await this.server.database();
    await migratePostgres({ connection: this.postgres, shardCount });
    for (let at = 0; at < nodes; at++) this.nodes.push(await this.#start(`n${at}`, 0));
    this.load = startProcess("cluster-load.ts", []);
    await firstMessage(this.load);
    await this.settled();
  }

  /** The same name and door, another running. */
  async restart(node: StageNode): Promise<void> {
    const port = Number(new URL(node.url).port);
    Object.assign(node, await this.#start(node.name, port));
  }

  /** Every shard has one owner, is followed where that was asked for, and the nodes have equal shares. */
  async settled(): Promise<void> {
    const { shardCount, standbys } = this.#options;
    const follows = Math.min(standbys, this.nodes.length - 1) * shardCount;
    const least = Math.floor(shardCount / this.nodes.length);
    let seen: readonly NodeState[] = [];
    // Twice in a row: a look is not taken everywhere in one moment.
    for (let [untilMs, held] = [performance.now() + settleMs, 0]; held < 3; ) {
      if (performance.now() > untilMs) throw new Error(`The cluster does not settle: ${JSON.stringify(seen)}`);
      await pause(50);
      seen = await Promise.all(this.nodes.map((node) => this.state(node)));
      const owned = seen.flatMap(({ owns }) => owns);
      const isSettled =
        owned.length === shardCount &&
        new Set(owned).size === shardCount &&
        seen.flatMap(({ ready }) => ready).length === follows &&
        seen.every(({ owns }) => owns.length >= least && owns.length <= least + 1) &&
        seen.filter(({ coordinates }) => coordinates).length === 1;
      held = isSettled ? held + 1 : 0;
    }
  }

  state(node: StageNode): Promise<NodeState> {
    return ask<NodeState>(node.child, "state");
  }

  async close(): Promise<void> {
    if (this.load !== undefined) await endProcess(this.load);
    await Promise.all(this.nodes.map(({ child }) => endProcess(child)));
    await this.server?.stop();
    this.#directory.remove();
  }

  async #start(name: string, port: number): Promise<StageNode> {
    const { standbys, leaseMs, loud } = this.#options;
    const settings: NodeSettings = {
      ...{ name, port, standbys, loud, postgres: this.postgres },
      directory: `${this.#directory.path}/${name}`,
      shared: `${this.#directory.path}/shared`,
      ...(leaseMs === undefined ? {} : { leaseMs }),
    };
    // A machine that failed comes back without what it kept beside the log.
    rmSync(settings.directory, { recursive: true, force: true });
    const child = startProcess("cluster-node.ts", [JSON.stringify(settings)]);
    const { url } = await firstMessage<{ url: string }>(child);
    return { name, child, url };
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The value that so many percent of them do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.ceil((sorted.length * percent) / 100) - 1)] ?? Number.NaN;
}

export function spread(values: readonly number[], digits = 0): string {
  const shown = [50, 90, 99, 100].map((percent) => percentile(values, percent).toFixed(digits));
  return `p50 ${shown[0]}, p90 ${shown[1]}, p99 ${shown[2]}, longest ${shown[3]}`;
}

/** What else the machine does. */
export function loadNow(): string {
  return `${loadavg()[0]?.toFixed(1)} on ${cpus().length} cores`;
}
