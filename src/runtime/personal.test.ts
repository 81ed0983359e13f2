/** Personal data on a node: sealed wherever it is recorded, opened at the door, gone after an erasure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { callOutcome } from "../model/call-outcome.ts";
import { defineEntity } from "../model/entity.ts";
import { isSealed, personal, type Sealed } from "../model/sealed.ts";
import { sendOutcome } from "../model/send-outcome.ts";
import { given } from "../testing/given.ts";
import { startTestNode } from "../testing/node.ts";

const canary = "Canary of Coal Mine";
const sealedText = z.custom<Sealed<string>>(isSealed);

interface PersonState {
  name: Sealed<string> | null;
  heard: (string | null)[];
}

const handed: unknown[] = [];

const person = defineEntity("person", {
  personal: true,
  state: (): PersonState => ({ name: null, heard: [] }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
    heard: (state, event: { length: number }) => {
      state.heard.push(String(event.length));
    },
    broke: () => {
      throw new Error("cannot be evolved");
    },
  },
  calls: {
    post: async (input: { name: string | null }) => {
      handed.push(input.name);
      return { posted: input.name ?? "nobody" };
    },
  },
  commands: (command) => ({
    name: command(z.object({ name: z.string().min(1).transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
      ctx.send({ type: "room", key: "hall" }, "enter", { name }, { reply: "entered", context: { name } });
      ctx.schedule("soon", { afterMs: 60_000 }, "later", { name });
      ctx.call("post", { name }, { result: "posted", context: { name } });
      return (next) => ({ name: next.name });
    }),
    entered: command(sendOutcome<{ who: Sealed<string> }, { name: Sealed<string> }>(), (_state, outcome, ctx) => {
      if (outcome.ok) ctx.emit("heard", { length: ctx.open(outcome.value.who)?.length ?? 0 });
    }),
    later: command(z.object({ name: sealedText }), (_state, { name }, ctx) => {
      ctx.emit("heard", { length: ctx.open(name)?.length ?? 0 });
    }),
    posted: command(callOutcome<{ posted: string }, { name: Sealed<string> }>(), (_state, outcome, ctx) => {
      if (outcome.ok) ctx.emit("named", { name: ctx.seal(outcome.value.posted) });
    }),
    leak: command(z.object({ name: z.string() }), (_state, { name }, ctx) => {
      ctx.emit("named", { name: personal(name) });
    }),
    break: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
      ctx.emit("broke", {});
    }),
  }),
  queries: {
    name: (state) => state.name,
    length: (state, context) => (state.name === null ? null : (context.open(state.name)?.length ?? null)),
    heard: (state) => state.heard,
  },
  views: { card: (state) => ({ name: state.name }) },
  access: () => true,
});

const room = defineEntity("room", {
  personal: true,
  state: () => ({ names: [] as Sealed<string>[] }),
  events: {
    entered: (state, event: { name: Sealed<string> }) => {
      state.names.push(event.name);
    },
  },
  commands: (command) => ({
    enter: command(z.object({ name: sealedText }), (_state, { name }, ctx) => {
      ctx.emit("entered", { name });
      return () => ({ who: name });
    }),
  }),
  views: { names: (state) => state.names },
  access: () => true,
});

const plainBox = defineEntity("plain-box", {
  state: () => ({ name: null as unknown }),
  events: {
    put: (state, event: { name: unknown }) => {
      state.name = event.name;
    },
  },
  commands: (command) => ({
    put: command(z.object({ name: z.unknown() }), (_state, { name }, ctx) => {
      ctx.emit("put", { name });
    }),
    mark: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("put", { name });
    }),
  }),
  queries: { name: (state) => state.name },
  access: () => true,
});

const entities = [person, room, plainBox];
const ann = { type: "person", key: "ann" } as const;

test("callers get personal data opened, and null after its subject was erased, everywhere and after a restart", async () => {
  await using node = await startTestNode({ entities });
  handed.length = 0;
  const named = await node.execute(person, "ann", "name", { name: canary });
  assert.deepEqual(named.value, { name: canary });
  await node.advance(120_000);
  assert.deepEqual(handed, [canary], "a handler gets its input opened");
  assert.deepEqual((await node.query(person, "ann", "heard")).value, [String(canary.length), String(canary.length)]);
  assert.equal((await node.query(person, "ann", "length")).value, canary.length);
  const card = await node.watch(person, "ann", "card");
  const names = await node.watch(room, "hall", "names");
  assert.deepEqual(card.news, [
    { ok: true, version: card.news[0]?.ok === true ? card.news[0].version : 0, value: { name: canary } },
  ]);
  const { run } = node.node;

  const { value } = await node.erase(ann);
  assert.deepEqual(value, { subject: "person/ann", erased: true });
  assert.notEqual(node.node.run, run, "who resumes a view gets a whole one");
  assert.deepEqual(card.news.at(-1), { ...card.news[0], value: { name: null } }, "a watcher sees it go");
  assert.deepEqual(names.news.at(-1), { ...names.news[0], value: [null] }, "also where another entity shows it");
  for (const _life of [1, 2]) {
    assert.equal((await node.query(person, "ann", "name")).value, null);
    assert.equal((await node.query(person, "ann", "length")).value, null);
    await node.restart();
  }
  assert.deepEqual((await node.erase(ann)).value, { subject: "person/ann", erased: false });

  await node.execute(person, "ann", "name", { name: "Ann again" });
  assert.equal((await node.query(person, "ann", "name")).value, "Ann again", "a new registration has a new key");
  const late = await node.watch(room, "hall", "names");
  assert.deepEqual(late.news.at(-1), { ...late.news.at(-1), value: [null, "Ann again"] }, "what was erased stays so");
  assert.deepEqual(node.faults, []);
});

test("a repeated request is answered opened, and with null after the erasure", async () => {
  await using node = await startTestNode({ entities });
  const requestId = node.requestId();
  const ask = async () => (await node.execute(person, "ann", "name", { name: canary }, { requestId })).value;
  assert.deepEqual(await ask(), { name: canary });
  assert.deepEqual(await ask(), { name: canary });
  await node.erase(ann);
  assert.deepEqual(await ask(), { name: null });
  await node.restart();
  assert.deepEqual(await ask(), { name: null });
});

test("sealed values from outside are refused, so that nobody has what others sealed opened to him", async () => {
  await using node = await startTestNode({ entities });
  const forged = { $sealed: "person/ann.1.AAAA" };
  for (const [entity, command] of [
    [person, "name"],
    [plainBox, "put"],
  ] as const) {
    const call = { entity: { type: entity.name, key: "eve" }, command, input: { name: forged } };
    const asked = new Promise<{ ok: boolean; code?: string; detail?: string }>((done) =>
      node.node.execute({ ...call, requestId: node.requestId(), principal: { kind: "user", id: "eve" } }, done),
    );
    const [answer] = await Promise.all([asked, node.advance(1)]);
    assert.equal(answer.code, "invalid-input");
    assert.match(answer.detail ?? "", /is a sealed value/);
  }
});

test("a mark that was not sealed, and a seal in a type that declares no personal data, are refused with a clear error", async () => {
  await using node = await startTestNode({ entities });
  await assert.rejects(
    node.execute(person, "ann", "leak", { name: canary }),
    /name is a PersonalValue, not plain data/,
  );
  await assert.rejects(
    node.execute(plainBox, "b", "mark", { name: canary }),
    /name is a PersonalValue, not plain data/,
  );
  for (const { error } of node.faults) assert.ok(!String((error as Error).stack).includes(canary));
});

test("the command that breaks an entity is captured sealed", async () => {
  await using node = await startTestNode({ entities });
  await node.execute(person, "ann", "name", { name: canary });
  await assert.rejects(node.execute(person, "ann", "break", { name: canary }), { code: "decide-failed" });
  const call = { entity: ann, verb: "inspect", principal: { kind: "operator", id: "olga" } } as const;
  const asked = new Promise((done) => node.node.operate(call, done));
  const [inspected] = await Promise.all([asked, node.advance(1)]);
  const text = JSON.stringify(inspected);
  const { state, captured } = (inspected as { value: { state: unknown; captured: { input: unknown } } }).value;
  assert.match(text, /"captured":\{"command":"break","input":\{"name":\{"\$sealed":"person\/ann\.1\./);
  assert.ok(!text.includes(canary));

  // what an operator was shown can be given back, and be run again elsewhere
  const operate = async (verb: "repair" | "resume", more: object) => {
    const answer = new Promise<{ ok: boolean }>((done) => node.node.operate({ ...call, ...more, verb }, done));
    return (await Promise.all([answer, node.advance(1)]))[0].ok;
  };
  assert.ok(await operate("repair", { state }));
  assert.ok(await operate("resume", {}));
  await node.restart();
  assert.equal((await node.query(person, "ann", "name")).value, canary);
  const input = captured.input as { name: string };
  assert.throws(() => given(person, [], { key: "ann" }).when("break", input), /cannot be evolved/);
});

test("only an operator erases, and only what has a name of the service", async () => {
  await using node = await startTestNode({ entities });
  await node.execute(person, "ann", "name", { name: canary });
  await assert.rejects(node.erase(ann, { kind: "user", id: "ann" }), { code: "forbidden" });
  await assert.rejects(node.erase({ type: "ghost", key: "a" }), { code: "unknown-type" });
  await assert.rejects(node.erase({ type: "person", key: "a b" }), { code: "invalid-key" });
  assert.equal((await node.query(person, "ann", "name")).value, canary);
});
