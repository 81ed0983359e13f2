/** Calls of what does not go on: of shards that start over, and of entities that are parked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import type { OperatorVerb } from "../model/marks.ts";
import type { CallResult } from "../model/records.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";
import { makeShop, Outside, pump } from "./calls.harness.ts";
import { startNode } from "./node.ts";

const entity = { type: "shop", key: "s" };
const user = { kind: "user", id: "ann" } as const;
const operator = { kind: "operator", id: "olga" } as const;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => systemClock.defer(resolve));
}

test("when a shard starts over, its attempts are aborted and made again, and what they return is dropped", async () => {
  const outside = new Outside();
  let refusals = 0;
  const refuse = () => (refusals > 0 && refusals-- > 0 ? ("unknown" as const) : undefined);
  const node = await startNode({
    entities: [makeShop(outside)],
    log: openMemoryLog({
      store: createMemoryStore(1),
      hooks: { refuse: (kind) => (kind === "append" ? refuse() : undefined) },
    }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 1,
    onCrash: (error) => {
      throw error;
    },
  });
  const order = (amount: number) =>
    new Promise<CallResult>((resolve) => {
      const requestId = makeUuidV7(systemClock.now(), systemRandom.bytes(16));
      node.execute({ entity, command: "order", input: { amount }, requestId, principal: user }, resolve);
    });
  const log = () =>
    new Promise<CallResult>((resolve) =>
      node.query({ entity, query: "log", input: undefined, principal: user }, resolve),
    );
  assert.ok((await order(5)).ok);
  await until(() => outside.seen.length === 1);
  const first = outside.last;
  // the second time is the committer's own second attempt
  refusals = 2;
  const lost = await order(6);
  assert.equal(lost.ok ? "" : lost.code, "outcome-unknown");
  await until(() => outside.seen.length === 2);
  assert.equal(first.signal.aborted, true);
  assert.deepEqual([outside.last.key, outside.last.attempt], [first.key, 1]);
  first.succeed({ receipt: "of the incarnation that is over" });
  outside.last.succeed({ receipt: "r2" });
  while ((await node.listCalls()).length > 0) await new Promise<void>((resolve) => systemClock.defer(resolve));
  const lines = await log();
  assert.deepEqual(lines.ok && lines.value, ["ordered 5", "charged 5: r2"]);
  await node.stop();
});

async function start() {
  const outside = new Outside();
  const shop = makeShop(outside);
  const node = await startTestNode({ entities: [shop] });
  const log = async () => (await node.query(shop, "s", "log")).value;
  return { outside, shop, node, log };
}

async function operate(node: TestNode, verb: OperatorVerb): Promise<CallResult> {
  const answers: CallResult[] = [];
  node.node.operate({ entity, verb, principal: operator }, (result) => answers.push(result));
  while (answers.length === 0) await pump(node);
  await pump(node);
  return answers[0] as CallResult;
}

test("a result whose command breaks its entity is held with it, and recorded when it is resumed", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5 });
  outside.last.succeed({ receipt: "break" });
  await pump(node);
  assert.equal(node.node.health().quarantined, 1);
  await assert.rejects(node.execute(shop, "s", "order", { amount: 6 }), { code: "quarantined" });
  const [held] = await node.node.listCalls();
  assert.ok(held !== undefined && held.phase === "underway");
  const dropped = new Promise<CallResult>((resolve) =>
    node.node.operateCall({ entity, id: held.id, verb: "drop", principal: operator }, resolve),
  );
  await pump(node);
  assert.deepEqual(await dropped.then((result) => !result.ok && result.code), "quarantined");
  await node.advance(600_000);
  assert.deepEqual(await log(), ["ordered 5"]);
  outside.broken = false;
  assert.ok((await operate(node, "resume")).ok);
  await node.advance(1);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: break", "mended"]);
  assert.deepEqual(await node.node.listCalls(), []);
  assert.equal(outside.seen.length, 1);
  await node.stop();
});

test("a skip settles the call whose result broke the entity", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5 });
  outside.last.succeed({ receipt: "break" });
  await pump(node);
  assert.ok((await operate(node, "skip")).ok);
  assert.deepEqual(await node.node.listCalls(), []);
  assert.ok((await operate(node, "resume")).ok);
  await node.restart();
  await node.advance(600_000);
  assert.deepEqual(await node.node.listCalls(), []);
  assert.deepEqual(await log(), ["ordered 5"]);
  assert.equal(outside.seen.length, 1);
  await node.stop();
});

test("a parked entity's calls are not tried before it is resumed, after a restart neither", async () => {
  const { outside, shop, node, log } = await start();
  await node.execute(shop, "s", "order", { amount: 5 });
  const first = outside.last;
  await assert.rejects(node.execute(shop, "s", "break"), /could not be evolved/);
  first.succeed({ receipt: "r1" });
  await node.advance(600_000);
  assert.deepEqual(await log(), ["ordered 5"]);
  await node.restart();
  await node.advance(600_000);
  assert.equal(outside.seen.length, 1);
  assert.ok((await operate(node, "resume")).ok);
  assert.deepEqual([outside.seen.length, outside.last.key, outside.last.attempt], [2, first.key, 1]);
  outside.last.succeed({ receipt: "r2" });
  await pump(node);
  assert.deepEqual(await log(), ["ordered 5", "charged 5: r2"]);
  await node.stop();
});
