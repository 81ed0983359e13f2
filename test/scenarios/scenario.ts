/**
 * A cluster on which one thing happens after the other, and the transcript of it: who said what to whom, what was written to the log, what
 * was meant for each shard.
 *
 * Invariant: one scenario has one transcript. Nothing in it is left to chance: every way takes its fixed time.
 */
import { passUntil } from "../../src/adapters/virtual/drive.ts";
import type { NodeRef } from "../../src/model/cluster.ts";
import { shardOf } from "../../src/model/ids.ts";
import type { CallResult } from "../../src/model/records.ts";
import type { PeerMessage } from "../../src/ports/transport.ts";
import { type ClusterSwarm, makeClusterSwarm } from "../../src/sim/cluster/cluster-swarm.ts";
import { describeMessage } from "../../src/sim/cluster/message-text.ts";
import type { SimNode } from "../../src/sim/cluster/sim-node.ts";
import { Stage } from "../../src/sim/cluster/stage.ts";
import { Witness } from "../../src/sim/witness.ts";
import { World } from "../../src/sim/world.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";

/** Said so often that nobody could read the rest. What they lead to is an assignment. */
const unsaid: ReadonlySet<unknown> = new Set(["status", "coordinates"]);
const stepMs = 1;

export class Scenario {
  readonly world: World;
  readonly stage: Stage;
  readonly #lines: string[] = [];
  #requests = 0;

  constructor(nodes: number, shards: number) {
    const swarm = calmSwarm(nodes, shards);
    this.world = new World(swarm.base, (line) => this.#noted(line));
    this.stage = new Stage(this.world, swarm, new Witness(this.world));
    this.stage.lines.onMessage = (from, to, message) => this.#said(from, to, message);
  }

  get transcript(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  node(name: string): SimNode {
    const found = this.stage.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`there is no node ${name}`);
    return found;
  }

  /** What is about to be done. */
  title(text: string): void {
    this.#lines.push(`${this.#lines.length === 0 ? "" : "\n"}# ${text}`);
  }

  async pass(ms: number): Promise<void> {
    await passUntil(this.world.timeline, this.world.timeline.nowMs + ms);
  }

  /** @throws Error it does not become so within a minute of the scenario's time */
  async until(what: string, holds: () => boolean): Promise<void> {
    const untilMs = this.world.timeline.nowMs + 60_000;
    while (!holds()) {
      if (this.world.timeline.nowMs > untilMs) throw new Error(`not so in time: ${what}\n${this.transcript}`);
      await this.pass(stepMs);
    }
  }

  /** Who owns the shard, by its own word. */
  owner(shard: number): string | undefined {
    const owners = this.stage.nodes.filter(({ cluster }) => cluster?.node.roles?.owns(shard) === true);
    return owners.map(({ name }) => name).join("+") || undefined;
  }

  follows(name: string, shard: number): boolean {
    return this.node(name).cluster?.node.roles?.follows(shard) === true;
  }

  /** A command for a counter of the shard, given to a node, and what it is told. */
  async count(name: string, shard: number): Promise<CallResult> {
    const node = this.node(name);
    const call = {
      entity: { type: "counter", key: this.#key(shard) },
      command: "add",
      input: { amount: 1 },
      requestId: makeUuidV7(this.world.wallMs, new Uint8Array(16).fill(++this.#requests)),
      principal: { kind: "user", id: "client" },
    } as const;
    let told: CallResult | undefined;
    this.#lines.push(`client > ${name} add ${call.entity.key}`);
    node.process?.run(() =>
      node.cluster?.service.execute(call, (result) => {
        told = result;
      }),
    );
    await this.until(`an answer of ${name}`, () => told !== undefined);
    const result = told as unknown as CallResult;
    const text = result.ok ? `${JSON.stringify(result.value)} at ${result.version}` : result.code;
    this.#lines.push(`${name} > client ${text}`);
    return result;
  }

  #key(shard: number): string {
    for (let index = 0; ; index++)
      if (shardOf("counter", `c${index}`, this.world.swarm.shardCount) === shard) return `c${index}`;
  }

  #noted(line: string): void {
    const text = line.slice(line.indexOf(" ") + 1);
    if (text.startsWith("{") || text.startsWith("mark ")) return;
    // bytes of frames are not what a scenario is about
    this.#lines.push(text.replace(/ \d+ bytes$/, ""));
  }

  #said(from: NodeRef, to: NodeRef, message: PeerMessage): void {
    const { t } = message.body as { t?: unknown };
    if (unsaid.has(t)) return;
    const isCall = t === "call" || t === "answer";
    // Calls hold request ids, which say nothing here.
    const body = isCall ? { t, id: (message.body as { id: unknown }).id } : message.body;
    this.#lines.push(describeMessage(from, to, { body } as PeerMessage));
  }
}

function calmSwarm(nodes: number, shardCount: number): ClusterSwarm {
  const drawn = makeClusterSwarm(1);
  const slowness = (ms: number) => ({ rangeMs: [ms, ms], stall: 0, stallMs: 0 }) as const;
  const { base } = drawn;
  return {
    ...drawn,
    nodes,
    standbys: 1,
    leaseMs: 2_000,
    pollMs: 50,
    peers: slowness(1),
    coordination: slowness(1),
    coordinationLoss: 0,
    drift: 0,
    patienceMs: 60_000,
    base: {
      ...base,
      shardCount,
      skewMs: 0,
      deferMs: 0,
      limits: {},
      network: { ...base.network, delayMs: [0, 0], slow: 0, loss: 0, duplicate: 0 },
      log: { ...base.log, delayMs: [1, 1], stall: 0, unknown: 0 },
    },
  };
}
