/** What subscribers have not read is neither trimmed for good nor deleted from the archive. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects } from "../adapters/memory/snapshot-store.ts";
import type { Offset } from "../model/ids.ts";
import { advance, openArchive, pastOf, readPast, shard, WrittenLog } from "./archive.harness.ts";

test("without an archive a log is trimmed up to what is held, and no further", async () => {
  const written = new WrittenLog();
  let held: Offset | undefined = 7;
  const archive = openArchive(written.log, new MemoryObjects(), { retention: { archive: "none" }, held: () => held });
  for (let index = 0; index < 20; index++) await written.write(1);
  assert.equal(await advance(archive, 15), 7);
  held = 18;
  assert.equal(await advance(archive, 15), 15);
  held = undefined;
  assert.equal(await advance(archive, 20), 20);
});

test("ranges whose time is over stay in the archive while they are held", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  let held: Offset | undefined = 5;
  const archive = openArchive(written.log, objects, { retention: { archive: { keepMs: 1 } }, held: () => held });
  // Each its own object; the record at offset n has the time 100 n.
  for (let index = 0; index < 10; index++) {
    await written.write(1);
    await written.log.trim(shard, await advance(archive, written.tail));
  }
  const expire = () => archive.expire({ nowMs: 1_000_000, rest: async () => {}, check: () => {} });
  const begins = async () => (await pastOf(written.log, objects).tail([shard]))[0]?.trimmed;
  await expire();
  assert.equal(await begins(), 5);
  assert.equal((await readPast(pastOf(written.log, objects), 5))[0]?.at, 5);
  held = undefined;
  await expire();
  assert.equal(await begins(), 11);
});
