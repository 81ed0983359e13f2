/** Progress as text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, etaMs, grouped, progressLine } from "./progress.ts";

test("an estimate needs something that was done", () => {
  assert.equal(etaMs(0, 10, 500), undefined);
  assert.equal(etaMs(1, 0, 500), undefined);
  assert.equal(etaMs(5, 20, 500), 1_500);
  assert.equal(etaMs(20, 20, 500), 0);
});

test("a line says how far it is, of how much, and for how long still", () => {
  const line = progressLine("Replaying", 430_000, 1_000_000, 3_200);
  assert.match(line, /^Replaying █+░+ 43 % {2}430,000 of 1,000,000 records {2}3 s left$/);
  assert.match(progressLine("Replaying", 0, 0, undefined), /100 % {2}0 of 0 records$/);
});

test("durations and counts are easy to read", () => {
  assert.deepEqual([850, 12_000, 200_000, 7_500_000].map(duration), ["850 ms", "12 s", "3 min 20 s", "2 h 5 min"]);
  assert.deepEqual([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
});
