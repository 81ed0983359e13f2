/** What an owner learns from a look at the log: that it is the one, that it is past, or nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogPosition } from "../../ports/log.ts";
import { type Confirmed, Confirmer } from "./confirmer.ts";

function confirmed(look: () => Promise<readonly LogPosition[]>): Promise<{ told: Confirmed; fenced: number[] }> {
  const fenced: number[] = [];
  const confirmer = new Confirmer({ tail: look }, (_shard, epoch) => void fenced.push(epoch));
  return new Promise((resolve) => confirmer.confirm(0, 3, (told) => resolve({ told, fenced })));
}

const at = (epoch: number) => async () => [{ epoch, tail: 9, trimmed: 1 }];

test("an owner whose epoch stands in the log is the one", async () => {
  assert.deepEqual(await confirmed(at(3)), { told: "holds", fenced: [] });
});

test("an owner whose epoch is past is told so, and so is the node", async () => {
  assert.deepEqual(await confirmed(at(4)), { told: "past", fenced: [3] });
});

test("a log that does not answer says nothing of who owns the shard", async () => {
  const silent = () => Promise.reject(new Error("no answer"));
  assert.deepEqual(await confirmed(silent), { told: "unknown", fenced: [] });
});
