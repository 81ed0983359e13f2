/** The node in the test's process: time that is told to pass, crashes, and calls with types. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import { startTestNode } from "./index.ts";
import { wallet } from "./testing.harness.ts";

test("commands and queries are answered with types", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  const { value } = await node.execute(wallet, "alice", "credit", { amount: 5 });
  const { balance }: { balance: number } = value;
  assert.equal(balance, 5);
  const seen: number = (await node.query(wallet, "alice", "balance")).value;
  assert.equal(seen, 5);
});

test("a rejection comes as an error with its reason and details", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  await assert.rejects(
    () => node.execute(wallet, "alice", "debit", { amount: 5 }),
    (error: unknown) => {
      assert.ok(isHoldfastError(error) && error.code === "rejected");
      assert.deepEqual(error.details, { reason: "insufficient-funds", details: { balance: 0 }, version: 0 });
      return true;
    },
  );
});

test("state, timers and request ids survive a restart", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  await node.execute(wallet, "alice", "dice");
  const requestId = node.requestId();
  const first = await node.execute(wallet, "alice", "credit", { amount: 5 }, { requestId });
  await node.restart();
  assert.deepEqual(await node.execute(wallet, "alice", "credit", { amount: 5 }, { requestId }), first);
  await node.advance(4_999);
  assert.equal((await node.query(wallet, "alice", "state")).value.woken, 0);
  await node.advance(1);
  assert.equal((await node.query(wallet, "alice", "state")).value.woken, 1);
  await node.restart();
  await node.advance(3_600_000);
  assert.equal((await node.query(wallet, "alice", "state")).value.woken, 1);
});

test("sends arrive while time is told to pass", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  await node.execute(wallet, "alice", "pay", { to: "bob", amount: 4 });
  await node.advance(0);
  assert.equal((await node.query(wallet, "bob", "balance")).value, 4);
});

test("a watch tells each durable change, and ends with the process", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  const { news } = await node.watch(wallet, "alice", "public");
  await node.execute(wallet, "alice", "credit", { amount: 5 });
  await node.restart();
  assert.deepEqual(
    news.map((item) => (item.ok ? item.value.balance : item.code)),
    [0, 5, "unavailable"],
  );
});

test("a call that a crash cut off ends with outcome-unknown", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  const call = node.execute(wallet, "alice", "credit", { amount: 5 });
  const ended = assert.rejects(call, (error: unknown) => isHoldfastError(error) && error.code === "outcome-unknown");
  await node.restart();
  await ended;
});

test("one seed gives one history", async () => {
  const run = async (seed: number) => {
    await using node = await startTestNode({ entities: [wallet], seed });
    await node.execute(wallet, "alice", "dice");
    return [(await node.query(wallet, "alice", "balance")).value, node.requestId()];
  };
  assert.deepEqual(await run(3), await run(3));
  assert.notDeepEqual(await run(3), await run(4));
});

test("what the author's code threw is kept for the test", async () => {
  await using node = await startTestNode({ entities: [wallet] });
  await assert.rejects(() => node.execute(wallet, "alice", "explode"));
  assert.match(node.faults[0]?.where ?? "", /decide of "explode"/);
});
