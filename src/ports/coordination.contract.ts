/**
 * The contract suite of coordination: what every one must do, and do alike.
 *
 * One runs it with `testCoordination(name, open)`. Each case opens one of its own, with as many clients as it needs.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import type { Coordination, Picture } from "./coordination.ts";

export interface CoordinationUnderTest {
  readonly coordination: Coordination;
  /** Another client of the same store, as another node has. Disposed of with this one. */
  readonly client: () => Promise<Coordination>;
  /** Lets so much time pass by the store's clock, or a little more. */
  readonly pass: (ms: number) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

export interface CoordinationSuiteOptions {
  /** Why none of it can run here. */
  readonly skip?: string | undefined;
}

/** Long enough that no lease lapses unless a case lets it. */
const longMs = 600_000;
const shortMs = 300;

type Case = (under: CoordinationUnderTest) => Promise<void>;

const memberCases: Readonly<Record<string, Case>> = {
  "a new one is empty": async ({ coordination }) => {
    const { members, leases, assignments } = await coordination.look();
    assert.deepEqual({ members, leases, assignments }, { members: [], leases: [], assignments: [] });
  },
  "who joins is a member, with what it tells of itself": async ({ coordination, client }) => {
    const info = { url: "ws://n1", zone: "a", tags: ["x", 1, null], nested: { drains: false } };
    const generation = await coordination.join("n1", info, longMs);
    const [member] = (await (await client()).look()).members;
    assert.deepEqual({ ...member, leftMs: 0 }, { node: "n1", generation, info, leftMs: 0 });
    assert.ok((member?.leftMs ?? 0) > longMs / 2 && (member?.leftMs ?? 0) <= longMs);
  },
  "generations only grow, over all nodes, also after a leave": async ({ coordination, client }) => {
    const other = await client();
    const first = await coordination.join("n1", {}, longMs);
    const second = await other.join("n2", {}, longMs);
    await coordination.leave({ node: "n1", generation: first });
    const third = await other.join("n1", {}, longMs);
    assert.ok(first < second && second < third);
  },
  "a node that joins again ends the membership of its earlier running": async ({ coordination, client }) => {
    const first = { node: "n1", generation: await coordination.join("n1", { run: 1 }, longMs) };
    const second = { node: "n1", generation: await (await client()).join("n1", { run: 2 }, longMs) };
    assert.equal(await coordination.renew(first, longMs), false);
    assert.equal(await coordination.describe(first, { run: 3 }), false);
    assert.equal(await coordination.leave(first), false);
    assert.equal(await coordination.evict(first), false);
    assert.equal(await coordination.renew(second, longMs), true);
    const { members } = await coordination.look();
    assert.deepEqual(
      members.map(({ generation, info }) => ({ generation, info })),
      [{ generation: second.generation, info: { run: 2 } }],
    );
  },
  "a lease that is renewed does not lapse, and its renewal is no news": async ({ coordination, pass }) => {
    const member = { node: "n1", generation: await coordination.join("n1", {}, longMs) };
    const { version } = await coordination.look();
    await pass(20);
    assert.equal(await coordination.renew(member, 2 * longMs), true);
    const then = await coordination.look();
    assert.equal(then.version, version);
    assert.ok((then.members[0]?.leftMs ?? 0) > longMs);
  },
  "a lease that lapsed cannot be renewed, and its member is seen without time left": async ({ coordination, pass }) => {
    const member = { node: "n1", generation: await coordination.join("n1", {}, shortMs) };
    await pass(shortMs + 20);
    assert.equal(await coordination.renew(member, longMs), false);
    assert.equal(await coordination.describe(member, { late: true }), false);
    assert.deepEqual((await coordination.look()).members, [{ ...member, info: {}, leftMs: 0 }]);
  },
  "who lapsed may be evicted, who did not may not": async ({ coordination, client, pass }) => {
    const other = await client();
    const lapsed = { node: "n1", generation: await coordination.join("n1", {}, shortMs) };
    const alive = { node: "n2", generation: await other.join("n2", {}, longMs) };
    await pass(shortMs + 20);
    assert.equal(await other.evict(alive), false);
    assert.equal(await other.evict(lapsed), true);
    assert.equal(await other.evict(lapsed), false);
    assert.deepEqual(
      (await coordination.look()).members.map(({ node }) => node),
      ["n2"],
    );
  },
  "who leaves is gone at once": async ({ coordination }) => {
    const member = { node: "n1", generation: await coordination.join("n1", {}, longMs) };
    assert.equal(await coordination.leave(member), true);
    assert.equal(await coordination.renew(member, longMs), false);
    assert.deepEqual((await coordination.look()).members, []);
  },
  "joining, describing and leaving make a new version": async ({ coordination }) => {
    const versions = [(await coordination.look()).version];
    const generation = await coordination.join("n1", {}, longMs);
    versions.push((await coordination.look()).version);
    await coordination.describe({ node: "n1", generation }, { drains: true });
    versions.push((await coordination.look()).version);
    await coordination.leave({ node: "n1", generation });
    versions.push((await coordination.look()).version);
    assert.deepEqual(
      versions,
      [...new Set(versions)].sort((one, other) => one - other),
    );
  },
  "members that join at once are all there, each in a generation of its own": async (under) => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => under.client()));
    const joined = clients.map((client, index) => client.join(`n${index % 3}`, { index }, longMs));
    const generations = await Promise.all(joined);
    assert.equal(new Set(generations).size, 6);
    const { members } = await under.coordination.look();
    assert.deepEqual(
      members.map(({ node }) => node),
      ["n0", "n1", "n2"],
    );
    for (const { node, generation } of members) {
      const ofNode = generations.filter((_, index) => `n${index % 3}` === node);
      assert.equal(generation, Math.max(...ofNode));
    }
  },
};

const leaseCases: Readonly<Record<string, Case>> = {
  "a lease is given to one node at a time": async ({ coordination, client }) => {
    const other = await client();
    const token = await coordination.acquire("coordinator", "n1", longMs);
    assert.ok(token !== undefined);
    assert.equal(await other.acquire("coordinator", "n2", longMs), undefined);
    assert.notEqual(await other.acquire("another", "n2", longMs), undefined);
    const [, lease] = (await coordination.look()).leases;
    assert.deepEqual({ ...lease, leftMs: 0 }, { name: "coordinator", node: "n1", token, leftMs: 0 });
  },
  "of nodes that ask at once one gets it": async (under) => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => under.client()));
    const tokens = await Promise.all(
      clients.map((client, index) => client.acquire("coordinator", `n${index}`, longMs)),
    );
    assert.equal(tokens.filter((token) => token !== undefined).length, 1);
  },
  "a lease that lapsed is given to who asks, with a higher token, and is lost to who had it": async (under) => {
    const { coordination, client, pass } = under;
    const other = await client();
    const first = (await coordination.acquire("coordinator", "n1", shortMs)) as number;
    await pass(shortMs + 20);
    assert.equal(await coordination.extend("coordinator", first, longMs), false);
    const second = (await other.acquire("coordinator", "n2", longMs)) as number;
    assert.ok(second > first);
    assert.equal(await coordination.extend("coordinator", first, longMs), false);
    await coordination.release("coordinator", first);
    assert.equal(await other.extend("coordinator", second, longMs), true);
  },
  "a lease that is extended stays": async ({ coordination, client, pass }) => {
    const token = (await coordination.acquire("coordinator", "n1", longMs)) as number;
    assert.equal(await coordination.extend("coordinator", token, 2 * longMs), true);
    assert.equal(await (await client()).acquire("coordinator", "n2", longMs), undefined);
    assert.equal(await coordination.extend("coordinator", token, shortMs), true);
    await pass(shortMs + 20);
    assert.notEqual(await (await client()).acquire("coordinator", "n2", longMs), undefined);
  },
  "a lease that was given back is free at once": async ({ coordination, client }) => {
    const token = (await coordination.acquire("coordinator", "n1", longMs)) as number;
    await coordination.release("coordinator", token);
    const [lease] = (await coordination.look()).leases;
    assert.deepEqual(lease, { name: "coordinator", token, node: undefined, leftMs: 0 });
    assert.equal(await coordination.extend("coordinator", token, longMs), false);
    assert.ok(((await (await client()).acquire("coordinator", "n2", longMs)) as number) > token);
  },
  "the holder that asks again gets a new token, and the old one is past": async ({ coordination, client }) => {
    const first = (await coordination.acquire("coordinator", "n1", longMs)) as number;
    const second = (await (await client()).acquire("coordinator", "n1", longMs)) as number;
    assert.ok(second > first);
    assert.equal(await coordination.extend("coordinator", first, longMs), false);
  },
};

const assignmentCases: Readonly<Record<string, Case>> = {
  "an assignment is changed by who knows its version": async ({ coordination, client }) => {
    const other = await client();
    assert.deepEqual(await coordination.assign([{ shard: 3, expected: 0, target: { owner: "n1" } }]), [
      { ok: true, version: 1 },
    ]);
    assert.deepEqual(await other.assign([{ shard: 3, expected: 0, target: { owner: "n2" } }]), [
      { ok: false, reason: "stale" },
    ]);
    assert.deepEqual(await other.assign([{ shard: 3, expected: 1, target: { owner: "n2" } }]), [
      { ok: true, version: 2 },
    ]);
    assert.deepEqual(await coordination.assign([{ shard: 3, expected: 1, target: {} }]), [
      { ok: false, reason: "stale" },
    ]);
    assert.deepEqual(await coordination.assign([{ shard: 3, expected: 9, target: {} }]), [
      { ok: false, reason: "stale" },
    ]);
    assert.deepEqual((await coordination.look()).assignments, [{ shard: 3, version: 2, target: { owner: "n2" } }]);
  },
  "changes of one call succeed or fail each by itself, in order": async ({ coordination }) => {
    await coordination.assign([{ shard: 1, expected: 0, target: "a" }]);
    const changes = [2, 1, 0, 5].map((shard) => ({ shard, expected: shard === 5 ? 4 : 0, target: `to ${shard}` }));
    assert.deepEqual(await coordination.assign(changes), [
      { ok: true, version: 1 },
      { ok: false, reason: "stale" },
      { ok: true, version: 1 },
      { ok: false, reason: "stale" },
    ]);
    assert.deepEqual(
      (await coordination.look()).assignments.map(({ target }) => target),
      ["to 0", "a", "to 2"],
    );
  },
  "no changes are answered by no results": async ({ coordination }) => {
    assert.deepEqual(await coordination.assign([]), []);
  },
  "4,096 shards are assigned in one call": async ({ coordination }) => {
    const changes = Array.from({ length: 4_096 }, (_, shard) => ({
      shard,
      expected: 0,
      target: { owner: `n${shard % 7}` },
    }));
    assert.ok((await coordination.assign(changes)).every(({ ok }) => ok));
    const { assignments } = await coordination.look();
    assert.deepEqual(
      assignments,
      changes.map(({ shard, target }) => ({ shard, version: 1, target })),
    );
  },
  "who was deposed changes nothing, whatever it knows": async ({ coordination, client, pass }) => {
    const other = await client();
    const token = (await coordination.acquire("coordinator", "n1", longMs)) as number;
    const under = { name: "coordinator", token };
    assert.deepEqual(await coordination.assign([{ shard: 0, expected: 0, target: 1 }], under), [
      { ok: true, version: 1 },
    ]);
    await coordination.extend("coordinator", token, shortMs);
    await pass(shortMs + 20);
    const late = [
      { shard: 0, expected: 1, target: 2 },
      { shard: 1, expected: 0, target: 2 },
    ];
    const deposed = { ok: false, reason: "deposed" };
    assert.deepEqual(await coordination.assign(late, under), [deposed, deposed]);
    const next = (await other.acquire("coordinator", "n2", longMs)) as number;
    assert.deepEqual(await coordination.assign(late, under), [deposed, deposed]);
    assert.deepEqual(await other.assign(late, { name: "coordinator", token: next }), [
      { ok: true, version: 2 },
      { ok: true, version: 1 },
    ]);
  },
  "of changes made at once for one version one succeeds, and none waits for another for ever": async (under) => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => under.client()));
    const shards = Array.from({ length: 20 }, (_, shard) => shard);
    for (let version = 0; version < 5; version++) {
      const answers = await Promise.all(
        clients.map((client, index) => {
          const order = index % 2 === 0 ? shards : shards.toReversed();
          return client.assign(order.map((shard) => ({ shard, expected: version, target: index })));
        }),
      );
      for (const shard of shards) {
        const place = (index: number) => (index % 2 === 0 ? shard : shards.length - 1 - shard);
        assert.equal(answers.filter((answer, index) => answer[place(index)]?.ok === true).length, 1);
      }
    }
  },
};

const watchCases: Readonly<Record<string, Case>> = {
  "a watch gives what there is, then what changes": async ({ coordination, client }) => {
    const other = await client();
    await coordination.join("n1", {}, longMs);
    const stop = new AbortController();
    const seen: Picture[] = [];
    for await (const picture of coordination.watch(stop.signal)) {
      seen.push(picture);
      if (seen.length === 1) await other.join("n2", {}, longMs);
      if (picture.members.length === 2 && picture.assignments.length === 0)
        await other.assign([{ shard: 0, expected: 0, target: "n2" }]);
      if (picture.assignments.length === 1) stop.abort();
    }
    assert.deepEqual(
      seen[0]?.members.map(({ node }) => node),
      ["n1"],
    );
    assert.ok(seen.every(({ version }, index) => index === 0 || version > (seen[index - 1] as Picture).version));
  },
  "a watch tells that a lease lapsed, and that its member is gone": async ({ coordination, client, pass }) => {
    const other = await client();
    const member = { node: "n1", generation: await coordination.join("n1", {}, shortMs) };
    const stop = new AbortController();
    const left: (boolean | undefined)[] = [];
    const passing = pass(shortMs + 20);
    for await (const { members } of other.watch(stop.signal)) {
      const [first] = members;
      left.push(first === undefined ? undefined : first.leftMs > 0);
      if (first?.leftMs === 0) await other.evict(member);
      if (first === undefined) stop.abort();
    }
    await passing;
    assert.deepEqual(left.slice(-2), [false, undefined]);
  },
  "a watch tells that a lease has another holder": async ({ coordination, client }) => {
    const other = await client();
    const stop = new AbortController();
    const holders: (string | undefined)[] = [];
    for await (const { leases } of other.watch(stop.signal)) {
      holders.push(leases[0]?.node);
      if (holders.length === 1) await coordination.acquire("coordinator", "a", longMs);
      if (holders.length === 2) await coordination.release("coordinator", leases[0]?.token ?? 0);
      if (holders.length === 3) stop.abort();
    }
    assert.deepEqual(holders, [undefined, "a", undefined]);
  },
  "a watch ends when it is told to, and when its client is closed": async ({ coordination, client }) => {
    const stop = new AbortController();
    stop.abort();
    for await (const picture of coordination.watch(stop.signal)) assert.fail(`${picture.version} after the end`);
    const other = await client();
    for await (const picture of other.watch(new AbortController().signal)) {
      assert.ok(picture.version > 0);
      await other.close();
    }
  },
};

const never: readonly unknown[] = [undefined, null, "", " ", "a b", "é", "x".repeat(129), "-n", 7, {}];
const neverTimes: readonly unknown[] = [undefined, null, Number.NaN, 0, -1, Number.POSITIVE_INFINITY, "5", 1n];

const argumentCases: Readonly<Record<string, Case>> = {
  "what is no name, no time or no version is refused as internal": async ({ coordination }) => {
    const refused = async (call: () => Promise<unknown>) =>
      assert.rejects(call, (error) => isHoldfastError(error) && error.code === "internal");
    for (const name of never as readonly string[]) {
      await refused(() => coordination.join(name, {}, longMs));
      await refused(() => coordination.renew({ node: name, generation: 1 }, longMs));
      await refused(() => coordination.leave({ node: name, generation: 1 }));
      await refused(() => coordination.acquire(name, "n1", longMs));
      await refused(() => coordination.acquire("coordinator", name, longMs));
    }
    for (const time of neverTimes as readonly number[]) {
      await refused(() => coordination.join("n1", {}, time));
      await refused(() => coordination.extend("coordinator", 1, time));
    }
    for (const value of [undefined, Number.NaN, -1, 1.5, "0"] as readonly number[]) {
      await refused(() => coordination.assign([{ shard: value, expected: 0, target: 1 }]));
      await refused(() => coordination.assign([{ shard: 1, expected: value, target: 1 }]));
    }
    const twice = { shard: 1, expected: 0, target: 1 };
    await refused(() => coordination.assign([twice, twice]));
    assert.deepEqual((await coordination.look()).members, []);
  },
};

/** Runs the whole suite against one coordination. */
export function testCoordination(
  name: string,
  open: () => Promise<CoordinationUnderTest>,
  { skip }: CoordinationSuiteOptions = {},
): void {
  const groups = {
    members: memberCases,
    leases: leaseCases,
    assignments: assignmentCases,
    watches: watchCases,
    arguments: argumentCases,
  };
  describe(`coordination: ${name}`, { skip: skip ?? false }, () => {
    for (const [group, cases] of Object.entries(groups)) {
      describe(group, () => {
        for (const [title, run] of Object.entries(cases)) {
          test(title, async () => {
            const under = await open();
            try {
              await run(under);
            } finally {
              await under.dispose();
            }
          });
        }
      });
    }
  });
}
