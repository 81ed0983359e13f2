/** What a node does with entities that the author's code breaks: one is parked, the others do not notice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { defineEntity } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { OperatorVerb } from "../model/marks.ts";
import type { CallResult, Principal, WatchNews } from "../model/records.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { given } from "../testing/given.ts";
import { startNode } from "./node.ts";

type Input = { readonly to?: string; readonly amount?: number; readonly text?: string };
/** Time that passed inside of decides. */
let sleptMs = 0;
const any: StandardSchemaV1<unknown, Input> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: (value ?? {}) as Input }) },
};

/** Its evolve breaks at -1, having changed half of the state; `broken` says which amounts break it on replay too. */
const makeBox = (broken: (amount: number) => boolean = (amount) => amount < 0) =>
  defineEntity("box", {
    state: (): { sum: number; half: number; text: string } => ({ sum: 0, half: 0, text: "" }),
    events: {
      added: (state, event: { amount: number }) => {
        state.half++;
        if (broken(event.amount)) throw new Error(`cannot add ${event.amount}`);
        state.half--;
        state.sum += event.amount;
      },
      wrote: (state, event: { text: string }) => {
        state.text += event.text;
      },
    },
    commands: (command) => ({
      add: command(any, (_state, { amount = 1 }, ctx) => {
        ctx.emit("added", { amount });
        return (next) => next.sum;
      }),
      write: command(any, (_state, { text = "" }, ctx) => {
        ctx.emit("wrote", { text });
      }),
      addLater: command(any, (_state, { amount = 1 }, ctx) => {
        ctx.schedule("later", { afterMs: 100 }, "add", { amount });
        ctx.schedule("throw", { afterMs: 10 }, "throw");
      }),
      sleep: command((_state, _input, ctx) => {
        sleptMs += 5;
        ctx.emit("added", { amount: 5 });
      }),
      throw: command(() => {
        throw new Error("a decide that throws");
      }),
      send: command(any, (_state, { to = "", amount = 1 }, ctx) => {
        ctx.send({ type: "box", key: to }, "add", { amount }, { reply: "settled" });
      }),
      settled: command(any, (_state, _outcome, ctx) => {
        ctx.emit("wrote", { text: "settled" });
      }),
    }),
    queries: { state: (state) => ({ ...state }) },
    views: { sum: (state) => state.sum },
    access: () => true,
  });
const box = makeBox();

const user: Principal = { kind: "user", id: "u" };
const operator: Principal = { kind: "operator", id: "olga" };

let starts = 0;

async function start(options: { store?: MemoryStore; entity?: typeof box; limits?: object } = {}) {
  const { store = createMemoryStore(1), entity = box, limits = {} } = options;
  const timeline = new Timeline();
  const clock = new VirtualClock({ timeline });
  const prng = new Prng(++starts);
  const faults: string[] = [];
  const crashes: unknown[] = [];
  const log = openMemoryLog({ store });
  const node = await startNode({
    entities: [entity],
    log,
    clock: {
      now: () => clock.now(),
      monotonic: () => clock.monotonic() + sleptMs,
      after: (ms, run) => clock.after(ms, run),
      defer: (run) => clock.defer(run),
    },
    random: { bytes: (count) => prng.bytes(count) },
    shardCount: 1,
    limits,
    onFault: (where) => faults.push(where),
    onCrash: (error) => crashes.push(error),
  });
  const settle = () => new Promise<void>((resolve) => systemClock.defer(resolve));
  const run = async (ms: number) => {
    await settle();
    for (const until = timeline.nowMs + ms; (timeline.nextMs ?? Number.POSITIVE_INFINITY) <= until; await settle())
      timeline.runNext();
    timeline.skipTo(timeline.nowMs + ms);
    for (let turn = 0; turn < 20; turn++) await settle();
  };
  const answer = async (ask: (done: (result: CallResult) => void) => void, ms = 0): Promise<CallResult> => {
    const answers: CallResult[] = [];
    ask((result) => answers.push(result));
    for (let turn = 0; turn < 5 && answers.length === 0; turn++) await run(ms);
    assert.equal(answers.length, 1, "answered once");
    return answers[0] as CallResult;
  };
  const execute = (key: string, command: string, input: unknown = null) =>
    answer((done) =>
      node.execute(
        {
          entity: { type: "box", key },
          command,
          input,
          requestId: makeUuidV7(clock.now(), prng.bytes(16)),
          principal: user,
        },
        done,
      ),
    );
  const operate = (key: string, verb: OperatorVerb, state?: unknown, principal = operator) =>
    answer((done) => node.operate({ entity: { type: "box", key }, verb, principal, state }, done));
  const query = async (key: string) => {
    const result = await answer((done) =>
      node.query({ entity: { type: "box", key }, query: "state", input: null, principal: user }, done),
    );
    return result.ok ? (result.value as { sum: number; half: number; text: string }) : result.code;
  };
  const watch = (key: string) => {
    const news: WatchNews[] = [];
    node.watch({ entity: { type: "box", key }, view: "sum", principal: user }, (item) => news.push(item));
    return news;
  };
  const tail = async () => (await log.tail([0]))[0]?.tail ?? 0;
  return { node, run, execute, operate, query, watch, faults, crashes, store, tail };
}

const codeOf = (result: CallResult) => (result.ok ? "ok" : result.code);
const reasonOf = (result: CallResult) => (result.ok ? "ok" : (result.reason ?? result.code));

test("a command that breaks its entity's evolve parks that entity at its last good version; neighbours go on", async () => {
  const { node, execute, query, crashes, tail } = await start();
  await execute("a", "add", { amount: 5 });
  await execute("b", "add", { amount: 7 });
  const before = await tail();
  assert.equal(codeOf(await execute("a", "add", { amount: -1 })), "decide-failed");
  assert.equal(codeOf(await execute("a", "add", { amount: 1 })), "quarantined");
  assert.deepEqual(await query("a"), { sum: 5, half: 0, text: "" });
  assert.equal(codeOf(await execute("b", "add", { amount: 1 })), "ok");
  assert.deepEqual(await query("b"), { sum: 8, half: 0, text: "" });
  assert.equal(await tail(), before + 2, "one mark, one step: the shard did not start again");
  assert.deepEqual([node.health().quarantined, crashes], [1, []]);
});

test("a parked entity is parked after a restart, and until it is resumed", async () => {
  const first = await start();
  await first.execute("a", "add", { amount: 5 });
  await first.execute("a", "add", { amount: -1 });
  const second = await start({ store: first.store });
  assert.deepEqual(await second.query("a"), { sum: 5, half: 0, text: "" });
  assert.equal(codeOf(await second.execute("a", "add")), "quarantined");
  assert.equal(codeOf(await second.operate("a", "resume")), "ok");
  assert.equal(codeOf(await second.execute("a", "add")), "ok");
  const third = await start({ store: first.store });
  assert.equal(codeOf(await third.execute("a", "add")), "ok");
  assert.deepEqual(await third.query("a"), { sum: 7, half: 0, text: "" });
});

test("an evolve that throws at replay parks that entity, and other entities of the shard are served", async () => {
  const first = await start();
  for (const amount of [1, 13, 2]) await first.execute("a", "add", { amount });
  await first.execute("b", "add", { amount: 13_000 });
  const entity = makeBox((amount) => amount === 13);
  const second = await start({ store: first.store, entity });
  await second.run(0);
  assert.deepEqual(await second.query("a"), { sum: 1, half: 0, text: "" });
  assert.equal(codeOf(await second.execute("a", "add")), "quarantined");
  assert.equal(codeOf(await second.execute("b", "add")), "ok");
  assert.equal(reasonOf(await second.operate("a", "resume")), "poisoned");
  const skipped = await second.operate("a", "skip");
  assert.ok(skipped.ok);
  assert.deepEqual((skipped.value as { left: number[] }).left, [3]);
  assert.deepEqual(await second.query("a"), { sum: 3, half: 0, text: "" });
  assert.equal(codeOf(await second.operate("a", "resume")), "ok");
  assert.equal(codeOf(await second.execute("a", "add", { amount: 4 })), "ok");
  for (const again of [entity, box]) {
    const third = await start({ store: first.store, entity: again });
    await third.run(0);
    assert.deepEqual(await third.query("a"), { sum: 7, half: 0, text: "" }, "whatever the code can evolve");
    assert.equal(third.node.health().quarantined, 0);
  }
});

test("code that can evolve the record again finds the entity parked and whole, and an operator resumes it", async () => {
  const first = await start();
  for (const amount of [1, 13, 2]) await first.execute("a", "add", { amount });
  const broken = await start({ store: first.store, entity: makeBox((amount) => amount === 13) });
  await broken.run(0);
  const mended = await start({ store: first.store });
  assert.deepEqual(await mended.query("a"), { sum: 16, half: 0, text: "" });
  assert.equal(codeOf(await mended.execute("a", "add")), "quarantined");
  assert.equal(codeOf(await mended.operate("a", "resume")), "ok");
  assert.equal(codeOf(await mended.execute("a", "add")), "ok");
  const back = await start({ store: first.store, entity: makeBox((amount) => amount === 13) });
  await back.run(0);
  assert.equal(codeOf(await back.execute("a", "add")), "quarantined", "the older code parks it again");
  assert.deepEqual(await back.query("a"), { sum: 1, half: 0, text: "" });
});

test("a repair replaces the state, within limits, and is there after a restart", async () => {
  const { operate, execute, query, store } = await start({ limits: { stateBytesMax: 10_000 } });
  await execute("a", "add", { amount: 5 });
  await execute("a", "add", { amount: -1 });
  assert.equal(codeOf(await operate("a", "repair", { sum: 1, when: new Date(0) })), "invalid-input");
  assert.equal(codeOf(await operate("a", "repair", "a text")), "invalid-input");
  assert.equal(codeOf(await operate("a", "repair", { text: "x".repeat(20_000) })), "too-large");
  assert.equal(codeOf(await operate("a", "repair", { sum: 50, half: 0, text: "mended" })), "ok");
  assert.equal(codeOf(await execute("a", "add")), "quarantined", "until it is resumed");
  await operate("a", "resume");
  await execute("a", "add");
  assert.deepEqual(await query("a"), { sum: 51, half: 0, text: "mended" });
  const second = await start({ store });
  assert.deepEqual(await second.query("a"), { sum: 51, half: 0, text: "mended" });
});

test("inspecting gives what it takes to run the command again on a laptop", async () => {
  const { operate, execute } = await start();
  await execute("a", "add", { amount: 5 });
  await execute("a", "add", { amount: -1 });
  const result = await operate("a", "inspect");
  assert.ok(result.ok);
  const report = JSON.parse(JSON.stringify(result.value)) as {
    state: { sum: number; half: number; text: string };
    error: string;
    captured: { command: "add"; input: Input; principal: Principal; now: number };
  };
  assert.match(report.error, /cannot add -1/);
  const { command, input, principal, now } = report.captured;
  assert.throws(
    () => given(box, [], { key: "a", state: report.state }).when(command, input, { principal, now }),
    /evolve of "added" threw: cannot add -1/,
  );
});

test("a timer that breaks its entity is held with it: no loop, and a skip leaves it out", async () => {
  const { run, operate, execute, query, faults, tail } = await start();
  await execute("a", "add", { amount: 5 });
  await execute("a", "addLater", { amount: -1 });
  await run(200);
  assert.equal(codeOf(await execute("a", "add")), "quarantined");
  const [at, count] = [await tail(), faults.length];
  await run(600_000);
  assert.deepEqual([await tail(), faults.length], [at, count], "nothing happens any more");
  await operate("a", "skip");
  await operate("a", "resume");
  await run(10);
  assert.equal(codeOf(await execute("a", "add")), "ok");
  assert.deepEqual(await query("a"), { sum: 6, half: 0, text: "" });
});

test("a timer whose decide throws each time parks its entity after its tries", async () => {
  const { run, execute, operate, faults, node } = await start({ limits: { triesMax: 3 } });
  await execute("a", "addLater", { amount: 2 });
  await run(60_000);
  assert.equal(faults.filter((where) => where.startsWith('decide of "throw"')).length, 3);
  const [entry] = node.quarantined(operator);
  assert.deepEqual([entry?.why, entry?.readable], ["throws", true]);
  await operate("a", "skip");
  await operate("a", "resume");
  await run(10);
  assert.equal(codeOf(await execute("a", "add")), "ok");
});

test("sends to a parked entity, and its own, are held and not lost", async () => {
  const { run, execute, operate, query } = await start();
  await execute("b", "add", { amount: -1 });
  await execute("a", "send", { to: "b", amount: 9 });
  await run(120_000);
  assert.equal(((await query("a")) as { text: string }).text, "", "held");
  await operate("b", "resume");
  await run(120_000);
  assert.equal(((await query("b")) as { sum: number }).sum, 9);
  assert.equal(((await query("a")) as { text: string }).text, "settled");
});

test("a send that breaks its receiver is held; a skip tells its sender", async () => {
  const { run, execute, operate, query } = await start();
  await execute("a", "send", { to: "b", amount: -1 });
  await run(1_000);
  assert.equal(codeOf(await execute("b", "add")), "quarantined");
  await operate("b", "skip");
  await operate("b", "resume");
  await run(120_000);
  assert.equal(((await query("a")) as { text: string }).text, "settled");
  assert.equal(codeOf(await execute("b", "add")), "ok");
});

test("a state over its limit parks its entity with what was recorded, readable", async () => {
  const { execute, operate, query, node } = await start({ limits: { stateBytesMax: 4_000 } });
  let answered = "ok";
  for (let count = 0; count < 100 && answered === "ok"; count++)
    answered = codeOf(await execute("a", "write", { text: "x".repeat(100) }));
  assert.equal(answered, "quarantined");
  const { text } = (await query("a")) as { text: string };
  assert.ok(text.length > 3_500 && text.length < 7_000, `${text.length}`);
  assert.equal(node.quarantined(operator)[0]?.why, "too-large");
  assert.equal(reasonOf(await operate("a", "resume")), "too-large");
  assert.equal(reasonOf(await operate("a", "skip")), "nothing-to-skip");
  await operate("a", "repair", { sum: 0, half: 0, text: "" });
  assert.equal(codeOf(await operate("a", "resume")), "ok");
  assert.equal(codeOf(await execute("a", "add")), "ok");
});

test("nobody but an operator does or learns anything", async () => {
  const { node, execute, operate } = await start();
  await execute("a", "add", { amount: -1 });
  for (const kind of ["user", "service", "entity", "system", "anonymous"] as const) {
    for (const verb of ["inspect", "skip", "repair", "resume"] as const)
      assert.equal(codeOf(await operate("a", verb, { sum: 1 }, { kind, id: "x" })), "forbidden");
    assert.throws(
      () => node.quarantined({ kind, id: "x" }),
      (error) => error instanceof HoldfastError,
    );
  }
  assert.equal(reasonOf(await operate("b", "resume")), "not-parked");
});

test("watchers are shown no half state, and hear of what comes after", async () => {
  const { watch, execute, operate, run } = await start();
  await execute("a", "add", { amount: 5 });
  const news = watch("a");
  await execute("a", "add", { amount: -1 });
  await operate("a", "repair", { sum: 6, half: 0, text: "" });
  await operate("a", "resume");
  await execute("a", "add", { amount: 1 });
  await run(0);
  assert.deepEqual(
    news.map((item) => item.ok && item.value),
    [5, 6, 7],
  );
});

test("what was decided in the commit before the crash is shown when the state is whole again", async () => {
  const { node, watch, run, query } = await start();
  const news = watch("a");
  const entity = { type: "box", key: "a" };
  const results: string[] = [];
  for (const amount of [3, -1]) {
    const requestId = makeUuidV7(node.health().recovered + 1_767_225_600_000, new Prng(100 + amount).bytes(16));
    const call = { entity, command: "add", input: { amount }, requestId, principal: user };
    node.execute(call, (result) => results.push(codeOf(result)));
  }
  await run(10);
  assert.deepEqual(results.toSorted(), ["decide-failed", "ok"]);
  assert.deepEqual(await query("a"), { sum: 3, half: 0, text: "" });
  assert.deepEqual(
    news.map((item) => item.ok && item.value),
    [0, 3],
  );
});

test("a replay that would park more entities than can be broken refuses the shard and writes nothing", async () => {
  const first = await start();
  for (const key of ["a", "b", "c"]) await first.execute(key, "add", { amount: 13 });
  const at = await first.tail();
  const entity = makeBox((amount) => amount === 13);
  await assert.rejects(
    start({ store: first.store, entity, limits: { parkedAtReplayMax: 2 } }),
    (error) => error instanceof HoldfastError && error.code === "evolve-failed",
  );
  assert.equal(await first.tail(), at);
});

test("an unknown event refuses the shard, also behind one that cannot be evolved", async () => {
  const first = await start();
  await first.execute("a", "add", { amount: 13 });
  await first.execute("a", "write", { text: "x" });
  const whole = makeBox((amount) => amount === 13);
  const entity = { ...whole, events: new Map([...whole.events].filter(([name]) => name !== "wrote")) };
  await assert.rejects(
    start({ store: first.store, entity }),
    (error) => error instanceof HoldfastError && error.code === "unknown-event",
  );
});

test("a decide that takes too long is reported with its entity and counted, and nothing else happens to it", async () => {
  const { node, execute, query, faults } = await start({ limits: { decideBudgetMs: 4 } });
  await execute("slow", "add", { amount: 0 });
  await execute("slow", "sleep");
  assert.deepEqual(faults, ['decide of "sleep" on box/slow took 5 ms; a decide may take 4 ms']);
  assert.equal(node.health().overBudget, 1);
  assert.deepEqual(await query("slow"), { sum: 5, half: 0, text: "" });
});
