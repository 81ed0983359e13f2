/** What a node of a cluster is made of. */
import type { NodeInfo } from "../../model/cluster.ts";
import type { Coordination } from "../../ports/coordination.ts";
import type { OpenTransport } from "../../ports/transport.ts";
import type { NodeOptions } from "../node-options.ts";

export interface ClusterOptions extends Omit<NodeOptions, "cluster" | "name"> {
  /** Its name, the same in every running: letters, digits, `_` and `-`. */
  readonly name: string;
  /** Closed when the node stops. */
  readonly coordination: Coordination;
  readonly transport: OpenTransport;
  /** What it tells of itself, but for its address; asked when it joins. */
  readonly info: () => Omit<NodeInfo, "peer">;
  /** After so long without a renewal it is taken for dead. Default 2,000. */
  readonly leaseMs?: number;
  /** Standbys of each shard, as far as there are nodes. Default 1. */
  readonly standbys?: number;
  /** This running is over: others take its shards. Start the node again. */
  readonly onLost: (why: string) => void;
}

export const leaseMsDefault = 2_000;
