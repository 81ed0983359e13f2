/** Consumer groups: whatever members do, shards are shared evenly, nothing moves without need, and what is past is fenced. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { expireMembers, type Group, holdsSince, joinGroup, leaveGroup, makeGroup, shardsOfMember } from "./group.ts";

const ownersOf = ({ shards }: Group) => new Map([...shards].map(([shard, { member }]) => [shard, member]));

test("shares are even, a change moves no more than it must, and a moved shard is fenced", () => {
  const step = fc.record({
    kind: fc.constantFrom("join", "join", "leave", "expire"),
    member: fc.constantFrom("a", "b", "c", "d", "e"),
    leaseMs: fc.integer({ min: 1, max: 20 }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 40 }), (count, steps) => {
      const group = makeGroup(Array.from({ length: count }, (_, shard) => shard));
      let nowMs = 0;
      for (const { kind, member, leaseMs } of steps) {
        nowMs += 3;
        const [before, generation, members] = [ownersOf(group), group.generation, new Set(group.members.keys())];
        const changed =
          kind === "join"
            ? joinGroup(group, member, nowMs + leaseMs)
            : kind === "leave"
              ? leaveGroup(group, member)
              : expireMembers(group, nowMs).length > 0;
        assert.equal(group.generation, generation + (changed ? 1 : 0));
        const after = ownersOf(group);
        const sizes = [...group.members.keys()].map((one) => shardsOfMember(group, one).length);
        if (sizes.length > 0) {
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `even: ${sizes.join()}`);
          assert.equal(
            sizes.reduce((sum, size) => sum + size, 0),
            count,
            "each shard has one member",
          );
        }
        const moved = [...after].filter(([shard, owner]) => owner !== before.get(shard)).map(([shard]) => shard);
        // Of those who stay, a shard moves only to make room for who came.
        const needed = [...before].filter(([, owner]) => owner === undefined || !group.members.has(owner)).length;
        const came = [...group.members.keys()].filter((one) => !members.has(one));
        const room = came.reduce((sum, one) => sum + shardsOfMember(group, one).length, 0);
        if (sizes.length > 0)
          assert.ok(moved.length <= Math.max(needed, room), `moved ${moved.length}, ${needed}, ${room}`);
        for (const [shard, owner] of after) {
          if (owner === undefined) continue;
          assert.equal(holdsSince(group, shard, owner, generation), !moved.includes(shard));
          assert.equal(holdsSince(group, shard, "somebody else", group.generation), false);
        }
      }
    }),
    { numRuns: 500 },
  );
});
