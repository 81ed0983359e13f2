/** The ranking is what a sort of everything gives, whatever came before. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ranking } from "./ranking.ts";

function sorted(values: ReadonlyMap<string, number>): string[] {
  const rows = [...values];
  rows.sort(([one, a], [other, b]) => (a === b ? (one < other ? -1 : 1) : b > a ? 1 : -1));
  return rows.map(([name]) => name);
}

test("after any changes the first names are those that sorting everything gives", () => {
  const change = fc.record({
    name: fc.integer({ min: 0, max: 12 }).map((n) => `n${n}`),
    value: fc.option(fc.integer({ min: -3, max: 3 })),
    looks: fc.boolean(),
    prepares: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const ranking = new Ranking();
      const model = new Map<string, number>();
      for (const { name, value, looks, prepares } of changes) {
        if (value === null) {
          ranking.delete(name);
          model.delete(name);
        } else {
          ranking.set(name, value);
          model.set(name, value);
        }
        if (prepares) for (const _ of ranking.prepare());
        if (looks) assert.deepEqual(ranking.first(5), sorted(model).slice(0, 5));
      }
      assert.deepEqual(ranking.first(100), sorted(model));
      assert.equal(ranking.size, model.size);
    }),
  );
});

test("so many changes that all is sorted again give the same, and what is no number comes last", () => {
  const ranking = new Ranking();
  const model = new Map<string, number>();
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at < 1_000; at++) {
      const value = (at * 7_919 + round * 13) % 101;
      ranking.set(`n${at}`, value);
      model.set(`n${at}`, value);
    }
    assert.deepEqual(ranking.first(1_000), sorted(model));
  }
  ranking.set("n5", Number.NaN);
  ranking.set("n7", Number.POSITIVE_INFINITY);
  assert.equal(ranking.first(1_000).at(-1), "n5");
  assert.equal(ranking.first(1)[0], "n7");
});
