/** A few hundred seeds, the seeds that failed once, and that a seed tells the same story every time. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runSeed } from "./run.ts";
import { readSeeds } from "./seeds.ts";

async function assertHolds(seed: number, engine: "log" | "disk"): Promise<void> {
  const { violations } = await runSeed(seed, { engine });
  assert.deepEqual(violations, [], `npm run sim -- --seed ${seed} --engine ${engine} --trace`);
}

describe("no seed finds anything", () => {
  for (const { engine, seeds } of [
    { engine: "log", seeds: 250 },
    { engine: "disk", seeds: 80 },
  ] as const) {
    test(`of ${seeds} on the ${engine}`, async () => {
      for (let seed = 1; seed <= seeds; seed++) await assertHolds(seed, engine);
    });
  }

  test("of those that failed once", async () => {
    for (const { seed, engine } of readSeeds()) if (engine !== "cluster") await assertHolds(seed, engine);
  });
});

test("a seed has one trace", async () => {
  for (const engine of ["log", "disk"] as const) {
    for (let seed = 5_000; seed < 5_010; seed++) {
      const traces = [];
      for (let time = 0; time < 2; time++) {
        const lines: string[] = [];
        const { traceHash } = await runSeed(seed, { engine, tell: (line) => lines.push(line) });
        traces.push({ traceHash, lines });
      }
      assert.deepEqual(traces[0], traces[1]);
    }
  }
});

test("seeds have different traces", async () => {
  const hashes = new Set<string>();
  for (let seed = 1; seed <= 5; seed++) hashes.add((await runSeed(seed)).traceHash);
  assert.equal(hashes.size, 5);
});
