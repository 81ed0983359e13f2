/** Outside effects on a whole node: at least once outside, once in the log, and nothing lost on the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CallOrder, CallResult, Principal } from "../model/records.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";
import { makeShop, Outside, pump } from "./calls.harness.ts";

const operator: Principal = { kind: "operator", id: "olga" };

function operate(node: TestNode, order: Omit<CallOrder, "principal">, principal = operator): Promise<CallResult> {
  return new Promise((resolve) => {
    node.node.operateCall({ ...order, principal }, resolve);
    void pump(node);
  });
}

async function start(limits = {}) {
  const outside = new Outside();
  const shop = makeShop(outside);
  const node = await startTestNode({ entities: [shop], limits });
  const log = async () => (await node.query(shop, "s", "log")).value;
  return { outside, shop, node, log };
}

test("a call runs when its record is durable, and its result comes back as a command", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5 });
  assert.equal(outside.seen.length, 1);
  assert.deepEqual(outside.last.input, { amount: 5 });
  assert.equal(outside.last.attempt, 1);
  assert.deepEqual(outside.last.entity, { type: "shop", key: "s" });
  outside.last.succeed({ receipt: "r1" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: r1"]);
  assert.deepEqual(await node.node.listCalls(), []);
  await node.stop();
});

test("a failed attempt is made again, later, with the same key", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5 });
  outside.last.fail("down");
  await pump(node);
  const [waiting] = await node.node.listCalls();
  assert.deepEqual([waiting?.failed, waiting?.lastError], [1, "Error: down"]);
  await node.advance(500);
  assert.equal(outside.seen.length, 2);
  assert.equal(outside.last.attempt, 2);
  assert.equal(outside.last.key, outside.seen[0]?.key);
  outside.last.succeed({ receipt: "r2" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: r2"]);
  await node.stop();
});

test("an attempt whose time is up is aborted, and what it returns then is dropped", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, timeoutMs: 2_000 });
  const first = outside.last;
  await node.advance(1_999);
  assert.equal(first.signal.aborted, false);
  await node.advance(1);
  assert.equal(first.signal.aborted, true);
  first.succeed({ receipt: "late" });
  await node.advance(500);
  assert.equal(outside.seen.length, 2);
  outside.last.succeed({ receipt: "r2" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: r2"]);
  await node.stop();
});

test("a call survives a crash, with its key, its failures and the time of its next attempt", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, attempts: 2 });
  outside.last.fail("down");
  await pump(node);
  await node.restart();
  await node.advance(500);
  assert.equal(outside.seen.length, 2);
  assert.equal(outside.last.attempt, 2);
  await node.restart();
  assert.equal(outside.seen.length, 3, "the attempt that the crash cut short is made again");
  assert.equal(new Set(outside.seen.map(({ key }) => key)).size, 1);
  outside.seen[1]?.succeed({ receipt: "of the process that is gone" });
  outside.last.succeed({ receipt: "r3" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: r3"]);
  await node.restart();
  await node.advance(600_000);
  assert.equal(outside.seen.length, 3, "what is settled stays settled");
  await node.stop();
});

test("calls of one command, and of different entities, have keys of their own", async () => {
  const { outside, shop, node } = await start();
  await node.execute(shop, "s", "twice");
  await node.execute(shop, "t", "twice");
  assert.deepEqual(
    outside.seen.map(({ input }) => input.amount),
    [1, 2, 1, 2],
  );
  assert.equal(new Set(outside.seen.map(({ key }) => key)).size, 4);
  for (const seen of outside.seen) seen.succeed({ receipt: "" });
  await pump(node);
  assert.deepEqual(await node.node.listCalls(), []);
  await node.stop();
});

test("a failure that nobody would hear of is refused", async () => {
  const { outside, shop, node } = await start();
  await assert.rejects(node.execute(shop, "s", "silent"), /no command gets its result/);
  assert.equal(outside.seen.length, 0);
  await node.stop();
});

test("a rejection calls nothing", async () => {
  const { outside, shop, node } = await start();
  await assert.rejects(node.execute(shop, "s", "refuse"), /refused/);
  assert.equal(outside.seen.length, 0);
  await node.stop();
});

test("after its last attempt a call is parked and shown with its error; an operator has it tried again", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, attempts: 1 });
  outside.last.fail("card declined");
  await pump(node);
  await node.restart();
  await node.advance(3_600_000);
  assert.equal(outside.seen.length, 1);
  const [parked, ...none] = await node.node.listCalls({ parked: true });
  assert.deepEqual(
    node.faults.map(({ where }) => where),
    ['call "charge" of shop/s, which is parked; failed attempts: 1'],
  );
  assert.ok(parked !== undefined && none.length === 0);
  assert.deepEqual([parked.phase, parked.lastError, parked.name], ["parked", "Error: card declined", "charge"]);
  assert.equal(parked.key, outside.last.key);
  const order = { entity: parked.entity, id: parked.id, verb: "retry" } as const;
  const stranger = await operate(node, order, { kind: "user", id: "mallory" });
  assert.equal(!stranger.ok && stranger.code, "forbidden");
  assert.equal((await operate(node, order)).ok, true);
  const again = await operate(node, order);
  assert.equal(!again.ok && again.code, "not-found", "it is not parked any more");
  assert.equal(outside.last.attempt, 2);
  outside.last.succeed({ receipt: "r2" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: r2"]);
  await node.stop();
});

test("a retry that is dropped before it is durable makes no attempt", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, attempts: 1 });
  outside.last.fail("down");
  await pump(node);
  const [parked] = await node.node.listCalls();
  assert.ok(parked);
  const { entity, id } = parked;
  const done = [operate(node, { entity, id, verb: "retry" }), operate(node, { entity, id, verb: "drop" })];
  for (const result of await Promise.all(done)) assert.ok(result.ok);
  assert.equal(outside.seen.length, 1);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: dropped: Error: down"]);
  await node.stop();
});

test("a parked call that an operator drops is told to the entity, once", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, attempts: 1 });
  outside.last.fail("down");
  await pump(node);
  const [parked] = await node.node.listCalls({ parked: true });
  assert.ok(parked !== undefined);
  const order = { entity: parked.entity, id: parked.id, verb: "drop" } as const;
  assert.equal((await operate(node, order)).ok, true);
  assert.equal((await operate(node, order)).ok, false);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: dropped: Error: down"]);
  await node.stop();
});

test("an entity that asked is told that its call is parked, and of its end later", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, attempts: 1, failure: "tell" });
  outside.last.fail("down");
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: parked: Error: down"]);
  const [parked] = await node.node.listCalls({ parked: true });
  assert.ok(parked !== undefined);
  await operate(node, { entity: parked.entity, id: parked.id, verb: "retry" });
  outside.last.succeed({ receipt: "r2" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: parked: Error: down", "charged 5: r2"]);
  await node.stop();
});

test("a call that settles with its failure leaves nothing for an operator", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5, attempts: 2, failure: "settle" });
  outside.last.fail("down");
  await node.advance(500);
  outside.last.fail("still down");
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: failed: Error: still down"]);
  assert.deepEqual(await node.node.listCalls(), []);
  await node.stop();
});

test("a result that its command cannot take is a failure of the attempt, and is parked in the end", async () => {
  const { outside, shop, node } = await start();
  await node.execute(shop, "s", "picky");
  outside.last.succeed({ receipt: "r" });
  await node.advance(500);
  assert.equal(outside.last.attempt, 2);
  outside.last.succeed({ receipt: "r" });
  await pump(node);
  const [parked] = await node.node.listCalls({ parked: true });
  assert.match(parked?.lastError ?? "", /"throw" did not take the result: decide-failed/);
  await node.stop();
});

test("a result that is not plain data, or too large, is a failure of the attempt", async () => {
  const { outside, shop, node } = await start();
  await node.execute(shop, "s", "order", { amount: 1, attempts: 2 });
  outside.last.succeed({ receipt: (() => "") as unknown as string });
  await node.advance(500);
  outside.last.succeed({ receipt: "x".repeat(70_000) });
  await pump(node);
  const [parked] = await node.node.listCalls({ parked: true });
  assert.match(parked?.lastError ?? "", /bytes|large/);
  await node.stop();
});

test("at most so many handlers run as the limit says; the others wait in order", async () => {
  const { outside, shop, node, log } = await start({ callsRunningMax: 2 });
  for (let amount = 1; amount <= 4; amount++) await node.execute(shop, "s", "order", { amount });
  assert.deepEqual(
    outside.seen.map(({ input }) => input.amount),
    [1, 2],
  );
  outside.seen[0]?.succeed({ receipt: "a" });
  await pump(node);
  assert.equal(outside.last.input.amount, 3);
  outside.seen[1]?.succeed({ receipt: "b" });
  await pump(node);
  assert.equal(outside.last.input.amount, 4);
  assert.equal((await log()).length, 6);
  await node.stop();
});

test("a call that is dropped while its attempt waits for a handler to end is not attempted", async () => {
  const { outside, shop, node } = await start({ callsRunningMax: 1 });
  await node.execute(shop, "s", "twice", null);
  const [, waiting] = await node.node.listCalls();
  assert.ok(waiting);
  assert.equal((await operate(node, { entity: waiting.entity, id: waiting.id, verb: "drop" })).ok, true);
  outside.last.succeed({ receipt: "r1" });
  await pump(node);
  assert.equal(outside.seen.length, 1);
  assert.deepEqual(await node.node.listCalls(), []);
  await node.stop();
});

test("an entity at its limit of calls refuses more", async () => {
  const { shop, node } = await start({ callsPerEntityMax: 1 });
  await node.execute(shop, "s", "order", { amount: 1 });
  await assert.rejects(node.execute(shop, "s", "order", { amount: 2 }), /not settled/);
  await node.stop();
});

test("a call whose handler the code no longer has is parked at once", async () => {
  const { outside, shop, node } = await start();
  await node.execute(shop, "s", "order", { amount: 1 });
  const calls = shop.calls as Map<string, unknown>;
  const handler = calls.get("charge");
  calls.delete("charge");
  await node.restart();
  const [parked] = await node.node.listCalls({ parked: true });
  assert.match(parked?.lastError ?? "", /no call "charge"/);
  calls.set("charge", handler);
  assert.equal(outside.seen.length, 1);
  await node.stop();
});

test("an orderly stop waits for handlers that run, and records what they return", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 1 });
  const stopping = node.node.stop();
  await pump(node);
  outside.last.succeed({ receipt: "in time" });
  await pump(node);
  await stopping;
  await node.restart();
  assert.equal(outside.seen.length, 1);
  assert.deepEqual(await log(), ["ordered 1", "charged 1: in time"]);
  await node.stop();
});

test("an orderly stop aborts handlers that run on, and the next start runs them again", async () => {
  const { outside, shop, node } = await start({ drainMs: 1_000 });
  await node.execute(shop, "s", "order", { amount: 1 });
  const stopping = node.node.stop();
  await node.advance(1_000);
  await stopping;
  assert.equal(outside.last.signal.aborted, true);
  await node.restart();
  assert.equal(outside.seen.length, 2);
  await node.stop();
});
