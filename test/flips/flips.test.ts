/** A part of what `npm run flips` does: some bits of each sample. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runFlips } from "./run.ts";

test("a bit turned in a log, a snapshot set or a state store is found or does no harm", async () => {
  const samples: string[] = [];
  await runFlips({ small: 11, large: 997 }, (name, { flips, detected, harmless, endLost, wrong }) => {
    samples.push(name);
    assert.deepEqual(wrong, [], name);
    assert.equal(detected + harmless + endLost, flips, name);
    assert.ok(detected > 0, name);
  });
  assert.equal(samples.length, 6);
});
