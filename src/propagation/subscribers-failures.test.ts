/** What a durable subscriber does when its sink fails, refuses, or is taken over by a later running. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HoldfastError } from "../model/errors.ts";
import type { SubscriberAsk } from "../model/subscribers.ts";
import { idOf, type SinkBatch } from "../ports/sink.ts";
import { no, operator, type SubscribedNode, subscribedNode } from "./subscribers.harness.ts";

const ask: SubscriberAsk = { form: "changes", sink: "memory", start: "beginning", batchItems: 10 };

const amounts = (batch: SinkBatch) =>
  batch.items.map((item) => (item.kind === "change" ? (item.payload as { amount: number }).amount : 0));

const order = (place: SubscribedNode, verb: "resume" | "skip" | "replay" | "drop", ids?: readonly number[]) =>
  place.subscribers.order({ name: "audit", verb, principal: operator, ...(ids === undefined ? {} : { ids }) });

test("a batch is delivered until it is taken, and nothing is passed over", async (t) => {
  const place = await subscribedNode(t);
  let failures = 0;
  place.downstream.refuse = () => (failures++ % 3 === 2 ? undefined : no("unavailable"));
  await place.pay(40);
  await place.subscribers.create("audit", ask, operator);
  await place.until(() => place.downstream.ids.length === 40);
  assert.deepEqual([...place.downstream.ids].sort(), [...(await place.logged())].sort());
});

test("a sink that throws what is not of the catalogue is tried again, and told", async (t) => {
  const place = await subscribedNode(t);
  place.downstream.refuse = () => {
    place.downstream.refuse = () => undefined;
    throw new TypeError("a bug");
  };
  await place.pay(5);
  await place.subscribers.create("audit", ask, operator);
  await place.until(() => place.downstream.ids.length === 5);
});

test("a batch that is refused parks its subscriber in front of it; resumed it comes again, skipped it does not", async (t) => {
  const place = await subscribedNode(t);
  const { downstream, subscribers } = place;
  downstream.refuse = (batch) => (amounts(batch).includes(25) ? no("rejected", "25 is no amount") : undefined);
  await place.pay(40);
  await subscribers.create("audit", ask, operator);
  await place.untilState("audit", "parked");
  const { trouble, cursor } = subscribers.show("audit");
  assert.equal(trouble?.code, "rejected");
  assert.equal(trouble?.detail, "25 is no amount");
  assert.ok((trouble?.batch?.items ?? 0) > 0);
  const before = downstream.ids.length;
  await order(place, "resume");
  await place.until(() => subscribers.show("audit").trouble?.sinceMs !== trouble?.sinceMs);
  assert.equal(subscribers.show("audit").cursor, cursor, "it stands where it stood");
  assert.equal(downstream.ids.length, before);
  await place.untilState("audit", "parked");
  const skipped = subscribers.show("audit").trouble?.batch?.items ?? 0;
  await order(place, "skip");
  await place.until(() => downstream.rewound === 1 && downstream.ids.length === 40 - skipped);
  assert.equal(new Set(downstream.ids).size, 40 - skipped);
});

test("with `aside` the refused records alone are set aside, the rest arrives in order, and a replay brings them", async (t) => {
  const place = await subscribedNode(t);
  const { downstream, subscribers } = place;
  const bad = [7, 8, 23];
  downstream.refuse = (batch) => (amounts(batch).some((one) => bad.includes(one)) ? no("rejected", "bad") : undefined);
  await place.pay(40);
  await subscribers.create("audit", { ...ask, rejected: "aside" }, operator);
  await place.until(() => downstream.ids.length === 37);
  await place.until(() => subscribers.show("audit").aside === 3);
  const aside = await subscribers.aside("audit");
  assert.deepEqual(
    aside.map(({ items }) => items),
    [1, 1, 1],
  );
  for (const shard of [0, 1, 2, 3]) {
    const offsets = downstream.items.filter((item) => item.shard === shard).map(({ offset }) => offset);
    assert.deepEqual(
      offsets,
      [...offsets].sort((one, other) => one - other),
    );
  }
  const [first, second, third] = aside.map(({ id }) => id) as [number, number, number];
  await order(place, "drop", [second]);
  // Still refused: it stays aside, with the reason.
  await order(place, "replay", [first]);
  await place.until(() => subscribers.show("audit").aside === 2);
  await place.until(async () => !(await subscribers.aside("audit")).some(({ again }) => again));
  downstream.refuse = () => undefined;
  await order(place, "replay");
  await place.until(() => subscribers.show("audit").aside === 0);
  assert.equal(downstream.ids.length, 39);
  const replayed = downstream.items.slice(37).map(idOf).sort();
  const kept = aside.filter(({ id }) => id === first || id === third).map((one) => `${one.shard}-${one.offset}-0`);
  assert.deepEqual(replayed, kept.sort());
});

test("a sink that is not there, or does not take the form, parks the subscriber with the reason", async (t) => {
  const place = await subscribedNode(t);
  await place.subscribers.create("audit", { ...ask, sink: "nowhere" }, operator);
  await place.untilState("audit", "parked");
  const { trouble } = place.subscribers.show("audit");
  assert.equal(trouble?.code, "invalid-configuration");
  assert.match(trouble?.detail ?? "", /no sink "nowhere"; it has: memory/);
});

test("what cannot be followed is refused when it is created", async (t) => {
  const { subscribers } = await subscribedNode(t);
  const refused = async (name: string, bad: unknown, code: string) =>
    assert.rejects(subscribers.create(name, bad as SubscriberAsk, operator), (error: HoldfastError) => {
      assert.equal(error.code, code, error.message);
      return true;
    });
  await refused("a b", ask, "invalid-input");
  await refused("x", { form: "rows" }, "invalid-input");
  await refused("x", { ...ask, slow: "conflate" }, "invalid-input");
  await refused("x", { ...ask, strange: 1 }, "invalid-input");
  await refused("x", { ...ask, batchItems: 0 }, "invalid-input");
  await refused("x", { ...ask, filter: { types: ["nothing"] } }, "unknown-type");
  await refused("x", { ...ask, filter: { types: ["holdfast-subscriber"] } }, "invalid-input");
  await refused("x", { form: "absolutes", view: "nothing", filter: { types: ["purse"] } }, "unknown-view");
  await refused("x", { ...ask, start: { cursor: "none" } }, "invalid-cursor");
  await subscribers.create("x", ask, operator);
  await refused("x", ask, "rejected");
});

test("of two runnings of one subscriber the older is fenced, and what it took is not lost", async (t) => {
  const place = await subscribedNode(t, { limits: { subscriberCommitMs: 3_600_000 } });
  const { downstream, subscribers } = place;
  downstream.keeps = true;
  await place.pay(30);
  await subscribers.create("audit", ask, operator);
  await place.until(() => downstream.ids.length === 30);
  // The first has recorded no cursor yet. Another node takes over.
  const other = place.another("two");
  other.start();
  t.after(() => other.stop());
  await place.until(() => downstream.opened.length === 2 && downstream.open === 1);
  await place.pay(30);
  await place.until(() => downstream.ids.length === 60);
  assert.equal(new Set(downstream.ids).size, 60, "the sink's own cursor counts: nothing twice");
  assert.deepEqual(
    downstream.opened.map(({ epoch }) => epoch),
    [1, 2],
  );
  assert.equal(subscribers.show("audit").node, "two");
  await subscribers.stop();
  await other.stop();
  assert.equal(subscribers.show("audit").items <= 60, true);
});

test("a sink that has seen a later running than the log has parks the subscriber: another service uses its name", async (t) => {
  const place = await subscribedNode(t);
  place.downstream.refuse = () => no("fenced", "a later running was here");
  await place.pay(3);
  await place.subscribers.create("audit", ask, operator);
  await place.untilState("audit", "parked");
  assert.equal(place.subscribers.show("audit").trouble?.code, "fenced");
});

test("more subscribers than there may be are refused", async (t) => {
  const place = await subscribedNode(t, { limits: { subscribersMax: 2 } });
  const { subscribers } = place;
  await subscribers.create("one", ask, operator);
  await subscribers.create("two", ask, operator);
  await place.until(() => subscribers.listed === 2);
  await assert.rejects(
    subscribers.create("three", ask, operator),
    (error: HoldfastError) => error.code === "overloaded",
  );
});

test("one whose records are gone has failed until it is rewound", async (t) => {
  const place = await subscribedNode(t);
  const { subscribers, downstream } = place;
  await place.pay(10);
  await subscribers.create("audit", ask, operator);
  await place.until(() => downstream.ids.length === 10);
  const rewind = (start: unknown) => subscribers.order({ name: "audit", verb: "rewind", start, principal: operator });
  await rewind({ offsets: { 1: 1_000_000 } });
  await place.untilState("audit", "failed");
  const { trouble, held } = subscribers.show("audit");
  assert.deepEqual([trouble?.code, held], ["cursor-lost", false]);
  await assert.rejects(order(place, "resume"), /Its records are gone; rewind it/);
  await rewind("beginning");
  await place.until(() => downstream.ids.length === 20);
  assert.equal(subscribers.show("audit").state, "running");
});

test("with the policy `conflate` one whose records are gone goes on with the present states", async (t) => {
  const place = await subscribedNode(t);
  const { subscribers, downstream } = place;
  await place.pay(20);
  await subscribers.create("audit", { ...ask, form: "absolutes", slow: "conflate" }, operator);
  await place.until(() => downstream.ids.length >= 7);
  const before = downstream.ids.length;
  assert.equal(subscribers.show("audit").held, false);
  const start = { offsets: { 1: 1_000_000 } };
  await subscribers.order({ name: "audit", verb: "rewind", start, principal: operator });
  await place.until(() => new Set(downstream.items.slice(before).map(({ entity }) => entity.key)).size === 7);
  assert.equal(subscribers.show("audit").state, "running");
});

test("a batch that does not move the feed is another one to a sink that keeps cursors", async (t) => {
  const place = await subscribedNode(t);
  const { subscribers, downstream } = place;
  downstream.keeps = true;
  downstream.refuse = (batch) => (amounts(batch).includes(3) ? no("rejected", "3") : undefined);
  await place.pay(5);
  await subscribers.create("audit", { ...ask, rejected: "aside" }, operator);
  await place.until(() => subscribers.list()[0]?.aside === 1 && downstream.ids.length === 4);
  downstream.refuse = () => undefined;
  const last = downstream.cursor;
  await order(place, "replay");
  await place.until(() => downstream.ids.length === 5);
  assert.notEqual(downstream.cursor, last);
  // Stopped before that is recorded, it would be replayed once more.
  await place.until(() => subscribers.show("audit").aside === 0);
  await place.restart();
  await place.pay(5);
  await place.until(() => downstream.ids.length === 10);
});
