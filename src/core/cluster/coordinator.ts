/**
 * The coordinator: pictures, reports and verbs in; changes of assignments and evictions out. Whoever holds the lease `coordinator` steps it.
 *
 * It commands nobody and decides not who writes. Invariants:
 * 1. Each change rests on a version; at most one of a shard is under way. One that was made from an older picture changes nothing.
 * 2. Until it has heard of all members or has waited for them it only gives shards an owner that have none.
 * 3. Its state may be lost at any time.
 */
import { type NodeRef, type NodeReport, type ShardTarget, sameNode } from "../../model/cluster.ts";
import { assert } from "../../model/errors.ts";
import { adopt, type Claim, claimsOf, timeMove } from "./adoption.ts";
import {
  type AssignmentChange,
  type AssignmentOutcome,
  type Coordinator,
  type CoordinatorEffect,
  type CoordinatorInput,
  type CoordinatorPicture,
  emptyShard,
  freshReport,
  keepReport,
  liveMember,
  type MemberState,
  type ShardState,
} from "./coordinator-state.ts";
import { type PlacementNode, type PlacementShard, placement } from "./placement.ts";
import { sameTarget } from "./placement-world.ts";
import { isLost, isResting, isSuspected, maySuspect, reviewSuspicions } from "./suspicion.ts";
import { describeDrains, obeyVerbs, presentTarget, settleVerbs, takeVerb } from "./verbs.ts";

export function stepCoordinator(state: Coordinator, input: CoordinatorInput, effects: CoordinatorEffect[]): void {
  assert(input.nowMs >= state.nowMs, "a monotonic clock does not go back");
  state.nowMs = input.nowMs;
  switch (input.kind) {
    case "tick":
      break;
    case "picture":
      takePicture(state, input.picture);
      break;
    case "report":
      if (!takeReport(state, input.report)) return;
      break;
    case "assigned":
      for (const { change, outcome } of input.outcomes) takeOutcome(state, change, outcome);
      if (input.outcomes.every(({ outcome }) => outcome.ok)) break;
      // what failed is tried again with the next tick, not in a circle
      settleVerbs(state, effects);
      return;
    case "verb":
      takeVerb(state, input.verb, input.caller, effects);
      break;
    default:
      input satisfies never;
  }
  decide(state, effects);
}

/** Replaces what is known by what it shows; what this coordinator wrote since it was looked at stays. */
function takePicture(state: Coordinator, picture: CoordinatorPicture): void {
  if (picture.version < state.pictureVersion) {
    if (state.nowMs - state.picturedMs < state.options.pictureLateMs) return;
    // The store was put back to an earlier time: versions that are known say nothing.
    state.shards.forEach(({ shard }, index) => {
      state.shards[index] = emptyShard(shard);
    });
    state.settled = false;
    state.startedMs = undefined;
  }
  state.pictureVersion = picture.version;
  state.picturedMs = state.nowMs;
  state.startedMs ??= state.nowMs;
  takeMembers(state, picture);
  for (const { shard, version, target } of picture.assignments) {
    const held = state.shards[shard];
    if (held === undefined || version <= held.version) continue;
    if (!sameNode(held.target?.owner, target.owner)) held.decidedAt = held.epoch;
    Object.assign(held, { version, target, inFlight: undefined, stale: false });
  }
}

function takeMembers(state: Coordinator, picture: CoordinatorPicture): void {
  const before = new Map(state.members);
  state.members.clear();
  for (const { node, generation, info, leftMs } of picture.members) {
    const known = before.get(node);
    const same = known?.ref.generation === generation ? known : undefined;
    state.members.set(node, {
      ref: { node, generation },
      info,
      // final for this generation, also when a look from before it lapsed comes late
      lapsed: leftMs <= 0 || same?.lapsed === true,
      accused: same?.accused ?? false,
      accusedSinceMs: same?.accusedSinceMs ?? 0,
      deposed: same?.deposed ?? false,
      restUntilMs: same?.restUntilMs ?? Number.NEGATIVE_INFINITY,
      evictedMs: same?.evictedMs ?? Number.NEGATIVE_INFINITY,
    });
    if (same === undefined) keepReport(state, node, undefined);
  }
  for (const node of [...state.reports.keys()]) if (!state.members.has(node)) keepReport(state, node, undefined);
}

/** @returns whether something is to be decided before the next tick. Who is no member is not listened to. */
function takeReport(state: Coordinator, report: NodeReport): boolean {
  const { from, shards } = report;
  if (liveMember(state, from) === undefined) return false;
  const before = state.reports.get(from.node);
  const rows = new Map(shards.map((row) => [row.shard, row]));
  keepReport(state, from.node, { report, rows, atMs: state.nowMs });
  const seconds = (state.nowMs - (before?.atMs ?? state.nowMs)) / 1_000;
  let urgent = maySuspect(state, report) || (!state.settled && hasSettled(state));
  for (const { shard, role, epoch, load } of shards) {
    const held = state.shards[shard];
    if (held === undefined) continue;
    held.epoch = Math.max(held.epoch, epoch);
    if (role !== "owner") continue;
    if (seconds > 0) held.load += (load / seconds - held.load) / 4;
    const target = presentTarget(held);
    if (!sameNode(target?.owner, from) && (sameNode(target?.to, from) || epoch > held.decidedAt)) urgent = true;
  }
  return urgent;
}

/** A picture may have told it already; then another change may be under way. */
function takeOutcome(state: Coordinator, change: AssignmentChange, outcome: AssignmentOutcome): void {
  if (!outcome.ok && outcome.reason === "deposed") state.deposed = true;
  const shard = state.shards[change.shard];
  if (shard === undefined || shard.inFlight?.expected !== change.expected) return;
  shard.inFlight = undefined;
  if (outcome.ok) Object.assign(shard, { version: outcome.version, target: change.target });
  else if (outcome.reason === "stale") shard.stale = true;
}

function decide(state: Coordinator, effects: CoordinatorEffect[]): void {
  settleVerbs(state, effects);
  if (state.deposed || state.startedMs === undefined) return;
  reviewSuspicions(state);
  if (!state.settled && hasSettled(state)) {
    state.settled = true;
    for (const shard of state.shards) shard.decidedAt = shard.epoch;
  }
  const changes = changesOf(state);
  if (changes.length > 0) effects.push({ kind: "assign", changes });
  evict(state, effects);
  describeDrains(state, effects);
}

/** It has heard of all members that it can hear of, or has waited for them. */
function hasSettled(state: Coordinator): boolean {
  if (state.startedMs === undefined) return false;
  if (state.nowMs - state.startedMs >= state.options.settleMs) return true;
  const lost = freshReport(state, state.options.self)?.report.unreachable ?? [];
  return [...state.members.values()].every(
    ({ ref, lapsed }) => lapsed || freshReport(state, ref) !== undefined || lost.some((one) => sameNode(one, ref)),
  );
}

function changesOf(state: Coordinator): readonly AssignmentChange[] {
  const claims = claimsOf(state);
  const asked = state.shards.map((shard) => askedOf(state, shard, claims.get(shard.shard)));
  const targets = placement({
    nodes: nodesOf(state),
    shards: asked,
    options: state.options,
  });
  const changes: AssignmentChange[] = [];
  targets.forEach((target, index) => {
    const shard = state.shards[index] as ShardState;
    const present = presentTarget(shard);
    if (present !== undefined && sameTarget(present, target)) return;
    if (shard.inFlight !== undefined || shard.stale) return;
    if (!state.settled && (liveMember(state, present?.owner) !== undefined || target.owner === undefined)) return;
    if (target.owner === undefined && target.standbys.length === 0 && target.pin === undefined && present === undefined)
      return;
    noteOwner(state, shard, present, target);
    shard.inFlight = { shard: shard.shard, expected: shard.version, target };
    changes.push(shard.inFlight);
  });
  return changes;
}

/** What is claimed from now on was claimed under the new owner; and who lost shards while its lease holds will rest. */
function noteOwner(state: Coordinator, shard: ShardState, before: ShardTarget | undefined, after: ShardTarget): void {
  if (sameNode(before?.owner, after.owner)) return;
  shard.decidedAt = shard.epoch;
  const former = liveMember(state, before?.owner);
  if (former?.accused) former.deposed = true;
}

function nodesOf(state: Coordinator): readonly PlacementNode[] {
  const members = [...state.members.values()].filter(({ lapsed }) => !lapsed);
  return members.map((member) => ({
    ref: member.ref,
    weight: weightOf(member),
    zone: member.info.zone,
    draining: member.info.draining === true || isLost(state, member),
    suspected: isSuspected(state, member),
    resting: isResting(state, member),
  }));
}

function weightOf({ info }: MemberState): number {
  const { weight = 1 } = info;
  return Number.isFinite(weight) && weight > 0 ? weight : 1;
}

/** A shard as placement is asked about it: with what reports and operators say. */
function askedOf(state: Coordinator, shard: ShardState, claim: Claim | undefined): PlacementShard {
  let target = presentTarget(shard);
  if (target !== undefined && state.settled) target = timeMove(state, shard, adopt(state, shard, target, claim));
  target = obeyVerbs(state, shard, target);
  const served = target?.owner !== undefined && sameNode(claim?.node, target.owner);
  const avoid = shard.avoid !== undefined && state.nowMs < shard.avoid.untilMs ? shard.avoid.node : undefined;
  return {
    shard: shard.shard,
    target,
    load: shard.load,
    ready: readyOf(state, shard, target),
    hold: !served || state.nowMs < shard.holdUntilMs,
    avoid,
  };
}

/** Who of those that follow could be promoted at once, the most caught up first. */
function readyOf(state: Coordinator, { shard }: ShardState, target: ShardTarget | undefined): readonly NodeRef[] {
  const following = [...(target?.standbys ?? []), ...(target?.to === undefined ? [] : [target.to])];
  const ready = following.flatMap((ref) => {
    const row = freshReport(state, ref)?.rows.get(shard);
    return row?.role === "standby" && liveMember(state, ref)?.accused === false ? [{ ref, row }] : [];
  });
  ready.sort((one, other) => other.row.epoch - one.row.epoch || other.row.tail - one.row.tail);
  return ready.map(({ ref }) => ref);
}

/** Ends memberships whose leases have lapsed. Its own is none of its business. */
function evict(state: Coordinator, effects: CoordinatorEffect[]): void {
  for (const member of state.members.values()) {
    const { ref, lapsed, evictedMs } = member;
    if (!lapsed || sameNode(ref, state.options.self) || state.nowMs - evictedMs < state.options.repeatMs) continue;
    member.evictedMs = state.nowMs;
    effects.push({ kind: "evict", member: ref });
  }
}
