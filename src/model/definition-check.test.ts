/** A definition that cannot work is refused when it is defined, with the remedy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineEntity } from "./entity.ts";
import { isHoldfastError } from "./errors.ts";

const good = { state: () => ({ n: 0 }), events: { happened: () => {} }, commands: () => ({}) };

/** What an author without a compiler could pass. */
function define(name: unknown, options: object): string {
  try {
    defineEntity(name as string, options as never);
  } catch (error) {
    assert.ok(isHoldfastError(error) && error.code === "invalid-definition", String(error));
    return error.message;
  }
  return "defined";
}

const commandsOf = (decide: unknown, more: object = {}) => ({
  ...good,
  commands: (command: (decide: unknown) => unknown) => ({ act: command(decide), ...more }),
});

const cases: [string, unknown, object, RegExp][] = [
  ["a name in upper case", "Wallet", good, /is not an entity type name; use lower case/],
  ["an empty name", "", good, /is not an entity type name/],
  ["a name with a slash", "a/b", good, /is not an entity type name/],
  [
    "a name of Holdfast's own",
    "holdfast-subscriber",
    good,
    /what Holdfast keeps for itself does; give it another name/,
  ],
  ["no state", "w", { ...good, state: undefined }, /has no `state`; give a function/],
  ["an async state", "w", { ...good, state: async () => ({}) }, /AsyncFunction; make it synchronous/],
  ["no commands", "w", { ...good, commands: undefined }, /write commands: \(command\) =>/],
  ["an async decide", "w", commandsOf(async () => {}), /"act" has a decide that is an AsyncFunction/],
  ["a generator as decide", "w", commandsOf(function* () {}), /GeneratorFunction/],
  ["a decide that is no function", "w", commandsOf(7), /has a decide that is not a function/],
  [
    "an event that does not exist",
    "w",
    commandsOf((_s: unknown, _i: unknown, ctx: { emit: (name: string) => void }) => ctx.emit("nope")),
    /emits "nope", which is not one of its events; add it under events, or emit one of: happened/,
  ],
  [
    "a timer's command that does not exist",
    "w",
    commandsOf((_s: unknown, _i: unknown, ctx: { schedule: (...p: unknown[]) => void }) =>
      ctx.schedule("t", { afterMs: 1 }, "nope"),
    ),
    /names the command "nope"/,
  ],
  [
    "a reply command that does not exist",
    "w",
    commandsOf((_s: unknown, _i: unknown, ctx: { send: (...p: unknown[]) => void }) =>
      ctx.send({ type: "w", key: "a" }, "act", 1, { reply: "nope" }),
    ),
    /names the command "nope"/,
  ],
  [
    "a schema that is none",
    "w",
    { ...good, commands: (command: (...p: unknown[]) => unknown) => ({ act: command({}, () => {}) }) },
    /no Standard Schema/,
  ],
  [
    "a reserved command name",
    "w",
    commandsOf(() => {}, { constructor: { decide: () => {} } }),
    /reserved or not a legal name/,
  ],
  ["a command name with a dot", "w", commandsOf(() => {}, { "a.b": { decide: () => {} } }), /not a legal name/],
  ["names that differ in case only", "w", commandsOf(() => {}, { Act: { decide: () => {} } }), /clashes with "act"/],
  ["an async evolve", "w", { ...good, events: { happened: async () => {} } }, /evolve that is an AsyncFunction/],
  [
    "a missing upcast",
    "w",
    { ...good, events: { happened: { version: 3, upcast: { 1: () => ({}) }, evolve: () => {} } } },
    /is at version 3 but has no upcast from 2; add upcast: \{ 2:/,
  ],
  [
    "an event version of zero",
    "w",
    { ...good, events: { happened: { version: 0, upcast: {}, evolve: () => {} } } },
    /no whole `version` from 1/,
  ],
  ["an async access", "w", { ...good, access: async () => true }, /access that is an AsyncFunction/],
  ["an async view", "w", { ...good, views: { v: async () => ({}) } }, /view that is an AsyncFunction/],
  ["an async query", "w", { ...good, queries: { q: async () => ({}) } }, /query that is an AsyncFunction/],
  [
    "a query with input that is no schema",
    "w",
    { ...good, queries: { q: { input: {}, read: () => 1 } } },
    /no Standard Schema/,
  ],
  [
    "a call that does not exist",
    "w",
    commandsOf((_s: unknown, _i: unknown, ctx: { call: (...p: unknown[]) => void }) => ctx.call("nope", null)),
    /"act" calls "nope", which is not one of its calls; add it under calls\./,
  ],
  [
    "a misspelt call",
    "w",
    {
      ...commandsOf((_s: unknown, _i: unknown, ctx: { call: (...p: unknown[]) => void }) => ctx.call("chrage", null)),
      calls: { charge: async () => null },
    },
    /add it under calls, or call one of: charge/,
  ],
  [
    "a result command that does not exist",
    "w",
    {
      ...commandsOf((_s: unknown, _i: unknown, ctx: { call: (...p: unknown[]) => void }) =>
        ctx.call("charge", { a: [1] }, { attempts: 2, result: "nope" }),
      ),
      calls: { charge: async () => null },
    },
    /gives a call's result to the command "nope", which does not exist; add it, or use one of: act/,
  ],
  ["a call that is no function", "w", { ...good, calls: { charge: 7 } }, /give an async function of the input/],
  ["a generator as call", "w", { ...good, calls: { charge: async function* () {} } }, /is a generator/],
  ["a call with a name that is none", "w", { ...good, calls: { "a b": async () => null } }, /not a legal name/],
  ["a durability that is a word of its own", "w", { ...good, durability: "relaxed" }, /write "durable", or \{ relaxed/],
  ["no durability at all", "w", { ...good, durability: null }, /has a durability that is none/],
  [
    "a window shorter than a disk's write",
    "w",
    {
      ...good,
      commands: (command: (...p: unknown[]) => unknown) => ({
        act: command(() => {}, { durability: { relaxed: { windowMs: 5 } } }),
      }),
    },
    /command "act" has a durability that is none; .* 10 to 60000 ms/,
  ],
  ["a migrate without an older version", "w", { ...good, migrate: () => ({}) }, /has a migrate but no older version/],
  ["an async migrate", "w", { ...good, version: 2, migrate: async () => ({}) }, /migrate that is an AsyncFunction/],
  ["a state version of one and a half", "w", { ...good, version: 1.5 }, /has version 1.5/],
];

for (const [what, name, options, expected] of cases) {
  test(`${what} is refused with the remedy`, () => assert.match(define(name, options), expected));
}

test("without access nobody may do anything", () => {
  const entity = defineEntity("w", {
    state: () => ({}),
    events: {},
    commands: (command) => ({ act: command(z.object({}), () => {}) }),
  });
  assert.equal(entity.access({ kind: "operator", id: "root" }, { kind: "command", name: "act" }, "a"), false);
});

test("a command's durability is its own, else its type's, else durable; a schema may be a function", () => {
  const relaxed = (windowMs: number) => ({ relaxed: { windowMs } });
  const schema = Object.assign(() => {}, { "~standard": z.object({})["~standard"] });
  const build = (durability: object) =>
    defineEntity("w", {
      ...durability,
      state: () => ({}),
      events: {},
      commands: (command) => ({
        plain: command(() => {}),
        own: command(() => {}, { durability: relaxed(20) }),
        withInput: command(z.object({}), () => {}, { durability: "durable" }),
        callable: command(schema, () => {}),
      }),
    });
  const durabilities = (durability: object) =>
    [...build(durability).commands.values()].map((command) => command.durability);
  assert.deepEqual(durabilities({}), ["durable", relaxed(20), "durable", "durable"]);
  assert.deepEqual(durabilities({ durability: relaxed(30) }), [relaxed(30), relaxed(20), "durable", relaxed(30)]);
  assert.equal(build({}).commands.get("callable")?.input, schema);
  assert.equal(build({}).commands.get("own")?.input, undefined);
});
