/** What `defineProjection` refuses, and what makes another version of a projection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEntity } from "./entity.ts";
import { isHoldfastError } from "./errors.ts";
import { defineProjection } from "./projection.ts";
import { projectionVersionOf } from "./projection-version.ts";

const tableOf = (upcast: (old: { n: number }) => { n: number }) =>
  defineEntity("table", {
    state: () => ({ n: 0 }),
    events: {
      won: {
        version: 2,
        upcast: { 1: upcast },
        evolve: (state, event: { n: number }) => {
          state.n += event.n;
        },
      },
    },
    commands: () => ({}),
  });
const table = tableOf((old) => old);
const good = {
  from: [table],
  document: () => ({ n: 0 }),
  on: { table: { won: (document: { n: number }, { n }: { n: number }) => void (document.n += n) } },
} as const;

function refuses(name: string, options: unknown, words: RegExp): void {
  assert.throws(
    () => defineProjection(name, options as typeof good),
    (error) => isHoldfastError(error) && error.code === "invalid-definition" && words.test(error.message),
  );
}

test("a projection that cannot work is refused, with the remedy", () => {
  refuses("Wins", good, /name that is none; use lower case/);
  refuses("wins", { ...good, from: [] }, /is of no entity type; give the definitions/);
  refuses("wins", { ...good, from: [{}] }, /no definition; give what `defineEntity` returned/);
  refuses("wins", { ...good, from: [table, table] }, /two definitions of "table"/);
  refuses("wins", { ...good, version: 0 }, /has version 0/);
  refuses("wins", { ...good, document: undefined }, /a document that is no function/);
  refuses("wins", { ...good, on: {} }, /takes no event/);
  refuses("wins", { ...good, on: { player: {} } }, /"player", which is not in its `from`/);
  refuses("wins", { ...good, on: { table: { lost: () => {} } } }, /take some of: won, @state-set, @erased/);
  refuses("wins", { ...good, on: { table: { won: async () => {} } } }, /is an AsyncFunction; make it synchronous/);
  refuses("wins", { ...good, orderBy: { "a b": () => 1 } }, /an order "a b"/);
  refuses("wins", { ...good, access: true }, /an access that is no function|a access that is no function/);
});

test("nobody may read a projection that does not say who may", () => {
  const { access } = defineProjection("wins", good);
  assert.equal(access({ kind: "operator", id: "o" }, { kind: "list", key: undefined, order: undefined }), false);
});

test("what folds makes the version, what only reads does not, and layout does not either", () => {
  const version = (changes: object, of = table) =>
    projectionVersionOf(defineProjection("wins", { ...good, from: [of], ...changes } as typeof good));
  const first = version({});
  assert.match(first, /^1-[0-9a-f]{16}$/);
  assert.equal(version({ orderBy: { n: () => 1 }, access: () => true }), first);
  assert.equal(version({ document: () => ({ /* none yet */ n: 0 }) }), first);
  const others = [
    version({ version: 2 }),
    version({ document: () => ({ n: 1 }) }),
    version({ key: () => "all" }),
    version({ on: { table: { won: () => null } } }),
    version(
      {},
      tableOf(({ n }) => ({ n: n * 2 })),
    ),
  ];
  assert.equal(new Set([first, ...others]).size, 6);
});
