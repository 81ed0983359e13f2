/** Two nodes over one log: what one owns the other follows, and takes over. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult } from "../model/records.ts";
import type { Append } from "../ports/log.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { counter } from "./counter.harness.ts";
import { startNode } from "./node.ts";
import type { HoldfastNode } from "./node-options.ts";
import type { ShardRoles } from "./shard-roles.ts";

const principal = { kind: "service", id: "test" } as const;
const entity = { type: "counter", key: "c1" };

/** Nothing of it needs to be durable soon. */
const lamp = defineEntity("lamp", {
  state: () => ({ blinks: 0 }),
  events: {
    blinked: (state) => {
      state.blinks++;
    },
  },
  commands: (command) => ({
    blink: command(
      (_state, _input, ctx) => {
        ctx.emit("blinked", {});
      },
      { durability: { relaxed: { windowMs: 60_000 } } },
    ),
  }),
  access: () => true,
});

interface Member {
  readonly node: HoldfastNode;
  readonly roles: ShardRoles;
  readonly released: number[];
}

async function start(store: MemoryStore, name: string, durable: (append: Append) => void = () => {}): Promise<Member> {
  const released: number[] = [];
  const node = await startNode({
    entities: [counter, lamp],
    log: openMemoryLog({ store }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 1,
    name,
    cluster: { durable, released: (shard) => void released.push(shard), route: () => {} },
  });
  assert.ok(node.roles !== undefined);
  return { node, roles: node.roles, released };
}

function count({ node }: Member, requestId = makeUuidV7(Date.now(), systemRandom.bytes(16))): Promise<CallResult> {
  return new Promise((resolve) =>
    node.execute({ entity, command: "count", input: null, requestId, principal }, resolve),
  );
}

test("a node that is one of several begins with no shard", async () => {
  await using member = (await start(createMemoryStore(1), "a")).node;
  const result = await new Promise<CallResult>((resolve) =>
    member.execute(
      { entity, command: "count", input: null, requestId: makeUuidV7(Date.now(), systemRandom.bytes(16)), principal },
      resolve,
    ),
  );
  assert.equal(!result.ok && result.code, "unavailable");
});

test("a standby that is fed takes over without reading, and the owner before is fenced", async () => {
  const store = createMemoryStore(1);
  const pushed: Append[] = [];
  const one = await start(store, "a", (append) => pushed.push(append));
  const two = await start(store, "b");
  await one.roles.follow(0);
  assert.equal(await one.roles.promote(0), true);
  await count(one);
  await two.roles.follow(0);
  pushed.length = 0;
  for (let index = 0; index < 5; index++) await count(one);
  for (const { shard, epoch, at, count: records, frame } of pushed)
    assert.equal(two.roles.feed({ shard, epoch, at, count: records, bytes: frame }), true);
  assert.equal(two.roles.position(0).tail, one.roles.position(0).tail);
  assert.equal(await two.roles.promote(0), true);
  const taken = await count(two);
  assert.equal(taken.ok && taken.value, 7);
  const late = await count(one);
  assert.equal(!late.ok && late.code, "fenced");
  assert.deepEqual(one.released, [0]);
  await one.node.stop();
  await two.node.stop();
});

test("a standby whose claim comes second follows the winner, and takes over from it", async () => {
  const store = createMemoryStore(1);
  const one = await start(store, "a");
  const two = await start(store, "b");
  await one.roles.follow(0);
  await two.roles.follow(0);
  assert.equal(await one.roles.promote(0), true);
  // Its first claim has the epoch of the winner's; then it has read that, and claims with the next.
  assert.equal(await two.roles.promote(0), true);
  assert.equal(two.roles.position(0).epoch, 2);
  const taken = await count(two);
  assert.equal(taken.ok && taken.value, 1);
  await one.node.stop();
  await two.node.stop();
});

test("nothing stays in memory of a shard that was given up and is not followed", async () => {
  const one = await start(createMemoryStore(1), "a");
  await one.roles.follow(0);
  await one.roles.promote(0);
  await count(one);
  await one.roles.giveUp(0);
  assert.equal(one.roles.images(0).size, 1);
  one.roles.drop(0);
  assert.equal(one.roles.images(0).size, 0);
  await one.node.stop();
});

test("a gap is refused, and closed from the log", async () => {
  const store = createMemoryStore(1);
  const pushed: Append[] = [];
  const one = await start(store, "a", (append) => pushed.push(append));
  const two = await start(store, "b");
  await one.roles.follow(0);
  await one.roles.promote(0);
  await two.roles.follow(0);
  await count(one);
  await count(one);
  const last = pushed.at(-1) as Append;
  const frame = { shard: 0, epoch: last.epoch, at: last.at, count: last.count, bytes: last.frame };
  assert.equal(two.roles.feed(frame), false);
  await two.roles.fill(0);
  assert.equal(two.roles.position(0).tail, one.roles.position(0).tail);
  assert.equal(two.roles.feed(frame), true, "what is there already changes nothing");
  await one.node.stop();
  await two.node.stop();
});

test("an owner that gives up has everything durable, and the next continues with the same request ids", async () => {
  const store = createMemoryStore(1);
  const one = await start(store, "a");
  const two = await start(store, "b");
  await one.roles.follow(0);
  await one.roles.promote(0);
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const first = count(one, requestId);
  const handed = await one.roles.giveUp(0);
  const answered = await first;
  assert.equal(answered.ok && answered.value, 1);
  assert.deepEqual(one.released, [0]);
  await two.roles.follow(0);
  assert.equal(two.roles.position(0).tail, handed?.tail);
  assert.equal(await two.roles.promote(0), true);
  const again = await count(two, requestId);
  assert.equal(again.ok && again.value, 1);
  await one.roles.follow(0);
  await count(two);
  assert.equal(await one.roles.promote(0), true, "and back, over what it has not been fed");
  const third = await count(one);
  assert.equal(third.ok && third.value, 3);
  await one.node.stop();
  await two.node.stop();
});

test("a standby that the log was trimmed beyond is not followed any more", async () => {
  const store = createMemoryStore(1);
  const one = await start(store, "a");
  const two = await start(store, "b");
  await one.roles.follow(0);
  await one.roles.promote(0);
  await two.roles.follow(0);
  for (let index = 0; index < 5; index++) await count(one);
  await openMemoryLog({ store }).trim(0, 5);
  await assert.rejects(two.roles.fill(0), { code: "log-damaged" });
  assert.equal(two.roles.follows(0), false);
  await one.node.stop();
  await two.node.stop();
});

test("a standby whose claim another node was faster with follows that one, and may claim later", async () => {
  const store = createMemoryStore(1);
  const [one, two] = [await start(store, "a"), await start(store, "b")];
  await using _one = one.node;
  await using _two = two.node;
  for (const { roles } of [one, two]) await roles.follow(0);
  assert.equal(await one.roles.promote(0), true);
  // It knows of no claim yet; its own is of the epoch that the other has taken.
  assert.equal(await two.roles.promote(0), true);
  assert.equal(two.roles.position(0).epoch, one.roles.position(0).epoch + 1);
});

test("an owner that gives up does not wait for the window of what was answered early", async () => {
  const store = createMemoryStore(1);
  const one = await start(store, "a");
  await using _one = one.node;
  await one.roles.follow(0);
  await one.roles.promote(0);
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const answered = await new Promise<CallResult>((resolve) =>
    one.node.execute(
      { entity: { type: "lamp", key: "l" }, command: "blink", input: null, requestId, principal },
      resolve,
    ),
  );
  assert.equal(answered.ok && answered.durable, false);
  const handed = await one.roles.giveUp(0);
  assert.equal(handed?.tail, 3);
});
