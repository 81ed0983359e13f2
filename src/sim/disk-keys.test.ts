/**
 * The key store in files, on the simulated disk: cut at every step, by a kill or with the power, every key that was synced is
 * there, every erasure that was answered holds, and the one under way is done or not begun. Never half a key, never damage.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openKeyFiles } from "../adapters/keys/files.ts";
import type { KeyStore } from "../ports/key-store.ts";
import { seededRandom } from "./disk.harness.ts";
import { SimDisk } from "./disk.ts";
import { Steps } from "./disk-steps.harness.ts";

const asked = { principal: { kind: "operator", id: "olga" }, atMs: 1_000 };
const subjects = 24;

interface Known {
  /** Keys whose sync was answered, and that nobody has begun to erase. */
  readonly keys: Map<string, Uint8Array>;
  /** Erasures that were begun, and those that were answered. */
  readonly begun: Set<string>;
  readonly erased: Set<string>;
}

function open(sim: ReturnType<SimDisk["attach"]>["disk"], random: () => number): Promise<KeyStore> {
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => random() * 256);
  return openKeyFiles({ disk: sim, random: { bytes } });
}

/** Makes keys in groups, as group commits do, and erases some in between. */
async function live(store: KeyStore, known: Known): Promise<void> {
  for (let first = 0; first < subjects; first += 6) {
    const made = new Map<string, Uint8Array>();
    for (let number = first; number < first + 6; number++)
      made.set(`player/${number}`, Uint8Array.from(store.current(`player/${number}`).key));
    await store.sync();
    for (const [subject, key] of made) known.keys.set(subject, key);
    const subject = `player/${first + 2}`;
    known.begun.add(subject);
    known.keys.delete(subject);
    await store.erase(subject, asked);
    known.erased.add(subject);
    await store.marked({ subject, generation: 1 });
  }
}

async function check(store: KeyStore, known: Known): Promise<void> {
  for (const [subject, key] of known.keys)
    assert.deepEqual(Uint8Array.from(store.find(subject, 1) as Uint8Array), key, subject);
  for (const subject of known.erased) assert.equal(store.find(subject, 1), "erased", subject);
  for (const { subject } of store.unmarked()) {
    assert.ok(known.begun.has(subject));
    assert.equal(store.find(subject, 1), "erased", "what was begun is completed by the opening");
  }
  for (let number = 0; number < subjects + 6; number++) store.current(`player/${number}`);
  await store.sync();
  for (const subject of known.erased) assert.equal(store.current(subject).generation, 2);
}

/** @returns whether the life came to its end within the steps */
async function oneLife(seed: number, stepsMax: number, power: boolean): Promise<boolean> {
  const random = seededRandom(seed);
  const steps = new Steps();
  const sim = new SimDisk({ schedule: steps.schedule, random });
  const known: Known = { keys: new Map(), begun: new Set(), erased: new Set() };
  const run = async (work: () => Promise<unknown>, most: number) => {
    let [done, failure] = [false, undefined as unknown];
    work().then(
      () => (done = true),
      (error: unknown) => {
        failure = error;
        done = true;
      },
    );
    const ended = await steps.take(most, () => done);
    if (failure !== undefined) throw failure;
    return ended;
  };
  const process = sim.attach();
  const ended = await run(async () => await live(await open(process.disk, random), known), stepsMax);
  if (power) sim.crash();
  else process.kill();
  await run(async () => await check(await open(sim.attach().disk, random), known), Number.POSITIVE_INFINITY);
  if (!power) return ended;
  // the repair itself is cut as well
  sim.crash();
  await run(async () => {
    const store = await open(sim.attach().disk, random);
    for (const subject of known.erased) assert.equal(store.find(subject, 1), "erased");
  }, Number.POSITIVE_INFINITY);
  return ended;
}

for (const power of [false, true]) {
  test(`cut at every step by ${power ? "a loss of power" : "a kill"}, no key is lost and none comes back`, async () => {
    for (const seed of [1, 2, 3]) {
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
