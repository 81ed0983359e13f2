/**
 * A consumer group: who shares the shards of one subscriber.
 *
 * Each change of who is in it begins a generation. A shard remembers the generation in which its member got it: what
 * the member took of that shard before counts no more, since another may have had it in between.
 *
 * Invariants: every shard has one member while there are any; the shares of two members differ by one shard at most; a change
 * moves no more shards than that needs.
 */
import type { ShardId } from "../../model/ids.ts";

export interface GroupShard {
  member: string | undefined;
  /** Generation in which the member got it. */
  since: number;
}

export interface Group {
  generation: number;
  /** When each is given up unless it is heard of, by the clock that the caller uses. */
  readonly members: Map<string, number>;
  readonly shards: Map<ShardId, GroupShard>;
}

export function makeGroup(shards: readonly ShardId[]): Group {
  return {
    generation: 0,
    members: new Map(),
    shards: new Map(shards.map((shard) => [shard, { member: undefined, since: 0 }])),
  };
}

/** The member is there until then. @returns whether shards were given out anew */
export function joinGroup(group: Group, member: string, untilMs: number): boolean {
  const isNew = !group.members.has(member);
  group.members.set(member, untilMs);
  if (isNew) share(group);
  return isNew;
}

/** @returns whether shards were given out anew */
export function leaveGroup(group: Group, member: string): boolean {
  if (!group.members.delete(member)) return false;
  share(group);
  return true;
}

/** Gives those up that were not heard of in time. @returns who they were */
export function expireMembers(group: Group, nowMs: number): readonly string[] {
  const late = [...group.members].filter(([, untilMs]) => untilMs <= nowMs).map(([member]) => member);
  for (const member of late) group.members.delete(member);
  if (late.length > 0) share(group);
  return late;
}

export function shardsOfMember(group: Group, member: string): readonly ShardId[] {
  return [...group.shards].filter(([, shard]) => shard.member === member).map(([shard]) => shard);
}

/** What the member took of the shard in that generation still counts. */
export function holdsSince(group: Group, shard: ShardId, member: string, generation: number): boolean {
  const found = group.shards.get(shard);
  return found !== undefined && found.member === member && found.since <= generation;
}

function share(group: Group): void {
  group.generation++;
  const { members, shards } = group;
  if (members.size === 0) {
    for (const shard of shards.values()) shard.member = undefined;
    return;
  }
  const held = new Map<string, ShardId[]>([...members.keys()].map((member) => [member, []]));
  const free: ShardId[] = [];
  for (const [shard, { member }] of shards) (held.get(member ?? "") ?? free).push(shard);
  // Those who have most keep the odd ones.
  const byHeld = [...held].sort(([one, some], [other, more]) => more.length - some.length || (one < other ? -1 : 1));
  const least = Math.floor(shards.size / members.size);
  let odd = shards.size % members.size;
  const wanted = byHeld.map(([member, own]) => {
    const share = least + (odd-- > 0 ? 1 : 0);
    free.push(...own.splice(share));
    return { member, missing: share - own.length };
  });
  for (const { member, missing } of wanted)
    for (const shard of free.splice(0, missing)) shards.set(shard, { member, since: group.generation });
}
