/**
 * Verbs of operators: each says what targets, or a member, are to be like, and is answered when coordination says so too.
 *
 * Invariants: a caller is answered once. What was answered without a failure stands in coordination and outlives the coordinator.
 */
import { type ShardTarget, sameNode } from "../../model/cluster.ts";
import type { ShardId } from "../../model/ids.ts";
import { withMove } from "./adoption.ts";
import type {
  Coordinator,
  CoordinatorEffect,
  MemberState,
  OperatorVerb,
  PendingVerb,
  ShardState,
  VerbFailure,
} from "./coordinator-state.ts";

export function takeVerb(state: Coordinator, verb: OperatorVerb, caller: object, effects: CoordinatorEffect[]): void {
  const failure = refuse(state, verb);
  if (failure !== undefined) {
    effects.push({ kind: "answer", caller, failure });
    return;
  }
  const left = new Set(verb.kind === "drain" ? [] : verb.shards);
  for (const pending of state.verbs) overtake(pending, verb, left);
  const untilMs = state.nowMs + state.options.verbTimeoutMs;
  state.verbs.push({ verb, caller, untilMs, left, overtaken: false, describedMs: Number.NEGATIVE_INFINITY });
  if (verb.kind !== "move") return;
  for (const shard of left) {
    const held = state.shards[shard] as ShardState;
    held.holdUntilMs = state.nowMs + state.options.handHoldMs;
    Object.assign(held, { avoid: undefined, move: undefined });
  }
}

/** The last word counts: what waits does not undo it afterwards. */
function overtake(pending: PendingVerb, verb: OperatorVerb, shards: ReadonlySet<ShardId>): void {
  if (pending.verb.kind !== verb.kind) return;
  if (verb.kind === "drain") pending.overtaken ||= pending.verb.kind === "drain" && pending.verb.node === verb.node;
  for (const shard of shards) if (pending.left.delete(shard)) pending.overtaken = true;
}

function refuse(state: Coordinator, verb: OperatorVerb): VerbFailure | undefined {
  const { movesMax, verbsMax, shardCount } = state.options;
  if (state.deposed || state.startedMs === undefined)
    return { code: "unavailable", message: "This node does not coordinate at the moment" };
  if (state.verbs.length >= verbsMax)
    return { code: "overloaded", message: `${verbsMax} verbs of operators wait already` };
  const shards = verb.kind === "drain" ? [] : verb.shards;
  const unknown = shards.find((shard) => !Number.isInteger(shard) || shard < 0 || shard >= shardCount);
  if (unknown !== undefined)
    return { code: "invalid-input", message: `There is no shard ${unknown}; they are 0 to ${shardCount - 1}` };
  const name = verb.kind === "drain" ? verb.node : verb.to;
  const member = name === undefined ? undefined : state.members.get(name);
  if (name !== undefined && member === undefined)
    return { code: "invalid-input", message: `There is no node ${name} in the cluster` };
  if (verb.kind !== "move" || member === undefined) return undefined;
  const moving = new Set(
    state.shards.filter((shard) => presentTarget(shard)?.to !== undefined).map(({ shard }) => shard),
  );
  for (const shard of shards) moving.add(shard);
  if (moving.size > 2 * movesMax)
    return {
      code: "overloaded",
      message: `At most ${2 * movesMax} moves are under way at once; pin or drain for more`,
    };
  return refuseMove(state, shards, member);
}

function refuseMove(state: Coordinator, shards: readonly ShardId[], member: MemberState): VerbFailure | undefined {
  const { node } = member.ref;
  if (member.info.draining) return { code: "invalid-input", message: `The node ${node} drains; it takes no shards` };
  if (member.lapsed || member.accused)
    return { code: "unavailable", message: `The node ${node} does not answer the others` };
  for (const shard of shards) {
    const pin = (state.shards[shard] as ShardState).target?.pin;
    if (pin !== undefined && pin !== node && state.members.has(pin))
      return { code: "invalid-input", message: `Shard ${shard} is pinned to ${pin}; take the pin back first` };
  }
  return undefined;
}

/** What is meant for the shard as far as this coordinator knows. */
export function presentTarget({ inFlight, target }: ShardState): ShardTarget | undefined {
  return inFlight?.target ?? target;
}

/** The target as the verbs that wait want it. */
export function obeyVerbs(
  state: Coordinator,
  shard: ShardState,
  target: ShardTarget | undefined,
): ShardTarget | undefined {
  let wanted = target;
  for (const { verb, left } of state.verbs) {
    if (verb.kind === "drain" || !left.has(shard.shard)) continue;
    const { pin: _, ...unpinned } = wanted ?? { standbys: [] };
    if (verb.kind === "pin") wanted = verb.to === undefined ? unpinned : { ...unpinned, pin: verb.to };
    else if (wanted !== undefined) wanted = movedTo(wanted, state.members.get(verb.to));
  }
  return wanted;
}

function movedTo(target: ShardTarget, member: MemberState | undefined): ShardTarget {
  if (member === undefined) return target;
  if (sameNode(target.owner, member.ref)) return withMove(target, undefined);
  const standbys = target.standbys.filter((standby) => !sameNode(standby, member.ref));
  return withMove({ ...target, standbys }, member.ref);
}

/** Answers those that are done, that cannot be done any more, or have waited too long. */
export function settleVerbs(state: Coordinator, effects: CoordinatorEffect[]): void {
  state.verbs = state.verbs.filter((pending) => {
    for (const shard of pending.left) if (isDone(state, pending.verb, shard)) pending.left.delete(shard);
    const failure = state.deposed ? lost("The coordinator is another node now") : becomeOf(state, pending);
    if (failure === "waits") return true;
    effects.push({ kind: "answer", caller: pending.caller, ...(failure === undefined ? undefined : { failure }) });
    return false;
  });
}

function becomeOf(state: Coordinator, pending: PendingVerb): VerbFailure | undefined | "waits" {
  const { verb, left, untilMs } = pending;
  if (pending.overtaken && left.size === 0) return lost("A later verb asked for something else");
  if (verb.kind === "drain") {
    const member = state.members.get(verb.node);
    if (member === undefined) return lost(`The node ${verb.node} has left`);
    // asked for in any case: what is shown may be older than an earlier verb that was overtaken
    if (pending.describedMs >= 0 && (member.info.draining === true) === verb.on) return undefined;
  } else {
    if (left.size === 0) return undefined;
    if (verb.kind === "move" && !state.members.has(verb.to)) return lost(`The node ${verb.to} has left`);
  }
  return state.nowMs < untilMs ? "waits" : lost("Coordination has not taken it in time; look whether it did");
}

function lost(message: string): VerbFailure {
  return { code: "unavailable", message };
}

function isDone(state: Coordinator, verb: OperatorVerb, shard: ShardId): boolean {
  const { target, inFlight, stale } = state.shards[shard] as ShardState;
  if (inFlight !== undefined || stale) return false;
  if (verb.kind === "pin") return target?.pin === verb.to && (target !== undefined || verb.to === undefined);
  return verb.kind === "move" && target !== undefined && (target.to ?? target.owner)?.node === verb.to;
}

/** Drains stand with the member itself. */
export function describeDrains(state: Coordinator, effects: CoordinatorEffect[]): void {
  for (const pending of state.verbs) {
    const { verb } = pending;
    if (verb.kind !== "drain" || state.nowMs - pending.describedMs < state.options.repeatMs) continue;
    const member = state.members.get(verb.node);
    if (member === undefined) continue;
    pending.describedMs = state.nowMs;
    const { draining: _, ...info } = member.info;
    effects.push({ kind: "describe", member: member.ref, info: verb.on ? { ...info, draining: true } : info });
  }
}
