/** What must hold of one value as it changes: whoever follows it, from wherever it may, ends with the latest value. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyPatch } from "../../std/patch.ts";
import type { Plain } from "../../std/plain.ts";
import { reservedKeys } from "../../std/reserved.ts";
import { DeltaLine, patchBetween } from "./delta-line.ts";

// Plain data has no reserved key, wherever it may come from.
const plain = fc
  .jsonValue({ maxDepth: 3 })
  .filter((value) => ![...reservedKeys].some((key) => JSON.stringify(value).includes(JSON.stringify(key))))
  .map((value) => JSON.parse(JSON.stringify(value)) as Plain);
const padding = "something that does not change and makes the value larger than a small delta";

test("deltas since any version that is known lead to the latest value; any other version is told to start over", () => {
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 0, max: 5 }),
      (values, deltasMax) => {
        const line = new DeltaLine(deltasMax);
        for (const [index, value] of values.entries()) line.advance(index * 3, { padding, value });
        const last = { padding, value: values.at(-1) as Plain };
        assert.deepEqual(line.latest, { version: (values.length - 1) * 3, value: last });
        for (const [index, value] of values.entries()) {
          const deltas = line.since(index * 3);
          if (deltas === undefined) continue;
          assert.ok(deltas.length <= deltasMax);
          let at = index * 3;
          let held: Plain = { padding, value };
          for (const delta of deltas) {
            assert.equal(delta.from, at);
            held = applyPatch(held, delta.patch);
            at = delta.version;
          }
          assert.deepEqual({ version: at, value: held }, line.latest);
        }
        assert.equal(line.since(1), undefined);
      },
    ),
  );
});

test("what a value became is told to its followers as it is kept for those who come back", () => {
  const line = new DeltaLine(2);
  assert.equal(line.latest, undefined);
  assert.equal(line.since(0), undefined);
  assert.equal(line.advance(1, { padding, count: 1 }), undefined, "nothing leads to a first value");
  const delta = line.advance(4, { padding, count: 2 });
  assert.deepEqual(delta, { from: 1, version: 4, patch: [{ op: "replace", path: "/count", value: 2 }] });
  assert.deepEqual(line.since(1), [delta]);
  assert.deepEqual(line.since(4), []);
  assert.deepEqual(line.advance(5, { padding, count: 2 })?.patch, [], "a version of its own, though nothing changed");
});

test("the oldest deltas are forgotten first", () => {
  const line = new DeltaLine(2);
  for (const version of [1, 2, 3, 4]) line.advance(version, { padding, version });
  assert.equal(line.since(1), undefined);
  assert.equal(line.since(2)?.length, 2);
});

test("no delta is made that is larger than the value, and none leads over that place", () => {
  const line = new DeltaLine(8);
  line.advance(1, { padding, count: 1 });
  line.advance(2, { padding, count: 2 });
  assert.equal(line.advance(3, {}), undefined);
  assert.equal(line.since(1), undefined);
  assert.equal(line.since(2), undefined);
  assert.equal(patchBetween(6, 7), undefined);
  assert.deepEqual(patchBetween({ a: 1 }, { a: 1 }), []);
});

test("the same version once more, of which something was erased, ends all deltas of before", () => {
  const line = new DeltaLine(8);
  line.advance(1, { padding, name: "ann" });
  line.advance(2, { padding, name: "bob" });
  assert.equal(line.advance(2, { padding, name: null }), undefined);
  assert.equal(line.since(1), undefined);
  assert.deepEqual(line.since(2), [], "who holds the version is told nothing by deltas: it is sent the absolute");
  assert.deepEqual(line.latest?.value, { padding, name: null });
});
