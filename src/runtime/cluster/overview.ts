/**
 * What a node tells of its cluster: to the coordinator (a report), to operators (the view), to monitoring (figures).
 *
 * Invariant: reading changes nothing but the count of commands that a report tells. Of what this node does itself it tells its own word; of
 * what others do, what they reported last.
 */
import type { NodeInfo, NodeRef, NodeReport, ShardReport, ShardTarget } from "../../model/cluster.ts";
import { sameNode } from "../../model/cluster.ts";
import type { ClusterFigures, ClusterView, NodeView, ShardView } from "../../model/cluster-view.ts";
import type { Epoch, ShardId } from "../../model/ids.ts";
import type { Limits } from "../../model/limits.ts";
import type { Picture } from "../../ports/coordination.ts";
import type { ShardRoles } from "../shard-roles.ts";
import type { CoordinatorHost } from "./coordinator-host.ts";
import { coordinatorOf } from "./coordinator-host.ts";
import type { Directory } from "./directory.ts";
import type { Following } from "./following.ts";
import type { Peers } from "./peers.ts";
import type { Router } from "./router.ts";
import type { ShardAgents } from "./shard-agents.ts";

export interface OverviewOptions {
  readonly self: NodeRef;
  readonly shardCount: number;
  readonly limits: Limits;
  readonly roles: ShardRoles;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly following: Following;
  readonly agents: ShardAgents;
  readonly router: Router;
  readonly coordinator: CoordinatorHost;
  /** Commands of a shard since the last call of this. */
  readonly takeLoad: (shard: ShardId) => number;
  /** As it is now, or the last one that is known while coordination does not answer. @throws `unavailable` there was none yet */
  readonly look: () => Promise<Picture>;
}

export class Overview {
  readonly #options: OverviewOptions;

  constructor(options: OverviewOptions) {
    this.#options = options;
  }

  /** For the coordinator. */
  report(): NodeReport {
    const { self, peers, takeLoad } = this.#options;
    const shards = this.#shards().map((row) => (row.role === "owner" ? { ...row, load: takeLoad(row.shard) } : row));
    return { from: self, shards, unreachable: peers.unreachable };
  }

  /** @throws `unavailable` coordination has not answered since the start */
  async view(): Promise<ClusterView> {
    const { self, coordinator, look } = this.#options;
    const [picture, reports] = await Promise.all([look(), coordinator.reports()]);
    const members = picture.members.filter(({ leftMs }) => leftMs > 0);
    const own: NodeReport = { from: self, shards: this.#shards(), unreachable: [] };
    const known = [
      own,
      ...reports.filter(({ from }) => from.node !== self.node && members.some((m) => sameNode(m, from))),
    ];
    const rows = new Map<ShardId, Row[]>();
    for (const { from, shards } of known) {
      for (const report of shards) {
        const all = rows.get(report.shard);
        if (all === undefined) rows.set(report.shard, [{ ...report, from }]);
        else all.push({ ...report, from });
      }
    }
    const shards = picture.assignments.map(({ shard, target }) =>
      this.#shardView(shard, target as unknown as ShardTarget, rows.get(shard) ?? []),
    );
    shards.sort((one, other) => one.shard - other.shard);
    return { self: self.node, nodes: this.#nodeViews(picture, shards), shards };
  }

  figures(): ClusterFigures {
    const { self, peers, agents, router, following, coordinator } = this.#options;
    const shards = this.#shards();
    const followed = shards.filter(({ role }) => role !== "owner");
    return {
      node: self.node,
      generation: self.generation,
      coordinates: coordinator.holds,
      owned: shards.length - followed.length,
      followed: followed.length,
      lagRecords: followed.reduce((most, { shard }) => Math.max(most, following.lag(shard)), 0),
      diverged: following.checks.diverged,
      peers: [...peers.all].length,
      forwarded: router.forwarded,
      ...agents.counts,
    };
  }

  /** What this node has to do with, without loads. */
  #shards(): ShardReport[] {
    const { roles, following, shardCount, limits } = this.#options;
    const shards: ShardReport[] = [];
    for (let shard = 0; shard < shardCount; shard++) {
      const owns = roles.owns(shard);
      if (!owns && !roles.follows(shard)) continue;
      const { epoch, tail } = roles.position(shard);
      if (owns) {
        shards.push({ shard, role: "owner", epoch, tail, load: 0 });
        continue;
      }
      const lag = following.lag(shard);
      shards.push({ shard, role: lag <= limits.handoffLagMax ? "standby" : "catching-up", epoch, tail, load: 0, lag });
    }
    return shards;
  }

  #shardView(shard: ShardId, target: ShardTarget, rows: readonly Row[]): ShardView {
    const { directory } = this.#options;
    const claim = rows.reduce<Row | undefined>(
      (best, row) => (row.role === "owner" && row.epoch > (best?.epoch ?? 0) ? row : best),
      undefined,
    );
    // Who just claimed says so to everybody at once, and to the coordinator after.
    const isNews = claim === undefined || directory.epoch(shard) > claim.epoch;
    const owner = isNews ? directory.owner(shard) : claim.from;
    const epoch: Epoch = Math.max(claim?.epoch ?? 0, directory.epoch(shard));
    const standbys = target.standbys.map((ref) => {
      const row = rows.find(({ from, role }) => role !== "owner" && sameNode(from, ref));
      return { node: ref.node, lagRecords: row?.lag ?? 0, ready: row?.role === "standby" };
    });
    return {
      ...{ shard, epoch, standbys, tail: rows.reduce((most, { tail }) => Math.max(most, tail), 1) },
      ...(owner === undefined ? {} : { owner: owner.node }),
      ...(target.to === undefined ? {} : { to: target.to.node }),
      ...(target.pin === undefined ? {} : { pin: target.pin }),
    };
  }

  #nodeViews(picture: Picture, shards: readonly ShardView[]): NodeView[] {
    const { self, peers } = this.#options;
    const coordinator = coordinatorOf(picture);
    const views = picture.members.map(({ node, generation, info, leftMs }): NodeView => {
      const ref = { node, generation };
      return {
        ...ref,
        info: info as unknown as NodeInfo,
        leaseMs: leftMs,
        coordinator: node === coordinator,
        owns: shards.filter(({ owner }) => owner === node).length,
        follows: shards.filter(({ standbys }) => standbys.some((standby) => standby.node === node)).length,
        connected: sameNode(ref, self) || peers.to(ref) !== undefined,
      };
    });
    return views.sort((one, other) => (one.node < other.node ? -1 : 1));
  }
}

/** Somebody else could take shards. */
export function othersTake(picture: Picture | undefined, self: NodeRef): boolean {
  return (picture?.members ?? []).some(
    ({ node, leftMs, info }) => node !== self.node && leftMs > 0 && (info as unknown as NodeInfo).draining !== true,
  );
}

interface Row extends ShardReport {
  readonly from: NodeRef;
}
