/**
 * What nodes of a cluster say and do, step by step, when a shard is claimed, fails over, is handed over, is drained off a node, and when its
 * owner is fenced. The transcripts stand beside this file; HOLDFAST_TRANSCRIPTS=write writes them anew.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Scenario } from "./scenario.ts";

function compare(name: string, { transcript, world }: Scenario): void {
  assert.deepEqual(world.violations, []);
  const file = fileURLToPath(new URL(`${name}.txt`, import.meta.url));
  if (process.env["HOLDFAST_TRANSCRIPTS"] === "write") writeFileSync(file, transcript);
  assert.equal(transcript, readFileSync(file, "utf8"));
}

/** Two nodes; the first owns the one shard, the second follows it. */
async function pair(nodes = 2): Promise<Scenario> {
  const scenario = new Scenario(nodes, 1);
  scenario.title("n0 starts, alone");
  scenario.node("n0").start();
  await scenario.until("n0 serves", () => scenario.owner(0) === "n0");
  scenario.title("n1 starts, and follows");
  scenario.node("n1").start();
  await scenario.until("n1 follows", () => scenario.follows("n1", 0));
  await scenario.pass(100);
  return scenario;
}

describe("a transcript tells", () => {
  test("how a shard is claimed and followed", async () => {
    const scenario = await pair();
    scenario.title("a command at the other node");
    await scenario.count("n1", 0);
    await scenario.pass(50);
    compare("claim", scenario);
  });

  test("how a standby takes over from a node that died", async () => {
    const scenario = await pair();
    await scenario.count("n0", 0);
    scenario.title("n0 is killed, and does not come back");
    scenario.node("n0").crash(false);
    await scenario.until("n1 owns", () => scenario.owner(0) === "n1");
    await scenario.count("n1", 0);
    compare("failover", scenario);
  });

  test("how a shard is handed over while it is played on", async () => {
    const scenario = await pair();
    await scenario.count("n0", 0);
    scenario.title("an operator moves the shard to n1");
    const move = scenario.node("n0").cluster?.move([0], "n1");
    const counting = scenario.count("n0", 0);
    await scenario.until("n1 owns", () => scenario.owner(0) === "n1");
    await Promise.all([move, counting]);
    await scenario.pass(100);
    compare("handoff", scenario);
  });

  test("how a node that stops gives its shard away first", async () => {
    const scenario = await pair();
    scenario.title("n0 is told to stop");
    scenario.node("n0").stop(false);
    await scenario.until("n0 has gone", () => scenario.node("n0").process === undefined);
    assert.equal(scenario.owner(0), "n1");
    await scenario.count("n1", 0);
    compare("drain", scenario);
  });

  test("how an owner that was away learns that it is none any more", async () => {
    const scenario = await pair();
    scenario.title("n0 does not run for longer than its lease");
    const goOn = scenario.node("n0").pause(["n1"]);
    await scenario.until("n1 owns", () => scenario.owner(0) === "n0+n1");
    await scenario.count("n1", 0);
    scenario.title("n0 goes on, and is asked");
    goOn();
    const told = await scenario.count("n0", 0);
    assert.equal(told.ok && (told.value as { count: number }).count, 2);
    compare("fenced", scenario);
  });
});
