/** A short run of the process chaos (`npm run chaos` makes as many and as long ones as wanted), and one of a service that must fail it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { postgresSkipReason } from "../../../src/adapters/postgres/server.harness.ts";
import { artefacts } from "../../../src/adapters/system/program.harness.ts";
import { type CampaignOptions, runCampaign } from "./campaign.ts";
import { planFaults } from "./faults.ts";

const skip = postgresSkipReason() ?? false;
/** A seed with a fault of each kind. */
const short = {
  arrangement: "cluster",
  runs: 1,
  ms: 10_000,
  seed: 16,
  nodes: 3,
  leaseMs: 2_000,
  recoveryMs: 60_000,
} as const;

const campaign = (t: TestContext, more: Partial<CampaignOptions> = {}) =>
  runCampaign({
    ...short,
    ...more,
    // What is planted is found a hundred times over.
    print: (line) =>
      more.planted === undefined || /^seed|^VIOLATION: not served/.test(line) ? t.diagnostic(line) : undefined,
  });

test("nodes that are killed, paused and cut off over a database that restarts lose nothing and double nothing", {
  skip,
}, async (t) => {
  const sums = await campaign(t, { keepIn: join(artefacts, "chaos") });
  assert.deepEqual(sums.violations, []);
  assert.equal(sums.failed, 0);
  const { kills, pauses, databases, acknowledged, searched } = sums;
  for (const count of [kills, pauses, databases, acknowledged, searched]) assert.ok(count > 0);
  if (sums.notCut === undefined) assert.ok(sums.cuts > 0);
});

test("a service whose log answers before it has written is found out", { skip }, async (t) => {
  const { violations } = await campaign(t, { arrangement: "takeover", planted: "early", ms: 6_000 });
  assert.match(violations.join("\n"), /acknowledged, and lost/);
});

test("a service whose reads are stale is found out, by the search as by versions", { skip }, async (t) => {
  const { violations } = await campaign(t, { planted: "stale", ms: 2_000 });
  assert.match(violations.join("\n"), /no order fits/);
  assert.match(violations.join("\n"), /an output that does not follow from the version before/);
});

test("a plan of faults follows from its seed, has them all over when the run is, and cuts nothing where nothing can be cut", () => {
  const options = { seed: 16, ms: 10_000, nodes: 3, leaseMs: 2_000, ends: ["node", "database"] as const };
  assert.deepEqual(planFaults(options), planFaults(options));
  for (let seed = 1; seed <= 200; seed++) {
    const plan = planFaults({ ...options, seed });
    for (const { atMs, forMs } of plan) assert.ok(atMs >= 0 && forMs >= 0 && atMs + forMs <= options.ms);
    for (const fault of plan)
      if (fault.kind === "cut" && fault.end.kind === "node") assert.notEqual(fault.end.index, fault.node);
    assert.ok(planFaults({ ...options, seed, ends: [] }).every(({ kind }) => kind !== "cut"));
  }
});
