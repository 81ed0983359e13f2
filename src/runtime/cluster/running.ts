/**
 * What one running of a node consists of, and how it ends in order.
 *
 * Invariant: a node that leaves in order owns nothing any more, and what it handed over was claimed.
 */
import type { NodeRef } from "../../model/cluster.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Picture } from "../../ports/coordination.ts";
import type { ShardRoles } from "../shard-roles.ts";
import type { ClusterService } from "./cluster-service.ts";
import type { CoordinatorHost } from "./coordinator-host.ts";
import type { Directory } from "./directory.ts";
import type { Following } from "./following.ts";
import type { Membership } from "./membership.ts";
import { type Overview, othersTake } from "./overview.ts";
import type { Peers } from "./peers.ts";
import type { RemoteSends } from "./remote-sends.ts";
import type { Router } from "./router.ts";
import type { ShardAgents } from "./shard-agents.ts";
import type { ServedWatches, Watches } from "./watches.ts";

/** Between looks whether everything is given away. */
const lookMs = 25;

/** Parts that need this node's generation, and so the join. */
export interface Running {
  readonly self: NodeRef;
  readonly peers: Peers;
  readonly directory: Directory;
  readonly following: Following;
  readonly agents: ShardAgents;
  readonly router: Router;
  readonly watches: Watches;
  readonly servedWatches: ServedWatches;
  readonly sends: RemoteSends;
  readonly service: ClusterService;
  readonly coordinator: CoordinatorHost;
  readonly overview: Overview;
}

export interface Giving {
  readonly membership: Membership;
  readonly roles: ShardRoles;
  readonly clock: Clock;
  /** The last one. */
  readonly picture: () => Picture | undefined;
  readonly mostMs: number;
}

/** Says that it drains, and waits until others have its shards, or until that takes too long, or there is nobody. */
export async function giveAllAway({ self, directory }: Running, giving: Giving): Promise<void> {
  const { membership, roles, clock, picture, mostMs } = giving;
  const { info } = membership;
  if (info === undefined || !membership.held) return;
  await membership.describe({ ...info, draining: true });
  const untilMs = clock.monotonic() + mostMs;
  // What was handed over is on its way until it is claimed.
  while ((roles.ownsAny || directory.hasUnowned) && membership.held && othersTake(picture(), self)) {
    if (clock.monotonic() >= untilMs) return;
    await new Promise<void>((resolve) => clock.after(lookMs, resolve));
  }
}
