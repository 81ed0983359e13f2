/**
 * The files sink on the simulated disk: cut at every step, by a kill or with the power, each line of an answered batch is there
 * once, and of the batch under way all or nothing counts. What its opening repairs is cut as well.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { filesSinkOver } from "../adapters/files/sink.ts";
import type { FeedItem } from "../model/feeds.ts";
import type { Disk } from "../ports/disk.ts";
import { asArrived, batchesOf, identityOf, never } from "../ports/sink.contract.kit.ts";
import type { Sink, SinkBatch } from "../ports/sink.ts";
import { seededRandom } from "./disk.harness.ts";
import { SimDisk } from "./disk.ts";
import { Steps } from "./disk-steps.harness.ts";

/** Enough for three files of two batches or so, and large enough to be torn. */
const batches = batchesOf(3, 4, 0, 6, 2, 5);

/** As a later life gives them: what a view shows may be shorter by then, so that nothing of before is written over by chance. */
function batchesOfLife(epoch: number): readonly SinkBatch[] {
  const text = "chips ".repeat(epoch === 1 ? 40 : 4 - epoch);
  return batches.map(({ items, ...cursors }) => ({
    ...cursors,
    items: items.map((item) => ({ ...item, payload: text }) as FeedItem),
  }));
}

const fileBytesMax = 4_000;

function sinkOn(disk: Disk): Sink {
  const clock = {
    now: () => 1_764_000_000_000,
    monotonic: () => 0,
    after: () => () => undefined,
    defer: () => undefined,
  };
  return filesSinkOver({ open: () => disk, clock, fileBytesMax });
}

/** Delivers what is left, behind the cursor that counts. @returns batches before which it began */
async function live(sink: Sink, epoch: number, answered: (batch: number) => void): Promise<void> {
  const given = batchesOfLife(epoch);
  const cursor = await sink.open(identityOf(epoch));
  for (let index = Number(cursor?.slice(1) ?? 0); index < batches.length; index++) {
    await sink.deliver(given[index] as SinkBatch, never);
    answered(index + 1);
  }
}

interface Position {
  readonly cursor: string | null;
  readonly file: { readonly number: number; readonly bytes: number } | null;
}

function positionOf(sim: SimDisk): Position | undefined {
  if (sim.find("position.json") === undefined) return undefined;
  return JSON.parse(Buffer.from(sim.content("position.json")).toString()) as Position;
}

/** What counts, as a reader has it. */
function read(sim: SimDisk): { ids: string[]; batches: number } {
  const position = positionOf(sim);
  if (position === undefined) return { ids: [], batches: 0 };
  const { cursor, file } = position;
  const names = sim.list().flatMap(({ name }) => (name.includes(".ndjson") ? [name] : []));
  const lines = names.sort().flatMap((name) => {
    const bytes = Buffer.from(sim.content(name));
    const counts = Number(name.slice(0, 9)) === file?.number ? file.bytes : 0;
    return (name.endsWith(".open") ? bytes.subarray(0, counts) : bytes).toString().split("\n").slice(0, -1);
  });
  return { ids: lines.map((line) => (JSON.parse(line) as { id: string }).id), batches: Number(cursor?.slice(1) ?? 0) };
}

function assertWhole(sim: SimDisk, atLeast: number): void {
  const found = read(sim);
  assert.ok(found.batches >= atLeast, `${found.batches} batches are there, ${atLeast} were answered for`);
  const wanted = asArrived(batches.slice(0, found.batches)).map(({ id }) => id);
  assert.deepEqual(found.ids, wanted);
}

/** @returns whether the life came to its end within the steps */
async function oneLife(seed: number, stepsMax: number, power: boolean): Promise<boolean> {
  const random = seededRandom(seed);
  const steps = new Steps();
  const sim = new SimDisk({ schedule: steps.schedule, random });
  let answered = 0;
  const run = async (epoch: number, most: number): Promise<boolean> => {
    const process = sim.attach();
    let [isDone, failure] = [false, undefined as unknown];
    live(sinkOn(process.disk), epoch, (count) => (answered = Math.max(answered, count))).then(
      () => (isDone = true),
      (error: unknown) => {
        failure = error;
        isDone = true;
      },
    );
    const ended = await steps.take(steps.taken + most, () => isDone);
    if (failure !== undefined) throw failure;
    if (power) sim.crash();
    else process.kill();
    return ended;
  };
  const ended = await run(1, stepsMax);
  assertWhole(sim, answered);
  // The repair is cut too, at some step.
  await run(2, Math.floor(random() * 40));
  assertWhole(sim, answered);
  await run(3, Number.POSITIVE_INFINITY);
  assertWhole(sim, batches.length);
  for (const { name, bytes } of sim.list()) {
    assert.ok(name === "position.json" || name.includes(".ndjson"), `${name} is left`);
    if (name.endsWith(".open")) assert.equal(bytes, positionOf(sim)?.file?.bytes, "nothing is left behind what counts");
  }
  return ended;
}

for (const power of [false, true]) {
  test(`cut at every step by ${power ? "a loss of power" : "a kill"}, each line is there once`, async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      for (let steps = 0; ; steps++) {
        const ended = await oneLife(seed * 1_000 + steps, steps, power).catch((error: unknown) => {
          throw new Error(`seed ${seed * 1_000 + steps}, ${steps} steps`, { cause: error });
        });
        if (ended) break;
        assert.ok(steps < 400, "a life comes to its end");
      }
    }
  });
}
