/**
 * The archive in a directory, on the simulated disk: cut at every step of write, read back and trim, by a kill or with the
 * power, archive and log together have every record, and the next owner goes on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects } from "../adapters/memory/snapshot-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { advance, assertFrames, openArchive, readPast, shard, WrittenLog } from "../runtime/archive.harness.ts";
import { ArchivedLog } from "../runtime/archive-reader.ts";
import { seededRandom } from "./disk.harness.ts";
import { SimDisk } from "./disk.ts";
import { openOn, Steps } from "./disk-steps.harness.ts";

/** An owner's life: writes, archives, trims. */
async function live(store: SnapshotStore, written: WrittenLog, rounds: number): Promise<void> {
  const archive = openArchive(written.log, new MemoryObjects(), { store, retention: { archive: "all" } });
  for (let round = 0; round < rounds; round++) {
    for (let index = 0; index < 4; index++) await written.write(1 + (index % 3));
    await written.log.trim(shard, await advance(archive, written.tail - 2));
  }
}

/** Runs work on the disk to its end, or until `stepsMax`. @returns whether it ended */
async function drive(steps: Steps, stepsMax: number, work: Promise<void>): Promise<boolean> {
  let [done, failure] = [false, undefined as unknown];
  work.then(
    () => (done = true),
    (error: unknown) => {
      failure = error;
      done = true;
    },
  );
  const ended = await steps.take(stepsMax, () => done);
  if (failure !== undefined) throw failure;
  return ended;
}

async function oneLife(seed: number, stepsMax: number, power: boolean): Promise<boolean> {
  const random = seededRandom(seed);
  const steps = new Steps();
  const sim = new SimDisk({ schedule: steps.schedule, random });
  const process = sim.attach();
  const written = new WrittenLog();
  const ended = await drive(
    steps,
    stepsMax,
    openOn(process.disk, steps, random).then((store) => live(store, written, 3)),
  );
  if (power) sim.crash();
  else process.kill();
  const after = async () => {
    const store = await openOn(sim.attach().disk, steps, random);
    const past = new ArchivedLog(written.log, { store, clock: systemClock });
    assertFrames(await readPast(past, 1), written.frames);
    await live(store, written, 2);
    assertFrames(await readPast(past, 1), written.frames);
  };
  await drive(steps, Number.POSITIVE_INFINITY, after());
  return ended;
}

for (const power of [false, true]) {
  test(`cut at every step by ${power ? "a loss of power" : "a kill"}, archive and log have every record`, async () => {
    for (const seed of [1, 2]) {
      for (let steps = 0; ; steps++) {
        const ended = await oneLife(seed * 1_000 + steps, steps, power).catch((error: unknown) => {
          throw new Error(`seed ${seed * 1_000 + steps}, ${steps} steps`, { cause: error });
        });
        if (ended) break;
        assert.ok(steps < 500, "a life comes to its end");
      }
    }
  });
}
