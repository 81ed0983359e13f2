/** Durable subscribers over a real node: what arrives, what is kept of it, and what people may do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { operator, subscribedNode } from "./subscribers.harness.ts";

const declared = [{ name: "audit", form: "changes" as const, sink: "memory", start: "beginning" as const }];

test("a declared subscriber gives its sink every change once, in order, over a restart", async (t) => {
  const place = await subscribedNode(t, { declared });
  const { downstream } = place;
  await place.pay(50);
  await place.until(() => downstream.ids.length === 50);
  await place.restart();
  await place.pay(50);
  await place.until(() => downstream.ids.length >= 100);
  const logged = await place.logged();
  assert.deepEqual([...downstream.ids].sort(), [...logged].sort());
  for (const shard of new Set(downstream.items.map((item) => item.shard))) {
    const offsets = downstream.items.filter((item) => item.shard === shard).map(({ offset }) => offset);
    assert.deepEqual(
      offsets,
      [...offsets].sort((one, other) => one - other),
    );
  }
  assert.deepEqual(
    downstream.opened.map(({ epoch }) => epoch),
    [1, 2],
  );
  const [status] = place.subscribers.list();
  assert.equal(status?.state, "running");
});

test("a subscriber is created, paused, resumed, rewound and deleted", async (t) => {
  const place = await subscribedNode(t);
  const { subscribers, downstream } = place;
  await place.pay(10);
  const made = await subscribers.create("late", { form: "changes", sink: "memory" }, operator);
  assert.deepEqual(made.config.owner, { kind: "operator", id: "olga" });
  await place.until(() => subscribers.show("late").cursor !== null);
  await place.pay(10);
  await place.until(() => downstream.ids.length === 10);
  await subscribers.order({ name: "late", verb: "pause", principal: operator });
  await place.until(() => downstream.open === 0);
  await place.pay(10);
  assert.equal(subscribers.show("late").state, "paused");
  assert.equal(subscribers.show("late").lag.records >= 10, true);
  await subscribers.order({ name: "late", verb: "resume", principal: operator });
  await place.until(() => downstream.ids.length === 20);
  await subscribers.order({ name: "late", verb: "rewind", start: "beginning", principal: operator });
  await place.until(() => downstream.ids.length === 50);
  assert.deepEqual([...downstream.ids.slice(20)].sort(), [...(await place.logged())].sort());
  await subscribers.order({ name: "late", verb: "delete", principal: operator });
  await place.until(() => subscribers.list().length === 0 && downstream.open === 0);
  await assert.rejects(
    subscribers.order({ name: "late", verb: "resume", principal: operator }),
    (error: { code?: string }) => error.code === "not-found",
  );
});
