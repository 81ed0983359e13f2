/**
 * The snapshot store in a directory, on the simulated disk: cut at every step, by a kill or with the power, an object that was
 * answered is there whole, and the one under way is the old or the new one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openFileSnapshots } from "../adapters/files/snapshot-store.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { seededRandom } from "./disk.harness.ts";
import { SimDisk } from "./disk.ts";
import { Steps } from "./disk-steps.harness.ts";

function open(disk: ReturnType<SimDisk["attach"]>["disk"], steps: Steps, random: () => number) {
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (ms: number, callback: () => void) => (steps.schedule(ms, callback), () => undefined),
    defer: (callback: () => void) => steps.schedule(0, callback),
  };
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => random() * 256);
  return openFileSnapshots({ disk, clock, random: { bytes } });
}

const object = (number: number, size: number) => new Uint8Array(size).fill(number);

/** Writes objects and moves a head to each of them, as a shard's snapshots do. */
async function write(store: SnapshotStore, answered: { objects: number; head: number; tag: string | undefined }) {
  for (let number = 1; number <= 3; number++) {
    await store.put(`objects/${number}`, object(number, 700 * number));
    answered.objects = number;
    const result = await store.replace("head", object(number, 300), answered.tag);
    assert.ok(result.ok);
    answered.head = number;
    answered.tag = result.tag;
    if (number > 1) await store.delete([`objects/${number - 1}`]);
  }
}

/** One life of at most `stepsMax` steps of the disk, its end, and what the next one finds. @returns whether it came to its end */
async function oneLife(seed: number, stepsMax: number, power: boolean): Promise<boolean> {
  const random = seededRandom(seed);
  const steps = new Steps();
  const sim = new SimDisk({ schedule: steps.schedule, random });
  const process = sim.attach();
  const answered = { objects: 0, head: 0, tag: undefined };
  let [done, failure] = [false, undefined as unknown];
  const life = open(process.disk, steps, random).then((store) => write(store, answered));
  life.then(
    () => (done = true),
    (error: unknown) => {
      failure = error;
      done = true;
    },
  );
  const ended = await steps.take(stepsMax, () => done);
  assert.equal(failure, undefined);
  if (power) sim.crash();
  else process.kill();
  await look(sim, steps, random, answered);
  return ended;
}

async function look(sim: SimDisk, steps: Steps, random: () => number, answered: { objects: number; head: number }) {
  let finished = false;
  let failure: unknown;
  const check = async () => {
    const store = await open(sim.attach().disk, steps, random);
    const head = await store.get("head");
    const number = head?.bytes[0] ?? 0;
    assert.ok(number === answered.head || number === answered.head + 1, `head ${number} after ${answered.head}`);
    assert.deepEqual(head?.bytes ?? new Uint8Array(0), object(number, number === 0 ? 0 : 300));
    // What the head names was answered before it, and is deleted only after the head names another.
    if (number > 0) assert.deepEqual((await store.get(`objects/${number}`))?.bytes, object(number, 700 * number));
    if (answered.objects > 0) assert.ok((await store.get(`objects/${answered.objects}`)) !== undefined);
    for await (const name of store.list("")) {
      if (name === "head") continue;
      const which = Number(name.slice("objects/".length));
      assert.deepEqual((await store.get(name))?.bytes, object(which, 700 * which), name);
    }
    assert.ok(sim.list().every((file) => !file.name.endsWith(".temporary")));
    await store.put("objects/9", object(9, 10));
    assert.ok((await store.replace("head", object(9, 300), head?.tag)).ok);
  };
  check().then(
    () => (finished = true),
    (error: unknown) => {
      failure = error;
      finished = true;
    },
  );
  await steps.take(Number.POSITIVE_INFINITY, () => finished);
  if (failure !== undefined) throw failure;
}

for (const power of [false, true]) {
  test(`cut at every step by ${power ? "a loss of power" : "a kill"}, the directory holds what was answered, whole`, async () => {
    for (const seed of [1, 2, 3, 4]) {
      for (let steps = 0; ; steps++) {
        const ended = await oneLife(seed * 1_000 + steps, steps, power).catch((error: unknown) => {
          throw new Error(`seed ${seed * 1_000 + steps}, ${steps} steps`, { cause: error });
        });
        if (ended) break;
        assert.ok(steps < 300, "a life comes to its end");
      }
    }
  });
}
