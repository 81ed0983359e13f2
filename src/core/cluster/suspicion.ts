/**
 * Suspicion: whom the others have lost, though its lease holds.
 *
 * It may be wrong. A wrong one costs a takeover that nobody needed, never a second writer, so it is acted on at once. What it must not do
 * is let one node that is cut off take everything from all others, or take from the same node again and again:
 *
 * 1. More than half of those who can tell must have lost the node: of the members with a fresh report that the coordinator itself has a
 *    connection with, and the coordinator. One node that sees nobody any more convinces nobody.
 * 2. They must be at least half of all members. A coordinator that is cut off hears of few and goes by leases alone. Of two nodes each is
 *    half: the one that coordinates takes over, since it cannot tell a dead neighbour from a cut cable and must not wait.
 * 3. Who has lost shards by a suspicion and is trusted again rests: for a time it gets no moves, and another suspicion takes nothing.
 *    A lease that lapses does.
 */
import { type NodeRef, type NodeReport, sameNode } from "../../model/cluster.ts";
import { type Coordinator, freshReport, type MemberState } from "./coordinator-state.ts";

/** Looks again at who is accused. */
export function reviewSuspicions(state: Coordinator): void {
  const live = [...state.members.values()].filter(({ lapsed }) => !lapsed);
  const voters = new Set(live.filter((member) => isHeard(state, member)));
  const mayAccuse = 2 * voters.size >= live.length;
  const accusations = countAccusations(state, voters);
  for (const member of live) {
    const others = voters.size - (voters.has(member) ? 1 : 0);
    const against = accusations.get(member.ref.node) ?? 0;
    const accused = mayAccuse && 2 * against > others;
    if (accused === member.accused) continue;
    member.accused = accused;
    member.accusedSinceMs = state.nowMs;
    if (accused || !member.deposed) continue;
    member.deposed = false;
    member.restUntilMs = state.nowMs + state.options.suspicionRestMs;
  }
}

/** With this report somebody may be accused who was not; the votes themselves are not counted here. */
export function maySuspect({ members, lostIn }: Coordinator, { unreachable }: NodeReport): boolean {
  return unreachable.some(
    ({ node }) => members.get(node)?.accused === false && 2 * (lostIn.get(node) ?? 0) > members.size - 1,
  );
}

/** It takes nothing; what it owns goes to standbys that are ready. */
export function isSuspected(state: Coordinator, member: MemberState): boolean {
  return member.accused && !isResting(state, member);
}

/** It has been lost to the others for so long that nobody waits for it. */
export function isLost(state: Coordinator, member: MemberState): boolean {
  return member.accused && state.nowMs - member.accusedSinceMs >= state.options.lostMs;
}

export function isResting(state: Coordinator, member: MemberState): boolean {
  return state.nowMs < member.restUntilMs;
}

/** The coordinator itself, and whoever reports to it over a connection that it has not lost. */
function isHeard(state: Coordinator, { ref }: MemberState): boolean {
  const { self } = state.options;
  if (sameNode(ref, self)) return true;
  const lost = freshReport(state, self)?.report.unreachable ?? [];
  return freshReport(state, ref) !== undefined && !lost.some((one) => sameNode(one, ref));
}

/** How many voters have lost whom, by name. None speaks of itself. */
function countAccusations(state: Coordinator, voters: ReadonlySet<MemberState>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { ref } of voters)
    for (const lost of new Set((freshReport(state, ref)?.report.unreachable ?? []).map((one) => present(state, one))))
      if (lost !== undefined && lost !== ref.node) counts.set(lost, (counts.get(lost) ?? 0) + 1);
  return counts;
}

/** Its name, if it is this running of it that is a member. */
function present(state: Coordinator, ref: NodeRef): string | undefined {
  return state.members.get(ref.node)?.ref.generation === ref.generation ? ref.node : undefined;
}
