/**
 * One node of a cluster over PostgreSQL: log, coordination, connections with the other nodes, and its door.
 *
 * Invariant: what `embedded` promises, the cluster promises; any of its nodes answers for all of it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type PeersOptions, peersTransport } from "../adapters/peers/transport.ts";
import { openPostgresCoordination } from "../adapters/postgres/coordination.ts";
import { openPostgresLog, type PostgresLogOptions } from "../adapters/postgres/log.ts";
import type { Gateway } from "../gateway/options.ts";
import type { NodeInfo } from "../model/cluster.ts";
import { HoldfastError } from "../model/errors.ts";
import { limitsWith } from "../model/limits.ts";
import { ClusterNode } from "../runtime/cluster/cluster-node.ts";
import type { ClusterVerbs } from "../runtime/cluster/verbs.ts";
import { wholeService } from "../runtime/cluster/whole-service.ts";
import { type EmbeddedService, type ServeOptions, serveOver } from "./embedded.ts";
import { openSnapshots } from "./kept.ts";
import { keysDirectory } from "./keys.ts";

export { keysFromSecret } from "../adapters/keys/secret.ts";

export interface ClusterServiceOptions extends ServeOptions {
  /** The database, the same for all nodes; its schema is made by `holdfast migrate`, or by `migratePostgres`. */
  readonly postgres: PostgresLogOptions;
  /** The node's name, the same in every running of it. */
  readonly name: string;
  /** How it is reached by the other nodes, and how they know each other. */
  readonly peer: Omit<PeersOptions, "limits" | "versions" | "clock" | "random">;
  /** A directory that all nodes see, for snapshots and the archive. Not needed where `snapshots` and `archive` are given. */
  readonly shared?: string;
  /** Standbys stand in other zones than their owner. */
  readonly zone?: string;
  /** Share of the shards relative to other nodes. Default 1. */
  readonly weight?: number;
  /** Where clients reach this door, if that is not where it listens. They are told those of all nodes, unless `doors` says others. */
  readonly advertiseDoor?: string;
  /** After so long without a sign of it a node is taken for dead, ms. Default 2,000. */
  readonly leaseMs?: number;
  /** Clients are told of the doors of all nodes, and go on at another when theirs dies. Default true; false behind a load balancer. */
  readonly tellDoors?: boolean;
  /** Of each shard. Default 1. */
  readonly standbys?: number;
  /** This running is over: others have its shards. Default: end the process with code 75, so that a supervisor starts it again. */
  readonly onLost?: (why: string) => void;
}

export interface ClusterService extends EmbeddedService, ClusterVerbs {
  readonly cluster: ClusterNode;
}

/**
 * Opens the log, opens the door, joins the cluster, serves.
 * @throws as `startPostgres`; `invalid-configuration` there is no place that all nodes share
 */
export async function startCluster(options: ClusterServiceOptions): Promise<ClusterService> {
  const { postgres, name, peer, zone, weight, version, leaseMs, standbys, shared, onFault } = options;
  if (shared === undefined && (options.snapshots === undefined || options.archive === undefined))
    throw new HoldfastError(
      "invalid-configuration",
      "The nodes of a cluster need one place for snapshots and the archive: give `shared`, or `snapshots` and `archive`.",
    );
  checkKeys(options);
  const stores =
    shared === undefined
      ? {}
      : {
          snapshots: await openSnapshots(join(shared, "snapshots")),
          archive: await openSnapshots(join(shared, "archive")),
        };
  let door: Gateway | undefined;
  const info = (): Omit<NodeInfo, "peer"> => ({
    door: options.advertiseDoor ?? (isAnyAddress(options.host) ? "" : (door?.url ?? "")),
    ...(zone === undefined ? {} : { zone }),
    ...(weight === undefined ? {} : { weight }),
    ...(version === undefined ? {} : { version }),
  });
  let cluster: ClusterNode | undefined;
  const service = await serveOver(
    () => openPostgresLog(postgres),
    { ...(options.tellDoors === false ? {} : { doors: () => doorsOf(cluster) }), ...stores, ...options },
    {
      opened: (gateway) => {
        door = gateway;
      },
      prepare: (node) => {
        const { connection, schema } = postgres;
        cluster = new ClusterNode({
          ...node,
          name,
          coordination: openPostgresCoordination({ connection, ...(schema === undefined ? {} : { schema }) }),
          transport: peersTransport({
            ...peer,
            limits: limitsWith(options.limits),
            refused:
              peer.refused ?? (({ address, detail }) => onFault?.(`a connection from ${address}`, new Error(detail))),
          }),
          info,
          ...(leaseMs === undefined ? {} : { leaseMs }),
          ...(standbys === undefined ? {} : { standbys }),
          onLost: options.onLost ?? endProcess,
        });
        return wholeService(cluster);
      },
    },
  );
  if (cluster === undefined) throw new HoldfastError("internal", "The node was not made.");
  const joined = cluster;
  return {
    ...service,
    cluster: joined,
    view: () => joined.view(),
    move: (shards, to) => joined.move(shards, to),
    pin: (shards, to) => joined.pin(shards, to),
    drain: (node, on) => joined.drain(node, on),
  };
}

/** Clients cannot go there. */
function isAnyAddress(host: string | undefined): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** Each node would make keys of its own otherwise, and what one sealed no other could read. */
function checkKeys({ entities, keys, directory }: ClusterServiceOptions): void {
  if (keys !== undefined || existsSync(keysDirectory(directory)) || !entities.some(({ personal }) => personal)) return;
  throw new HoldfastError(
    "invalid-configuration",
    "Entities with personal data need keys that all nodes of the cluster have: give `keys`, such as `keysFromSecret(secret)`.",
  );
}

/** Where clients are told to go on: the doors of all members, also of those whose shards are given away. */
function doorsOf(cluster: ClusterNode | undefined): string[] {
  const doors: string[] = [];
  for (const { info } of cluster?.picture?.members ?? []) {
    const { door = "" } = info as unknown as NodeInfo;
    if (door !== "") doors.push(door);
  }
  return doors;
}

function endProcess(why: string): void {
  console.error(
    `Holdfast: this running of the node is over, since ${why}. Its shards go on elsewhere; start it again.`,
  );
  process.exit(75);
}
