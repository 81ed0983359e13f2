/**
 * Any order of registrations, moves of a name from entity to entity, erasures and crashes: what callers see is what a model
 * says, and nothing that was erased is ever seen again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { defineEntity } from "../model/entity.ts";
import { isSealed, personal, type Sealed } from "../model/sealed.ts";
import { startTestNode, type TestNode } from "../testing/node.ts";

const person = defineEntity("person", {
  personal: true,
  state: () => ({ name: null as Sealed<string> | null }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.name = event.name;
    },
  },
  commands: (command) => ({
    name: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
    }),
    visit: command(z.object({ room: z.string() }), (state, { room }, ctx) => {
      if (state.name !== null) ctx.send({ type: "room", key: room }, "enter", { name: state.name });
    }),
  }),
  queries: { name: (state) => state.name, raw: (state) => JSON.stringify(state) },
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
    enter: command(z.object({ name: z.custom<Sealed<string>>(isSealed) }), (_state, { name }, ctx) => {
      ctx.emit("entered", { name });
    }),
  }),
  queries: { names: (state) => state.names, raw: (state) => JSON.stringify(state) },
  views: { names: (state) => state.names },
  access: () => true,
});

const people = ["a", "b", "c"] as const;
const rooms = ["x", "y"] as const;

type Step =
  | { readonly kind: "name" | "erase"; readonly who: (typeof people)[number] }
  | { readonly kind: "visit"; readonly who: (typeof people)[number]; readonly room: (typeof rooms)[number] }
  | { readonly kind: "restart" };

/** A name that was given, and whose. */
interface Given {
  readonly who: string;
  name: string | null;
}

async function take(node: TestNode, steps: readonly Step[]): Promise<void> {
  const current = new Map<string, Given>();
  const entered = new Map<string, Given[]>(rooms.map((of) => [of, []]));
  const all: Given[] = [];
  const gone: string[] = [];
  let count = 0;
  for (const step of steps) {
    if (step.kind === "restart") {
      const before = await raw(node);
      await node.restart();
      assert.equal(await raw(node), before, "a replay comes to the same states");
    } else if (step.kind === "name") {
      const given: Given = { who: step.who, name: `secret-${step.who}-${++count}` };
      await node.execute(person, step.who, "name", { name: given.name as string });
      current.set(step.who, given);
      all.push(given);
    } else if (step.kind === "visit") {
      await node.execute(person, step.who, "visit", { room: step.room });
      await node.advance(1);
      const given = current.get(step.who);
      if (given !== undefined) entered.get(step.room)?.push(given);
    } else {
      const before = await raw(node);
      await node.erase({ type: "person", key: step.who });
      assert.equal(await raw(node), before, "an erasure changes no state");
      for (const given of all) {
        if (given.who !== step.who || given.name === null) continue;
        gone.push(given.name);
        given.name = null;
      }
    }
    await compare(node, current, entered, gone);
  }
}

async function compare(
  node: TestNode,
  current: ReadonlyMap<string, Given>,
  entered: ReadonlyMap<string, readonly Given[]>,
  gone: readonly string[],
): Promise<void> {
  const shown: unknown[] = [];
  for (const who of people) {
    const { value } = await node.query(person, who, "name");
    assert.equal(value, current.get(who)?.name ?? null);
    shown.push(value);
  }
  for (const [key, given] of entered) {
    const { value } = await node.query(room, key, "names");
    const names = given.map(({ name }) => name);
    assert.deepEqual(value, names);
    const watch = await node.watch(room, key, "names");
    const last = watch.news.at(-1);
    assert.deepEqual(last?.ok === true ? last.value : last, names);
    watch.stop();
    shown.push(value, watch.news);
  }
  const text = JSON.stringify(shown);
  for (const name of gone) assert.ok(!text.includes(`"${name}"`), `${name} was erased`);
}

async function raw(node: TestNode): Promise<string> {
  const states: unknown[] = [];
  for (const who of people) states.push((await node.query(person, who, "raw")).value);
  for (const key of rooms) states.push((await node.query(room, key, "raw")).value);
  return JSON.stringify(states);
}

const who = fc.constantFrom(...people);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("name" as const), who }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("visit" as const), who, room: fc.constantFrom(...rooms) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("erase" as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

test("after an erasure no value of before is ever seen again, whatever else is done", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await using node = await startTestNode({ entities: [person, room], shardCount: 2 });
      await take(node, steps);
      assert.deepEqual(node.faults, []);
    }),
    { numRuns: 40 },
  );
});

/** What is asked for at once, before the process dies in the midst of it. */
type Wish = { readonly kind: "name" | "erase" | "visit"; readonly who: (typeof people)[number] };

const wish: fc.Arbitrary<Wish> = fc.record({
  kind: fc.constantFrom("name" as const, "name" as const, "visit" as const, "erase" as const),
  who,
});
const life = fc.record({ wishes: fc.array(wish, { maxLength: 8 }), turns: fc.nat({ max: 60 }) });

interface Fate {
  /** Every name that was ever given, and those whose command was answered and not erased since it was. */
  readonly given: Set<string>;
  readonly answered: Map<string, string[]>;
  /** Of answered erasures: what had been answered when they were asked for. */
  readonly gone: Set<string>;
}

function ask(node: TestNode, { kind, who: key }: Wish, fate: Fate, name: string): void {
  const known = fate.answered.get(key) ?? [];
  fate.answered.set(key, known);
  const entity = { type: "person", key } as const;
  const principal = { kind: kind === "erase" ? "operator" : "user", id: "tester" } as const;
  if (kind === "erase") {
    const before = [...known];
    node.node.erase({ subject: entity, principal }, (result) => {
      if (result.ok) for (const one of before) fate.gone.add(one);
    });
    return;
  }
  const input = kind === "name" ? { name } : { room: "x" };
  if (kind === "name") fate.given.add(name);
  node.node.execute({ entity, command: kind, input, requestId: node.requestId(), principal }, (result) => {
    if (result.ok && kind === "name") known.push(name);
  });
}

async function liveAndDie(node: TestNode, lives: readonly { wishes: readonly Wish[]; turns: number }[]): Promise<void> {
  const fate: Fate = { given: new Set(), answered: new Map(), gone: new Set() };
  let count = 0;
  for (const { wishes, turns } of lives) {
    for (const one of wishes) ask(node, one, fate, `secret-${one.who}-${++count}`);
    const going = node.advance(1);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await node.restart();
    await going;
    const before = await raw(node);
    const shown: unknown[] = [];
    for (const key of people) shown.push((await node.query(person, key, "name")).value);
    for (const key of rooms) shown.push(...((await node.query(room, key, "names")).value as unknown[]));
    for (const value of shown) {
      if (value === null) continue;
      assert.ok(fate.given.has(value as string), `${JSON.stringify(value)} was given by somebody`);
      assert.ok(!fate.gone.has(value as string), `${JSON.stringify(value)} was erased, and that was answered`);
    }
    await node.restart();
    assert.equal(await raw(node), before);
  }
}

test("whatever is under way when the process dies: every key is there, and what an answered erasure took is gone", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(life, { maxLength: 6 }), async (lives) => {
      await using node = await startTestNode({ entities: [person, room], shardCount: 2 });
      await liveAndDie(node, lives);
      assert.deepEqual(node.faults, []);
    }),
    { numRuns: 60 },
  );
});
