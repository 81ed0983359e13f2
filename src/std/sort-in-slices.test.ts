/** Sorting in slices, against `sort`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sortInSlices } from "./sort-in-slices.ts";

test("strings come out as `sort` orders them, whatever the slice", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.integer({ min: 1, max: 9 }), (strings, slice) => {
      const sorting = sortInSlices(strings, slice);
      let step = sorting.next();
      while (step.done !== true) step = sorting.next();
      assert.deepEqual(step.value, strings.toSorted());
    }),
  );
});
