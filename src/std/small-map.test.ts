/** The map that is mostly empty, against a Map. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SmallMap } from "./small-map.ts";

const key = fc.integer({ min: 0, max: 5 });
const operation = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), key, value: fc.integer() }),
  fc.record({ kind: fc.constant("delete" as const), key }),
);

test("a small map answers what a Map answers, in the same order", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
      const small = new SmallMap<number, number>();
      const map = new Map<number, number>();
      for (const each of operations) {
        if (each.kind === "set") {
          small.set(each.key, each.value);
          map.set(each.key, each.value);
        } else assert.equal(small.delete(each.key), map.delete(each.key));
        assert.equal(small.size, map.size);
        assert.equal(small.get(each.key), map.get(each.key));
        assert.equal(small.has(each.key), map.has(each.key));
        assert.deepEqual([...small], [...map]);
        assert.deepEqual([...small.values()], [...map.values()]);
      }
    }),
  );
});
