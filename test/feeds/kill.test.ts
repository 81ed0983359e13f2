/** A few rounds of the kill campaign of the door's feeds (`pull-kill.ts` runs as many as wanted), and that it would find a fault. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, runKills } from "./campaign.ts";

test("what pull, events and socket brought equals the log, after SIGKILLs of the node and of the consumers", async () => {
  const { violations, events, kills } = await runKills({ rounds: 6, seed: 1 });
  assert.deepEqual(violations, []);
  assert.ok(events > 0);
  assert.deepEqual(kills, { node: 3, pull: 3, events: 3, socket: 3 });
});

test("the comparison finds what is missing, came twice, came out of order, or was never in the log", () => {
  const log = ["0-1-0=5", "1-1-0=6", "0-2-0=7"];
  assert.deepEqual(differences("x", ["1-1-0=6", "0-1-0=5", "0-2-0=7"], log), []);
  for (const arrived of [
    ["0-1-0=5", "1-1-0=6"],
    ["0-1-0=5", "0-1-0=5", "1-1-0=6", "0-2-0=7"],
    ["0-2-0=7", "0-1-0=5", "1-1-0=6"],
    ["0-1-0=5", "1-1-0=6", "0-2-0=7", "0-3-0=8"],
    ["0-1-0=5", "1-1-0=9", "0-2-0=7"],
  ])
    assert.equal(differences("x", arrived, log).length, 1, arrived.join());
});
