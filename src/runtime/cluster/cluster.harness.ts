/** Nodes of a cluster in one process, over one log and one coordination, for tests. */

import type { StandardSchemaV1 } from "@standard-schema/spec";
import {
  type CoordinationStore,
  createCoordinationStore,
  openMemoryCoordination,
} from "../../adapters/memory/coordination.ts";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../../adapters/memory/log.ts";
import { MemoryPeers } from "../../adapters/memory/transport.ts";
import { systemClock } from "../../adapters/system/clock.ts";
import { systemRandom } from "../../adapters/system/random.ts";
import { defineEntity } from "../../model/entity.ts";
import { type EntityRef, shardOf } from "../../model/ids.ts";
import type { CallResult, WatchNews } from "../../model/records.ts";
import { makeUuidV7 } from "../../std/uuid.ts";
import { ClusterNode } from "./cluster-node.ts";
import type { ClusterOptions } from "./cluster-options.ts";

const to: StandardSchemaV1<unknown, { readonly to: string }> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as { to: string } }) },
};

export const box = defineEntity("box", {
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      return (next) => next.count;
    }),
    send: command(to, (_state, { to: key }, ctx) => {
      ctx.send({ type: "box", key }, "count", null);
    }),
  }),
  queries: { count: (state) => state.count },
  views: { count: (state) => state.count },
  access: () => true,
});

const principal = { kind: "service", id: "test" } as const;

export class TestCluster {
  readonly shardCount: number;
  readonly store: MemoryStore;
  readonly coordination: CoordinationStore;
  readonly hub = new MemoryPeers({ clock: systemClock });
  readonly nodes = new Map<string, ClusterNode>();
  readonly faults: string[] = [];
  readonly lost: string[] = [];
  readonly #killed: ClusterNode[] = [];

  readonly #given: (name: string) => Partial<ClusterOptions>;

  /** @param given what a node has beside, or instead */
  constructor(shardCount = 8, given: (name: string) => Partial<ClusterOptions> = () => ({})) {
    this.#given = given;
    this.shardCount = shardCount;
    this.store = createMemoryStore(shardCount);
    this.coordination = createCoordinationStore(systemClock);
  }

  async start(name: string, zone?: string): Promise<ClusterNode> {
    const node = new ClusterNode({
      name,
      entities: [box],
      log: openMemoryLog({ store: this.store }),
      coordination: openMemoryCoordination(this.coordination, 10),
      transport: this.hub.opener(),
      info: () => (zone === undefined ? {} : { zone }),
      clock: systemClock,
      random: systemRandom,
      shardCount: this.shardCount,
      // Longer than a busy machine keeps a process from running.
      leaseMs: 3_000,
      onLost: (why) => void this.lost.push(`${name}: ${why}`),
      onFault: (where, error) => void this.faults.push(`${name}: ${where}: ${String(error)}`),
      onCrash: (error) => void this.faults.push(`${name} crashed: ${String(error)} ${(error as Error).stack ?? ""}`),
      ...this.#given(name),
    });
    await node.start();
    this.nodes.set(name, node);
    return node;
  }

  get any(): ClusterNode {
    const [node] = this.nodes.values();
    if (node === undefined) throw new Error("there is no node");
    return node;
  }

  /** Resolves when it holds; fails after ten seconds, with what is there. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const untilMs = Date.now() + 10_000;
    while (!holds()) {
      if (Date.now() > untilMs) throw new Error(`not so in time: ${what}\n${this.describe()}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  owners(): (string | undefined)[] {
    return Array.from({ length: this.shardCount }, (_, shard) => {
      const owners = [...this.nodes].filter(([, node]) => node.node.roles?.owns(shard) === true).map(([name]) => name);
      return owners.length > 1 ? owners.join("+") : owners[0];
    });
  }

  standbys(): string[] {
    return Array.from({ length: this.shardCount }, (_, shard) =>
      [...this.nodes]
        .filter(([, node]) => node.node.roles?.follows(shard) === true)
        .map(([name]) => name)
        .join("+"),
    );
  }

  describe(): string {
    const { assignments, members, leases } = this.any.picture ?? { assignments: [], members: [], leases: [] };
    return [
      `owners ${this.owners().join(" ")}`,
      `standbys ${this.standbys().join(" ")}`,
      `members ${JSON.stringify(members)}`,
      `leases ${JSON.stringify(leases)}`,
      ...assignments.map((each) => JSON.stringify(each)),
      ...this.faults.slice(-10),
    ].join("\n");
  }

  count(node: ClusterNode, key: string, id = makeUuidV7(Date.now(), systemRandom.bytes(16))): Promise<CallResult> {
    return command(node, { type: "box", key }, "count", null, id);
  }

  send(node: ClusterNode, key: string, other: string): Promise<CallResult> {
    const id = makeUuidV7(Date.now(), systemRandom.bytes(16));
    return command(node, { type: "box", key }, "send", { to: other }, id);
  }

  ask(node: ClusterNode, key: string): Promise<CallResult> {
    return new Promise((resolve) =>
      node.service.query({ entity: { type: "box", key }, query: "count", input: undefined, principal }, resolve),
    );
  }

  watch(node: ClusterNode, key: string, listener: (news: WatchNews) => void): () => void {
    return node.service.watch({ entity: { type: "box", key }, view: "count", principal } as never, listener);
  }

  shardOf(key: string): number {
    return shardOf("box", key, this.shardCount);
  }

  /** Ends as if its process was killed. */
  kill(name: string): void {
    const node = this.nodes.get(name);
    this.nodes.delete(name);
    node?.kill();
    if (node !== undefined) this.#killed.push(node);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.values()) await node.stop(0);
    // What a process takes along: timers.
    for (const { node } of this.#killed) await node.stop();
  }
}

function command(
  node: ClusterNode,
  entity: EntityRef,
  name: string,
  input: unknown,
  requestId: string,
): Promise<CallResult> {
  return new Promise((resolve) =>
    node.service.execute({ entity, command: name, input, requestId, principal }, resolve),
  );
}
