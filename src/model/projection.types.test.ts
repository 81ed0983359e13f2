/** Type tests: what a projection infers from the definitions it is of; what must not compile is marked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEntity } from "./entity.ts";
import { defineProjection } from "./projection.ts";

const player = defineEntity("player", {
  state: () => ({ name: "" }),
  events: {
    named: (state, event: { name: string }) => {
      state.name = event.name;
    },
  },
  commands: () => ({}),
});

const table = defineEntity("table", {
  state: () => ({ pots: 0 }),
  events: {
    won: {
      version: 2,
      upcast: { 1: (old: { sum: number }) => ({ player: "", amount: old.sum }) },
      evolve: (state, event: { player: string; amount: number }) => {
        state.pots += event.amount;
      },
    },
    closed: () => {},
  },
  commands: () => ({}),
});

const standings = defineProjection("standings", {
  from: [player, table],
  version: 3,
  document: (key) => ({ key, name: "", won: 0 }),
  key: (change) => {
    if (change.type === "player") return change.key;
    return change.event === "won" ? change.payload.player : undefined;
  },
  on: {
    player: {
      named: (document, { name }) => {
        document.name = name;
      },
      "@erased": () => null,
    },
    table: {
      won: (document, { amount }, { documentKey, timeMs }) => {
        const told: [string, number] = [documentKey, timeMs];
        document.won += amount + told.length;
      },
      "@state-set": (document, state) => {
        document.won = state.pots;
      },
    },
  },
  orderBy: { won: (document) => document.won },
  access: (principal, verb) => principal.kind === "user" && verb.kind === "list",
});

test("documents and payloads of a projection are inferred from the definitions", () => {
  type Document = NonNullable<(typeof standings)["types"]>["document"];
  const document: Document = { key: "a", name: "", won: 1 };
  // @ts-expect-error a document's member is a number
  const wrong: Document = { key: "a", name: "", won: "1" };
  const name: "standings" = standings.name;
  assert.equal([document, wrong, name].length, 3);
  assert.deepEqual([...standings.on.keys()], ["player", "table"]);
});

test("what a projection cannot take does not compile", () => {
  const compiles = () => [
    defineProjection("one", {
      from: [table],
      document: () => ({ won: 0 }),
      on: {
        table: {
          // @ts-expect-error no such event
          lost: () => {},
        },
      },
    }),
    defineProjection("two", {
      from: [table],
      document: () => ({ won: 0 }),
      on: {
        // @ts-expect-error not among its definitions
        player: { named: () => {} },
      },
    }),
    defineProjection("three", {
      from: [table],
      document: () => ({ won: 0 }),
      on: {
        table: {
          won: (document, payload) => {
            // @ts-expect-error the payload has no such member
            document.won += payload.sum;
          },
        },
      },
    }),
    defineProjection("four", {
      from: [table],
      document: () => ({ won: 0 }),
      // @ts-expect-error a key is text
      key: (change) => change.offset,
      on: { table: { closed: () => {} } },
    }),
  ];
  assert.ok(typeof compiles === "function");
});
