/**
 * What must still work when a shard's incarnation ends while others go on. Each of these was found by the simulator, or
 * while it was written.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { createMemoryStore, type MemoryLogHooks, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { defineEntity } from "../model/entity.ts";
import { shardOf } from "../model/ids.ts";
import type { CallResult, WatchNews } from "../model/records.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { startNode } from "./node.ts";

const any: StandardSchemaV1<unknown, { readonly to: string }> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as { to: string } }) },
};

const box = defineEntity("box", {
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
    broken: () => {
      throw new Error("cannot be evolved");
    },
  },
  commands: (command) => ({
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
    }),
    send: command(any, (_state, { to }, ctx) => {
      ctx.emit("counted", {});
      ctx.send({ type: "box", key: to }, "count", null);
    }),
    break: command((_state, _input, ctx) => {
      ctx.emit("broken", {});
    }),
    breakSoon: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      ctx.schedule("break", { afterMs: 10 }, "break");
    }),
    tick: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      ctx.schedule("again", { afterMs: 10 }, "tick");
    }),
  }),
  queries: { count: (state) => state.count },
  views: { count: (state) => state.count },
  access: () => true,
});

const shardCount = 2;
/** A key that lives in this one of two shards. */
const keyIn = (shard: number) =>
  ["a", "b", "c", "d", "e"].find((key) => shardOf("box", key, shardCount) === shard) as string;

async function start(hooks: MemoryLogHooks = {}, limits = {}) {
  const timeline = new Timeline();
  const clock = new VirtualClock({ timeline });
  const prng = new Prng(1);
  const crashes: unknown[] = [];
  const options = {
    entities: [box],
    log: openMemoryLog({ store: createMemoryStore(shardCount), hooks }),
    clock,
    random: { bytes: (count: number) => prng.bytes(count) },
    shardCount,
    limits,
    onCrash: (error: unknown) => crashes.push(error),
  };
  const node = await startNode(options);
  const principal = { kind: "user", id: "u" } as const;
  const settle = () => new Promise<void>((resolve) => systemClock.defer(resolve));
  const run = async (ms: number) => {
    await settle();
    for (const until = timeline.nowMs + ms; (timeline.nextMs ?? Number.POSITIVE_INFINITY) <= until; await settle())
      timeline.runNext();
    timeline.skipTo(timeline.nowMs + ms);
  };
  const execute = (key: string, command: string, input: unknown = null) => {
    const answers: CallResult[] = [];
    const requestId = makeUuidV7(clock.now(), prng.bytes(16));
    const entity = { type: "box", key };
    node.execute({ entity, command, input, requestId, principal }, (result) => answers.push(result));
    return answers;
  };
  const query = async (key: string) => {
    const answers: CallResult[] = [];
    node.query({ entity: { type: "box", key }, query: "count", input: null, principal }, (result) =>
      answers.push(result),
    );
    await settle();
    const [answer] = answers;
    return answer?.ok === true ? answer.value : answer?.code;
  };
  const watch = (key: string) => {
    const news: WatchNews[] = [];
    node.watch({ entity: { type: "box", key }, view: "count", principal }, (item) => news.push(item));
    return news;
  };
  const tail = async (shard: number) => (await options.log.tail([shard]))[0]?.tail ?? 0;
  return { node, run, execute, query, watch, crashes, tail };
}

test("a send whose receiver's shard ended before its record was durable is delivered again", async () => {
  const [sender, receiver] = [keyIn(0), keyIn(1)];
  let appends = 0;
  let land = () => {};
  const { run, execute, query } = await start({
    before: (kind) =>
      kind === "append" && ++appends === 2 ? new Promise<void>((resolve) => (land = resolve)) : undefined,
    refuse: () => (appends === 2 ? "unknown" : undefined),
  });
  execute(sender, "send", { to: receiver });
  // the first commit makes the send durable and hands it over; the receiver's incarnation ends with the second
  await run(0);
  land();
  await run(1_000);
  assert.equal(await query(receiver), 1);
  execute(sender, "send", { to: receiver });
  await run(1_000);
  assert.equal(await query(receiver), 2);
});

test("a shard that ended comes back although the others never pause", async () => {
  const [busy, ended] = [keyIn(0), keyIn(1)];
  let land = () => {};
  let refusals = 0;
  const { run, execute, query } = await start({
    before: (kind) => (kind === "append" ? new Promise<void>((resolve) => (land = resolve)) : undefined),
    // the second time is the committer's own second attempt
    refuse: (kind, { shard }) => (kind === "append" && shard === 1 && refusals++ < 2 ? "unknown" : undefined),
  });
  execute(busy, "count");
  execute(ended, "count");
  await run(0);
  for (let count = 0; count < 5; count++) {
    execute(busy, "count");
    await run(1);
    land();
  }
  await run(1);
  assert.equal(await query(ended), 0);
  assert.equal(refusals, 2);
  land();
});

test("a watcher hears each version once, also when it began between a command and its commit", async () => {
  const key = keyIn(0);
  const { run, execute, watch } = await start();
  execute(key, "count");
  const news = watch(key);
  await run(10);
  execute(key, "count");
  await run(10);
  const versions = news.map((item) => item.ok && item.version);
  assert.deepEqual(versions, [2, 3]);
});

test("an entity at its limit of timers may set one of them again", async () => {
  const key = keyIn(0);
  const { run, execute, query } = await start({}, { timersPerEntityMax: 1 });
  execute(key, "tick");
  await run(100);
  assert.equal(await query(key), 11);
});

test("a timer whose event cannot be evolved is held with its entity: one mark, no claim, and neighbours are served", async () => {
  const [sound, broken] = [keyIn(0), keyIn(1)];
  const { run, execute, query, tail, crashes } = await start();
  execute(broken, "breakSoon");
  await run(60_000);
  assert.equal(await tail(1), 4, "a claim, the command, the mark");
  execute(sound, "count");
  await run(1);
  assert.equal(await query(sound), 1);
  assert.deepEqual(crashes, []);
});

test("a log that answers at once and callers who ask again at once do not stop the event loop", async () => {
  const node = await startNode({
    entities: [box],
    log: openMemoryLog({ shardCount }),
    clock: systemClock,
    random: systemRandom,
    shardCount,
  });
  let answered = 0;
  let stopped = false;
  const again = () => {
    const requestId = makeUuidV7(systemClock.now(), systemRandom.bytes(16));
    const call = {
      entity: { type: "box", key: "a" },
      command: "count",
      input: null,
      requestId,
      principal: { kind: "user", id: "u" },
    } as const;
    node.execute(call, () => {
      answered++;
      if (!stopped) again();
    });
  };
  for (let index = 0; index < 100; index++) again();
  await new Promise((resolve) => setTimeout(resolve, 20));
  stopped = true;
  await node.stop();
  assert.ok(answered >= 100);
});
