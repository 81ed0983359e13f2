/**
 * A cluster's node as whoever stands above it knows a node: the door, feeds, subscribers.
 *
 * Invariant: calls and looks go to the owners of their shards; health and figures are this node's own.
 */
import type { NodeInfo } from "../../model/cluster.ts";
import type { HoldfastNode } from "../node-options.ts";
import type { Served } from "../served.ts";
import type { ClusterNode } from "./cluster-node.ts";

export function wholeService(cluster: ClusterNode): HoldfastNode & { recover(): Promise<void> } {
  const { node } = cluster;
  return {
    definitions: node.definitions,
    limits: node.limits,
    get run() {
      return node.run;
    },
    roles: node.roles,
    source: {
      ...node.source,
      look: (call, done) => cluster.service.look(call, done),
      entities: (shard, below) => cluster.service.entities(shard, below),
      heed: (shards, what) => cluster.service.heed(shards, what),
    },
    served: servedBy(cluster),
    recover: () => cluster.start(),
    execute: (call, done) => cluster.service.execute(call, done),
    query: (call, done) => cluster.service.query(call, done),
    operate: (call, done) => cluster.service.operate(call, done),
    operateCall: (call, done) => cluster.service.operateCall(call, done),
    erase: (call, done) => cluster.service.erase(call, done),
    watch: (call, listener) => cluster.service.watch(call, listener),
    listCalls: (filter) => cluster.service.listCalls(filter),
    quarantined: (principal) => node.quarantined(principal),
    health: () => node.health(),
    figures: async () => {
      const part = cluster.figures();
      return { ...(await node.figures()), ...(part === undefined ? {} : { cluster: part }) };
    },
    cluster,
    onCommit: (listener) => node.onCommit(listener),
    take: (entity, input) => node.take(entity, input),
    stop: () => cluster.stop(),
    [Symbol.asyncDispose]: () => cluster.stop(),
  };
}

function servedBy(cluster: ClusterNode): Served {
  return {
    get name() {
      return cluster.self.node;
    },
    serves: (shard) => cluster.node.roles?.owns(shard) === true,
    where: (shard) => {
      const owner = cluster.directory.owner(shard);
      if (owner === undefined) return undefined;
      const member = cluster.picture?.members.find(({ node }) => node === owner.node);
      const { door = "" } = (member?.info ?? {}) as unknown as Partial<NodeInfo>;
      return { node: owner.node, door: door === "" ? undefined : door };
    },
    onChange: (listener) => {
      const { clock } = cluster.node.source;
      let [waits, over] = [false, false];
      const end = cluster.directory.onChange(() => {
        if (waits) return;
        waits = true;
        clock.defer(() => {
          waits = false;
          if (!over) listener();
        });
      });
      return () => {
        over = true;
        end();
      };
    },
  };
}
