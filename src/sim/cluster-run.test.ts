/** Clusters: some seeds, the seeds that failed once, and that a seed tells the same story every time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runClusterSeed } from "./cluster/cluster-run.ts";
import { readSeeds } from "./seeds.ts";

async function assertHolds(seed: number): Promise<void> {
  const { violations } = await runClusterSeed(seed);
  assert.deepEqual(violations, [], `npm run sim -- --cluster --seed ${seed} --trace`);
}

test("no seed of 120 clusters finds anything", async () => {
  for (let seed = 1; seed <= 120; seed++) await assertHolds(seed);
});

test("no seed of a cluster that failed once finds anything", async () => {
  for (const { seed, engine } of readSeeds()) if (engine === "cluster") await assertHolds(seed);
});

test("a seed of a cluster has one trace", async () => {
  for (let seed = 5_000; seed < 5_005; seed++) {
    const traces = [];
    for (let time = 0; time < 2; time++) {
      const lines: string[] = [];
      const { traceHash } = await runClusterSeed(seed, { tell: (line) => lines.push(line) });
      traces.push({ traceHash, lines });
    }
    assert.deepEqual(traces[0], traces[1]);
    assert.equal((await runClusterSeed(seed)).traceHash, traces[0]?.traceHash, "whether anybody listens or not");
  }
});
