/** An erasure is applied to keys that were exported before it: to a backup. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exportWithout } from "../../wire/keys.ts";
import { systemRandom } from "../system/random.ts";
import { openMemoryKeys } from "./memory.ts";

test("an erasure that is applied to a backup of the keys leaves no byte of the key there, and all others", async () => {
  const store = await openMemoryKeys({ random: systemRandom });
  for (const subject of ["player/1", "player/2", "player/3"]) store.current(subject);
  const exported = await store.export();
  const key = Buffer.from(store.current("player/2").key);
  const without = exportWithout(exported, "player/2");
  assert.ok(Buffer.from(exported).includes(key));
  assert.ok(!Buffer.from(without).includes(key));
  assert.deepEqual(exportWithout(without, "player/2"), without, "once more changes nothing");
  const restored = await openMemoryKeys({ random: systemRandom });
  await restored.import(without);
  assert.equal(restored.find("player/2", 1), "erased");
  for (const subject of ["player/1", "player/3"]) assert.deepEqual(restored.find(subject, 1), store.find(subject, 1));
  assert.equal(restored.current("player/2").generation, 2);
});
