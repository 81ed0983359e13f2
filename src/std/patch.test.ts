/** JSON Patch between plain values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyPatch, compactDiff, diff, equal, isWhole } from "./patch.ts";
import type { Plain } from "./plain.ts";
import { reservedKeys } from "./reserved.ts";

// Plain data has no reserved key, wherever it may come from.
const plain = fc
  .jsonValue({ maxDepth: 4 })
  .filter((value) => ![...reservedKeys].some((key) => JSON.stringify(value).includes(JSON.stringify(key))))
  .map((value) => JSON.parse(JSON.stringify(value)) as Plain);

test("applying the difference of two values to the first gives the second and changes neither", () => {
  fc.assert(
    fc.property(plain, plain, (before, after) => {
      const [beforeText, afterText] = [JSON.stringify(before), JSON.stringify(after)];
      assert.deepEqual(applyPatch(before, diff(before, after)), after);
      assert.deepEqual(applyPatch(before, compactDiff(before, after)), after);
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

test("lists that move on, grow and shrink give the second list, whatever they have in common", () => {
  const item = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 0, max: 2 }).map((a) => ({ a })),
  );
  const lists = fc.record({
    common: fc.array(item, { maxLength: 8 }),
    before: fc.tuple(fc.array(item, { maxLength: 6 }), fc.array(item, { maxLength: 6 })),
    after: fc.tuple(fc.array(item, { maxLength: 6 }), fc.array(item, { maxLength: 6 })),
  });
  fc.assert(
    fc.property(lists, ({ common, before, after }) => {
      const [one, two] = [before, after].map(([head, tail]) => ({ list: [...head, ...common, ...tail] }) as Plain);
      for (const each of [diff, compactDiff])
        assert.deepEqual(applyPatch(one as Plain, each(one as Plain, two as Plain)), two);
    }),
    { numRuns: 2_000 },
  );
});

test("a window that moves on is told by what came and what went", () => {
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ({ line: from + index, text: `line ${from + index}` }));
  const [came] = lines(10, 11);
  const [first] = lines(4, 5);
  assert.deepEqual(diff(lines(0, 10), lines(1, 11)), [
    { op: "remove", path: "/0" },
    { op: "add", path: "/9", value: came },
  ]);
  assert.deepEqual(diff(lines(5, 10), lines(4, 9)), [
    { op: "remove", path: "/4" },
    { op: "add", path: "/0", value: first },
  ]);
});

test("a compact difference replaces a part as a whole where that is smaller, and nothing else", () => {
  const before = {
    turn: { seat: 1, turn: 7, fromMs: 100, atMs: 200 },
    rest: { a: 1, b: "a text that does not change" },
  };
  const after = {
    turn: { seat: 2, turn: 8, fromMs: 300, atMs: 400 },
    rest: { a: 2, b: "a text that does not change" },
  };
  assert.equal(diff(before, after).length, 5);
  assert.deepEqual(compactDiff(before, after), [
    { op: "replace", path: "/turn", value: after.turn },
    { op: "replace", path: "/rest/a", value: 2 },
  ]);
  assert.ok(isWhole(compactDiff([1, 2, 3], [4, 5, 6])));
  assert.ok(!isWhole(compactDiff({ "": 1 }, { "": 2 })));
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
