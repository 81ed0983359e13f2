/** Subscribers that are pulled: alone, as a group, over rebalancing, restarts and lost answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HoldfastError } from "../model/errors.ts";
import { idOf } from "../ports/sink.ts";
import { operator, type SubscribedNode, subscribedNode } from "./subscribers.harness.ts";

const consumer = { kind: "service", id: "reports" } as const;
const ask = { form: "changes", start: "beginning", owner: consumer } as const;
const fetching = { itemsMax: 7, waitMs: 0 };

async function pulled(place: SubscribedNode) {
  await place.until(() => place.subscribers.list().length === 1);
  return place.subscribers.pulled("reports", consumer);
}

test("a consumer that fetches and acknowledges gets every change once, over a restart", async (t) => {
  const place = await subscribedNode(t);
  await place.pay(30);
  await place.subscribers.create("reports", ask, operator);
  const seen: string[] = [];
  const consume = async (count: number) => {
    const group = await pulled(place);
    while (seen.length < count) {
      const { items, cursor } = await group.fetch("only", { ...fetching, waitMs: 1_000 });
      seen.push(...items.map(idOf));
      assert.deepEqual(await group.acknowledge("only", cursor), { moved: [] });
    }
  };
  await consume(20);
  await place.restart();
  await place.pay(10);
  await consume(40);
  assert.deepEqual(seen.sort(), [...(await place.logged())].sort());
  await place.until(() => place.subscribers.show("reports").items === 40);
});

test("what was not acknowledged comes again; with `after` the next comes without waiting for that", async (t) => {
  const place = await subscribedNode(t);
  await place.pay(30);
  await place.subscribers.create("reports", ask, operator);
  const group = await pulled(place);
  const first = await group.fetch("only", fetching);
  const again = await group.fetch("only", fetching);
  assert.deepEqual(again.items.map(idOf), first.items.map(idOf));
  const next = await group.fetch("only", { ...fetching, after: again.cursor });
  assert.equal(
    next.items.some((item) => first.items.map(idOf).includes(idOf(item))),
    false,
  );
  await group.acknowledge("only", next.cursor);
  assert.equal(
    place.subscribers.show("reports").items,
    first.items.length + next.items.length,
    "both are acknowledged",
  );
  const gone = (error: HoldfastError) => error.code === "invalid-cursor";
  await assert.rejects(group.acknowledge("only", again.cursor), gone);
  await assert.rejects(group.acknowledge("other", next.cursor), gone);
  await assert.rejects(group.fetch("only", { ...fetching, after: "nonsense" }), gone);
});

test("members share the shards; what moves is fenced and comes to the other", async (t) => {
  const place = await subscribedNode(t);
  await place.pay(60);
  await place.subscribers.create("reports", ask, operator);
  const group = await pulled(place);
  const early = await group.fetch("a", { itemsMax: 60, waitMs: 0 });
  assert.deepEqual(early.shards, [0, 1, 2, 3]);
  const joined = await group.join("b");
  assert.equal(joined.shards.length, 2);
  const { moved } = await group.acknowledge("a", early.cursor);
  assert.deepEqual(new Set(moved), new Set(joined.shards), "of these its word counts no more");
  const seen = early.items.filter(({ shard }) => !moved.includes(shard)).map(idOf);
  const drain = async (member: string) => {
    for (;;) {
      const { items, cursor } = await group.fetch(member, fetching);
      if (items.length === 0) return;
      await group.acknowledge(member, cursor);
      seen.push(...items.map(idOf));
    }
  };
  await drain("a");
  await drain("b");
  assert.deepEqual([...seen].sort(), [...(await place.logged())].sort(), "each exactly once");
  await group.leave("b");
  assert.equal((await group.join("a")).shards.length, 4);
});

test("nobody but the owner and operators may pull, and nobody from one with a sink", async (t) => {
  const place = await subscribedNode(t);
  await place.subscribers.create("reports", ask, operator);
  await place.subscribers.create("sunk", { form: "changes", sink: "memory" }, operator);
  const refused = (name: string, principal: typeof consumer | typeof operator | { kind: "user"; id: string }) => {
    try {
      place.subscribers.pulled(name, principal);
    } catch (error) {
      return (error as HoldfastError).code;
    }
    return undefined;
  };
  assert.equal(refused("reports", { kind: "user", id: "reports" }), "forbidden");
  assert.equal(refused("nothing", { kind: "user", id: "reports" }), "forbidden");
  assert.equal(refused("nothing", operator), "not-found");
  assert.equal(refused("sunk", operator), "forbidden");
  assert.equal(refused("reports", operator), undefined);
  assert.equal(refused("reports", consumer), undefined);
});

test("a rewound or paused subscriber gives its consumers up, and they begin anew", async (t) => {
  const place = await subscribedNode(t);
  const { subscribers } = place;
  await place.pay(10);
  await subscribers.create("reports", ask, operator);
  const before = await pulled(place);
  const { cursor, items } = await before.fetch("only", { itemsMax: 100, waitMs: 0 });
  assert.equal(items.length, 10);
  await before.acknowledge("only", cursor);
  await subscribers.order({ name: "reports", verb: "rewind", start: "beginning", principal: operator });
  await place.until(
    () => subscribers.show("reports").cursor !== null && subscribers.pulled("reports", consumer) !== before,
  );
  await assert.rejects(before.fetch("only", fetching), (error: HoldfastError) => error.code === "unavailable");
  const after = subscribers.pulled("reports", consumer);
  assert.equal((await after.fetch("only", { itemsMax: 100, waitMs: 0 })).items.length, 10);
  await subscribers.order({ name: "reports", verb: "pause", principal: operator });
  await place.untilState("reports", "paused");
  assert.throws(
    () => subscribers.pulled("reports", consumer),
    (error: HoldfastError) => error.code === "unavailable",
  );
});
