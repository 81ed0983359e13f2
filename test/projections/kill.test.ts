/** A few rounds of `kill.ts`, with every run of the tests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { killRounds } from "./campaign.ts";

test("a service that is killed again and again has counted each change once after each start", async () => {
  const { rounds, changes } = await killRounds(8, 3);
  assert.equal(rounds, 8);
  assert.ok(changes > 100, `${changes} events`);
});
