/** A few rounds of the kill campaign (`kill.ts` runs as many as wanted), and that its checks would find what they seek. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runCampaign } from "./campaign.ts";
import { checkHistory } from "./check.ts";
import type { Acknowledged } from "./workload.ts";

test("over ten SIGKILLs nothing acknowledged is lost, nothing is carried out twice, chips are conserved", async () => {
  const result = await runCampaign({ rounds: 10, seed: 1, roundsPerDirectory: 10 });
  assert.deepEqual(result.violations, []);
  assert.equal(result.rounds, 10);
});

test("the check finds a lost, a doubled, a misplaced and an invented command", () => {
  const issued = new Set(["a", "b", "c"]);
  const told = (id: string, at: number): Acknowledged => ({ key: "k", list: "ids", id, at, to: undefined });
  const found = (ids: string[], acknowledged: Acknowledged[], given: string[] = [], taken: string[] = []) => {
    const { lost, doubled, wrong, untaken } = checkHistory(
      new Map([["k", { ids, given, taken }]]),
      acknowledged,
      issued,
    );
    return [lost.length, doubled.length, wrong.length, untaken.length];
  };
  assert.deepEqual(found(["a", "b"], [told("a", 0), told("b", 1)]), [0, 0, 0, 0]);
  assert.deepEqual(found(["a"], [told("a", 0), told("b", 1)]), [1, 0, 0, 0]);
  assert.deepEqual(found(["a", "b", "a"], [told("a", 0)]), [0, 1, 0, 0]);
  assert.deepEqual(found(["b", "a"], [told("a", 0)]), [0, 0, 1, 0]);
  assert.deepEqual(found(["z"], []), [0, 0, 1, 0]);
  assert.deepEqual(found([], [], ["a"], []), [0, 0, 0, 1]);
  assert.deepEqual(found([], [], ["a"], ["a", "a"]), [0, 1, 0, 0]);
});
