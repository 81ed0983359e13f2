/**
 * What reports say of a shard's target: that a move has come through or has not, that somebody else owns it.
 *
 * Invariant: an owner is changed here only for somebody who serves under the highest epoch that anybody has reported. What is reported
 * late, by one that was fenced meanwhile, changes nothing.
 */
import { type NodeRef, type ShardTarget, sameNode } from "../../model/cluster.ts";
import type { Epoch } from "../../model/ids.ts";
import { type Coordinator, freshReport, liveMember, type ShardState } from "./coordinator-state.ts";

/** Who serves a shard, by its own word. */
export interface Claim {
  readonly node: NodeRef;
  readonly epoch: Epoch;
}

/** Of each shard the claim of the highest epoch among fresh reports. */
export function claimsOf(state: Coordinator): ReadonlyMap<number, Claim> {
  const claims = new Map<number, Claim>();
  for (const { ref, lapsed } of state.members.values()) {
    if (lapsed) continue;
    for (const { shard, role, epoch } of freshReport(state, ref)?.report.shards ?? [])
      if (role === "owner" && epoch > (claims.get(shard)?.epoch ?? 0)) claims.set(shard, { node: ref, epoch });
  }
  return claims;
}

/**
 * The target with the owner that there is. The target of a move becomes it by serving; anybody else must have claimed since it was
 * decided who owns the shard: after a move that was taken back too early, say.
 */
export function adopt(
  state: Coordinator,
  shard: ShardState,
  target: ShardTarget,
  claim: Claim | undefined,
): ShardTarget {
  if (claim === undefined || claim.epoch < shard.epoch || sameNode(claim.node, target.owner)) return target;
  const isMove = sameNode(claim.node, target.to);
  if (!isMove && claim.epoch <= shard.decidedAt) return target;
  if (liveMember(state, claim.node)?.accused !== false) return target;
  const former = liveMember(state, target.owner);
  const follows = former !== undefined && !former.accused && former.info.draining !== true ? [former.ref] : [];
  const standbys = target.standbys.filter((standby) => !sameNode(standby, claim.node));
  const to = isMove ? undefined : target.to;
  return withMove({ ...target, owner: claim.node, standbys: [...follows, ...standbys] }, to);
}

/** Keeps the time of a move. One whose target comes no further is taken back, and that node avoided. */
export function timeMove(state: Coordinator, shard: ShardState, target: ShardTarget): ShardTarget {
  const { to } = target;
  if (to === undefined) {
    shard.move = undefined;
    return target;
  }
  const row = freshReport(state, to)?.rows.get(shard.shard);
  const tail = row?.tail ?? 0;
  const ready = row?.role === "standby";
  const { move } = shard;
  const furthered = move === undefined || !sameNode(move.to, to) || (!move.ready && (ready || tail > move.tail));
  if (furthered) shard.move = { to, ready, tail, sinceMs: state.nowMs };
  else if (state.nowMs - move.sinceMs >= state.options.moveTimeoutMs) {
    shard.avoid = { node: to, untilMs: state.nowMs + state.options.moveRestMs };
    return withMove({ ...target, standbys: [to, ...target.standbys] }, undefined);
  }
  return target;
}

/** The target with this move, or with none. */
export function withMove(target: ShardTarget, to: NodeRef | undefined): ShardTarget {
  const { to: _before, ...rest } = target;
  return to === undefined ? rest : { ...rest, to };
}
