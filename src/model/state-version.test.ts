/** Which changes of a definition make another state version, and what becomes of a state that older code evolved. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEntity } from "./entity.ts";
import { stateFrom, stateVersionOf } from "./state-version.ts";

type Counted = { count: number };
interface Change {
  readonly name?: string;
  readonly version?: number;
  readonly state?: () => Counted;
  readonly counted?: (state: Counted, event: { by: number }) => void;
  readonly more?: object;
  readonly upcast?: (old: { amount: number }) => { by: number };
}

const initial = () => ({ count: 0 });
const counts = (state: Counted, event: { by: number }) => {
  state.count += event.by;
};
const renames = (old: { amount: number }) => ({ by: old.amount });

function versionOf({ name = "w", version = 1, state = initial, counted = counts, upcast, more }: Change): string {
  const event = upcast === undefined ? counted : { version: 2, upcast: { 1: upcast }, evolve: counted };
  const events = { counted: event, ...more };
  return stateVersionOf(defineEntity(name, { version, state, events, commands: () => ({}) }));
}

test("the same code has the same version, however it is laid out and explained", () => {
  const laidOut = (state: Counted, event: { by: number }) => {
    // the same
    state.count += /* by */ event.by;
  };
  assert.match(versionOf({}), /^[0-9a-f]{32}$/);
  assert.equal(versionOf({}), versionOf({}));
  assert.equal(versionOf({ counted: laidOut }), versionOf({}));
});

test("commands, queries, views, access and durability do not evolve the state", () => {
  const more = defineEntity("w", {
    state: initial,
    events: { counted: counts },
    durability: { relaxed: { windowMs: 50 } },
    commands: (command) => ({ count: command(() => {}) }),
    queries: { count: (state) => state.count },
    views: { count: (state) => state.count },
    access: () => true,
  });
  assert.equal(stateVersionOf(more), versionOf({}));
});

test("the order of events changes nothing; a name, a version, an event, the text of state, evolve or upcast does", () => {
  const other = () => {};
  assert.equal(
    versionOf({ more: { a: other, b: other } }),
    versionOf({ more: { b: other, a: other } }),
    "the order of events",
  );
  const versions = [
    versionOf({}),
    versionOf({ name: "v" }),
    versionOf({ version: 2 }),
    versionOf({ state: () => ({ count: 1 }) }),
    versionOf({
      counted: (state, event) => {
        state.count -= event.by;
      },
    }),
    versionOf({ more: { a: other } }),
    versionOf({ upcast: renames }),
    versionOf({ upcast: (old) => ({ by: old.amount * 2 }) }),
  ];
  assert.equal(new Set(versions).size, versions.length);
});

const first = defineEntity("w", { state: initial, events: { counted: counts }, commands: () => ({}) });
const second = defineEntity("w", {
  version: 2,
  migrate: (old: Counted, fromVersion) => (fromVersion === 1 ? { total: old.count } : undefined),
  state: () => ({ total: 0 }),
  events: {
    counted: (state, event: { by: number }) => {
      state.total += event.by;
    },
  },
  commands: () => ({}),
});
const kept = (of: typeof first | typeof second, state: unknown) => ({
  state,
  stateVersion: stateVersionOf(of),
  version: of.version,
});

test("a state of this code is taken as it is, one of an older version is migrated", () => {
  assert.deepEqual(stateFrom(second, kept(second, { total: 5 })), { state: { total: 5 } });
  assert.deepEqual(stateFrom(second, kept(first, { count: 5 })), { state: { total: 5 } });
});

test("a state of newer code, of changed code without a new version, or one that migrate declines is evolved again", () => {
  assert.equal(stateFrom(first, kept(second, { total: 5 })), undefined);
  assert.equal(stateFrom(second, { ...kept(second, { total: 5 }), stateVersion: "0".repeat(32) }), undefined);
  assert.equal(stateFrom(second, { ...kept(first, { count: 5 }), version: 0 }), undefined);
});
