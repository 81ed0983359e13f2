/** JSON Patch between plain values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyPatch, diff, equal } from "./patch.ts";
import type { Plain } from "./plain.ts";

const plain = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.parse(JSON.stringify(value)) as Plain);

test("applying the difference of two values to the first gives the second and changes neither", () => {
  fc.assert(
    fc.property(plain, plain, (before, after) => {
      const [beforeText, afterText] = [JSON.stringify(before), JSON.stringify(after)];
      const patched = applyPatch(before, diff(before, after));
      assert.deepEqual(patched, after);
      assert.equal(JSON.stringify(before), beforeText);
      assert.equal(JSON.stringify(after), afterText);
    }),
    { numRuns: 1_000 },
  );
});

test("equal values differ by nothing", () => {
  fc.assert(fc.property(plain, (value) => diff(value, JSON.parse(JSON.stringify(value)) as Plain).length === 0));
});

test("an appended, a dropped and a changed item are each one operation", () => {
  assert.deepEqual(diff([1, 2], [1, 2, 3]), [{ op: "add", path: "/2", value: 3 }]);
  assert.deepEqual(diff([1, 2, 3], [2, 3]), [{ op: "remove", path: "/0" }]);
  assert.deepEqual(diff({ a: [{ b: 1 }, 2] }, { a: [{ b: 3 }, 2] }), [{ op: "replace", path: "/a/0/b", value: 3 }]);
});

test("names with slashes and tildes are escaped as RFC 6902 wants", () => {
  const operations = diff({}, { "a/b~c": 1 });
  assert.deepEqual(operations, [{ op: "add", path: "/a~1b~0c", value: 1 }]);
  assert.deepEqual(applyPatch({}, operations), { "a/b~c": 1 });
});

test("an operation on a place that does not exist is refused", () => {
  assert.throws(() => applyPatch({ a: 1 }, [{ op: "replace", path: "/b", value: 1 }]));
  assert.throws(() => applyPatch([1], [{ op: "remove", path: "/1" }]));
  assert.throws(() => applyPatch({}, [{ op: "replace", path: "/__proto__/polluted", value: 1 }]));
});

test("what is not touched is shared with the value before", () => {
  const before = { a: { b: 1 }, c: { d: 2 } };
  const after = applyPatch(before, [{ op: "replace", path: "/a/b", value: 3 }]) as typeof before;
  assert.equal(after.c, before.c);
  assert.ok(!equal(after, before));
});
