/**
 * The segment log over the simulated disk: the contract suite, and what it must keep through crashes at any step.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { write } from "../ports/log.contract.kit.ts";
import { testLog } from "../ports/log.contract.ts";
import { Machine, seededRandom } from "./disk.harness.ts";
import { SimDisk } from "./disk.ts";

testLog("segments on the simulated disk", async ({ shardCount }) => {
  const sim = new SimDisk({ schedule: (_, run) => void setImmediate(run), random: seededRandom(1) });
  const options = { disk: sim.attach().disk, shardCount, segmentBytes: 64 * 1024 };
  let log = await openSegmentLog(options);
  return {
    log,
    frameBytesMax: log.frameBytesMax,
    async reopen() {
      await log.close();
      log = await openSegmentLog(options);
      return log;
    },
    dispose: () => log.close(),
  };
});

/** Goes through making, rotating, trimming, using a segment again, and closing. */
async function lifeOfALog(machine: Machine): Promise<void> {
  await machine.write("claim", [write(0, 1, 1), write(1, 1, 1)]);
  for (let at = 2; at < 26; at++) {
    await machine.write("append", [write(0, 1, at, { bytes: 18_000 }), write(1, 1, at, { bytes: 700 })]);
    if (at % 3 === 0) {
      await machine.trim(1, at);
      await machine.trim(0, at);
    }
  }
  await machine.log.close();
}

describe("crash at every step of a log's life", () => {
  const options = { shardCount: 2, latencyMs: () => 1 };

  async function stepsOfALife(): Promise<number> {
    const machine = new Machine({ ...options, seed: 1 });
    await machine.reopen();
    await machine.drive(lifeOfALog(machine));
    return machine.stepsTaken;
  }

  for (const how of ["power", "kill"] as const) {
    test(`after ${how === "power" ? "a power cut" : "a kill"} at any step nothing answered is lost`, async () => {
      const steps = await stepsOfALife();
      assert.ok(steps > 90, `${steps} steps`);
      for (let cut = 0; cut < steps; cut++) {
        for (const seed of [1, 2]) {
          const machine = new Machine({ ...options, seed: seed * 1000 + cut });
          machine.stepsLeft = cut;
          if ((await machine.reopen()) === "done") await machine.drive(lifeOfALog(machine));
          machine.end(how);
          machine.stepsLeft = Number.POSITIVE_INFINITY;
          await machine.reopen();
          if (how === "kill")
            machine.end("power"); // what the next process saw must not go
          else machine.end("kill");
          await machine.reopen();
        }
      }
    });
  }

  test("a second crash at any step of recovery changes nothing", async () => {
    for (let cut = 0; cut < 60; cut++) {
      const machine = new Machine({ ...options, seed: 77 + cut });
      await machine.reopen();
      machine.stepsLeft = 60 + (cut % 50);
      await machine.drive(lifeOfALog(machine));
      for (const steps of [cut, cut % 7, cut % 13]) {
        machine.end(machine.random() < 0.5 ? "power" : "kill");
        machine.stepsLeft = steps;
        await machine.reopen();
      }
      machine.end("power");
      machine.stepsLeft = Number.POSITIVE_INFINITY;
      await machine.reopen();
    }
  });
});

describe("random lives", () => {
  test("with crashes, kills, a full disk and refused writes the log keeps what it answered", async () => {
    for (let seed = 1; seed <= 60; seed++) await randomLife(seed);
  });
});

async function randomLife(seed: number): Promise<void> {
  const brokenShare = seed % 3 === 0 ? 0.004 : 0;
  const machine: Machine = new Machine({
    seed,
    shardCount: 1 + (seed % 5),
    fault: ({ verb }) => (verb === "write" && machine.random() < brokenShare ? "broken" : undefined),
  });
  try {
    for (let life = 0; life < 6; life++) {
      machine.sim.capacityBytes = Number.POSITIVE_INFINITY;
      const opened = await endUnlessBroken(machine.reopen());
      machine.sim.capacityBytes = machine.random() < 0.2 ? 300_000 : Number.POSITIVE_INFINITY;
      if (opened === "done") {
        machine.stepsLeft = Math.floor(machine.random() * 400);
        await machine.drive(machine.work(60, 9_000));
      }
      machine.end(machine.random() < 0.5 ? "power" : "kill");
      machine.stepsLeft = machine.random() < 0.3 ? Math.floor(machine.random() * 40) : Number.POSITIVE_INFINITY;
    }
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  }
}

async function endUnlessBroken(opening: Promise<string>): Promise<string> {
  try {
    return await opening;
  } catch (error) {
    if ((error as { code?: unknown }).code === "log-failed") return "broken";
    throw error;
  }
}
