/**
 * The store in a directory passes the contract suite, and keeps whole what an ended writer left half done.
 */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Disk } from "../../ports/disk.ts";
import { testSnapshotStore } from "../../ports/snapshot-store.contract.ts";
import { systemClock } from "../system/clock.ts";
import { openDirectory } from "../system/disk.ts";
import { systemRandom } from "../system/random.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { openFileSnapshots } from "./snapshot-store.ts";

function open(disk: Disk) {
  return openFileSnapshots({ disk, clock: systemClock, random: systemRandom });
}

testSnapshotStore(
  "files",
  async () => {
    const directory = temporaryDirectory();
    const store = await open(openDirectory(directory.path));
    return {
      store,
      openAnother: () => open(openDirectory(directory.path)),
      async dispose() {
        await store.close();
        directory[Symbol.dispose]();
      },
    };
  },
  { generatedRuns: 5 },
);

test("temporary files of an ended writer are removed and never listed", async () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "00.temporary"), "half");
  const store = await open(openDirectory(directory.path));
  await store.put("a/b", Buffer.from("whole"));
  assert.deepEqual(readdirSync(directory.path), ["a_b.object"]);
  await store.close();
});

test("a writer whose temporary file is taken away writes it again", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  let renames = 0;
  const rename = async (from: string, to: string) => {
    if (renames++ === 0) await disk.remove(from);
    await disk.rename(from, to);
  };
  const store = await open(Object.assign(Object.create(disk) as Disk, { rename, ...bound(disk) }));
  await store.put("object", Buffer.from("whole"));
  assert.equal(Buffer.from((await store.get("object"))?.bytes ?? []).toString(), "whole");
  assert.equal(renames, 2);
  await store.close();
});

function bound(disk: Disk): Partial<Disk> {
  const verbs = ["lock", "list", "open", "create", "remove", "syncDirectory"] as const;
  return Object.fromEntries(verbs.map((verb) => [verb, (disk[verb] as () => unknown).bind(disk)])) as Partial<Disk>;
}
