/** Plain data: what is copied comes back from both encodings unchanged, and the rest is refused by name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { copyPlain, freezePlain, PlainError } from "./plain.ts";

const limits = { depthMax: 8, bytesMax: 10_000 };
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });

function reasonOf(value: unknown, given = limits): string {
  try {
    copyPlain(value, given);
  } catch (error) {
    assert.ok(error instanceof PlainError);
    return `${error.reason}: ${error.message}`;
  }
  return "copied";
}

test("what is copied decodes to an equal value in msgpack and in JSON", () => {
  const plain = fc.jsonValue({ maxDepth: 5 }).filter((value) => reasonOf(value) === "copied");
  fc.assert(
    fc.property(plain, (value) => {
      const copy = copyPlain(value, limits).value;
      assert.deepEqual(copy, value);
      assert.deepEqual(unpackr.unpack(packr.pack(copy)), copy);
      assert.deepEqual(JSON.parse(JSON.stringify(copy)), copy);
    }),
    { numRuns: 500 },
  );
});

test("what would come back changed is refused with its path", () => {
  const cases: [unknown, RegExp][] = [
    [{ a: { b: [1, Number.NaN] } }, /^not-plain: a\.b\[1\] is NaN/],
    [{ a: Number.POSITIVE_INFINITY }, /a is Infinity/],
    [{ a: -0 }, /a is -0/],
    [{ a: 2 ** 53 }, /beyond 2\^53/],
    [{ a: "\ud800" }, /lone surrogate/],
    [{ ["\udc00"]: 1 }, /lone surrogate/],
    [{ a: new Date(0) }, /a is a Date/],
    [new Map(), /the value is a Map/],
    [{ a: [undefined] }, /a\[0\] is undefined/],
    [{ a: 1n }, /a is a bigint/],
    [{ a: () => 1 }, /a is a function/],
    [JSON.parse('{"__proto__": 1}'), /reserved name/],
    [{ a: { constructor: 1 } }, /a\.constructor has a reserved name/],
  ];
  for (const [value, expected] of cases) assert.match(reasonOf(value), expected);
});

test("a cycle ends at the depth limit", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  assert.match(reasonOf(cycle), /^too-deep/);
});

test("a value over the size limit is refused before it is copied whole", () => {
  assert.match(
    reasonOf({ a: "x".repeat(200) }, { depthMax: 8, bytesMax: 100 }),
    /^too-large: a is over the limit of 100 bytes/,
  );
});

test("undefined properties are left out and the copy shares nothing", () => {
  const value = { a: undefined, b: { c: [1] } };
  const { value: copy } = copyPlain(value, limits);
  assert.deepEqual(Object.keys(copy), ["b"]);
  assert.notEqual(copy.b, value.b);
  assert.notEqual(copy.b.c, value.b.c);
});

test("a frozen value is frozen all the way down", () => {
  const value = freezePlain({ a: [{ b: 1 }] });
  assert.throws(() => {
    (value.a[0] as { b: number }).b = 2;
  }, TypeError);
});
