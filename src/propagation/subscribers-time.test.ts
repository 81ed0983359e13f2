/** Subscribers on a virtual clock: what idleness costs, long outages, and the policies for those who are too slow. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { shardOf } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { SubscriberAsk } from "../model/subscribers.ts";
import { Prng } from "../std/prng.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";
import { openFeeds } from "./feeds.ts";
import { Downstream, no, operator, purse } from "./subscribers.harness.ts";
import { Subscribers } from "./subscribers.ts";

const ask: SubscriberAsk = { form: "changes", sink: "memory", start: "beginning" };

async function start(t: TestContext, limits: Partial<Limits> = {}) {
  const node = await startTestNode({ entities: [purse], limits });
  const downstream = new Downstream();
  const prng = new Prng(7);
  const feeds = openFeeds(node.node.source);
  const running: Subscribers[] = [];
  const run = () => {
    const subscribers = new Subscribers({
      service: node.node,
      feeds,
      source: node.node.source,
      random: { bytes: (count) => prng.bytes(count) },
      sinks: { memory: downstream.sink },
    });
    subscribers.start();
    running.push(subscribers);
    return subscribers;
  };
  t.after(async () => {
    for (const one of running) await passing(node, one.stop());
    feeds.close();
    await node.stop();
  });
  const subscribers = run();
  const create = (name: string, more: Partial<SubscriberAsk> = {}) =>
    passing(node, subscribers.create(name, { ...ask, ...more }, operator));
  return { node, downstream, subscribers, create, run };
}

/** Lets time pass until it is settled. */
async function passing<Value>(node: TestNode, work: Promise<Value>): Promise<Value> {
  let settled = false;
  const done = work.finally(() => {
    settled = true;
  });
  done.catch(() => {});
  while (!settled) await node.advance(10);
  return await done;
}

const records = async ({ node }: TestNode) => (await node.figures()).commits.records;

test("subscribers that have nothing to do record nothing, however many there are", async (t) => {
  const { node, create, downstream } = await start(t);
  for (let index = 0; index < 20; index++) await create(`s${index}`);
  for (let index = 0; index < 10; index++) await node.execute(purse, `p${index}`, "pay", { amount: 1 });
  await node.advance(10_000);
  assert.equal(downstream.ids.length, 200);
  const before = await records(node);
  await node.advance(3_600_000);
  assert.equal(await records(node), before, "an hour of nothing");
});

test("a cursor that passes many records without an item is recorded now and then", async (t) => {
  const { node, create, subscribers, downstream } = await start(t, { subscriberIdleRecords: 300 });
  await create("audit", { filter: { keyPrefix: "nobody" } });
  await node.advance(2_000);
  const before = await records(node);
  for (let index = 0; index < 301; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(31_000);
  assert.equal((await records(node)) - before, 302, "one record of its own");
  assert.equal(subscribers.show("audit").lag.records, 0);
  assert.equal(downstream.ids.length, 0);
});

test("a sink's own cursor that stayed behind what was nobody's news does not take the subscriber back to it", async (t) => {
  const { node, create, subscribers, downstream, run } = await start(t, {
    subscriberIdleRecords: 10,
    subscribersMax: 8,
  });
  downstream.keeps = true;
  await create("audit", { filter: { keyPrefix: "mine" } });
  await node.execute(purse, "mine", "pay", { amount: 1 });
  await node.advance(5_000);
  for (let index = 0; index < 50; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(65_000);
  const shard = shardOf("purse", "p", node.node.source.shardCount);
  const held = subscribers.held(shard) as number;
  assert.ok(held > 40, `what is before ${held} need not be kept any more`);
  await passing(node, subscribers.stop());
  const next = run();
  await node.advance(2_000);
  assert.equal(next.show("audit").epoch, 2);
  assert.ok((next.held(shard) as number) >= held, `it went back from ${held} to ${next.held(shard)}`);
  await node.execute(purse, "mine", "pay", { amount: 2 });
  await node.advance(2_000);
  assert.equal(downstream.ids.length, 2);
  // A sink that was restored from a copy of before stands elsewhere: what it lost comes again.
  await passing(node, next.stop());
  downstream.cursor = downstream.batches[0]?.cursor;
  run();
  await node.advance(2_000);
  assert.deepEqual(downstream.ids.slice(2), downstream.ids.slice(1, 2));
});

test("a sink that is down for hours is tried at most once a minute, and has everything when it is back", async (t) => {
  const { node, create, subscribers, downstream } = await start(t);
  let tries = 0;
  downstream.refuse = () => {
    tries++;
    return no("unavailable");
  };
  await create("audit");
  for (let index = 0; index < 20; index++) await node.execute(purse, "p", "pay", { amount: index });
  await node.advance(4 * 3_600_000);
  assert.ok(tries > 200 && tries < 520, `${tries} tries in four hours`);
  assert.match(subscribers.show("audit").lastError ?? "", /^unavailable/);
  assert.equal(subscribers.show("audit").state, "lagging", "by its age");
  downstream.refuse = () => undefined;
  await node.advance(61_000);
  assert.equal(downstream.ids.length, 20);
  assert.equal(subscribers.show("audit").state, "running");
  assert.equal(subscribers.show("audit").lastError, null);
});

test("after its tries a subscriber is parked in front of the batch, under either policy", async (t) => {
  const { node, create, subscribers, downstream } = await start(t);
  downstream.refuse = () => no("unavailable", "the table is gone");
  await create("audit", { tries: 5, rejected: "aside" });
  await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(60_000);
  const { state, trouble, aside } = subscribers.show("audit");
  assert.deepEqual([state, trouble?.code, trouble?.detail, aside], ["parked", "unavailable", "the table is gone", 0]);
  assert.equal(trouble?.batch?.items, 1);
});

test("with the policy `park` one that falls too far behind is parked and nothing is held for it", async (t) => {
  const { node, create, subscribers, downstream } = await start(t);
  await create("slow", { slow: "park", lagRecords: 50 });
  await create("patient");
  for (let index = 0; index < 5; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(2_000);
  downstream.refuse = () => no("unavailable");
  for (let index = 0; index < 80; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(61_000);
  const { state, trouble, held } = subscribers.show("slow");
  assert.deepEqual([state, trouble?.code, held], ["parked", "lagging", false]);
  assert.equal(subscribers.show("patient").held, true);
  await passing(node, subscribers.order({ name: "patient", verb: "delete", principal: operator }));
  await node.advance(1_000);
  for (let shard = 0; shard < 8; shard++) assert.equal(subscribers.held(shard), undefined);
  // Resumed it may take its time for what it is behind, also while more comes and its sink is slow.
  await passing(node, subscribers.order({ name: "slow", verb: "resume", principal: operator }));
  await node.advance(500);
  for (let index = 0; index < 3; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(1_000);
  assert.equal(subscribers.show("slow").state, "lagging");
  downstream.refuse = () => undefined;
  await node.advance(61_000);
  assert.equal(subscribers.show("slow").state, "running");
  assert.equal(new Set(downstream.ids).size, 88);
});

test("what is held for a subscriber that does not read is bounded in records and in time", async (t) => {
  const { node, create, subscribers, downstream } = await start(t, {
    subscriberHoldRecordsMax: 20,
    subscriberHoldMs: 60_000,
  });
  await create("audit");
  await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(2_000);
  downstream.refuse = () => no("unavailable");
  const shard = downstream.items[0]?.shard as number;
  const at = downstream.items[0]?.offset as number;
  for (let index = 0; index < 10; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  const held = subscribers.held(shard) as number;
  assert.ok(held <= at + 1 && held > 1, `${held} is where it stands`);
  for (let index = 0; index < 60; index++) await node.execute(purse, "p", "pay", { amount: 1 });
  const tail = node.node.source.recent.tail(shard);
  assert.equal(subscribers.held(shard), tail - 20, "not more records than that");
  await node.advance(61_000);
  assert.equal(subscribers.held(shard), undefined, "and not longer than that");
  assert.equal(subscribers.show("audit").held, false);
});

test("a sink that hangs and heeds nothing does not keep a node from stopping", async (t) => {
  const { node, create, subscribers, downstream } = await start(t);
  downstream.hangs = true;
  await create("audit");
  await node.execute(purse, "p", "pay", { amount: 1 });
  await node.advance(5_000);
  const beforeMs = node.now();
  await passing(node, subscribers.stop());
  assert.ok(node.now() - beforeMs < 25_000, "twice what a node waits for anything");
});
