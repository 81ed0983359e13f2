/** What a node tells of itself while it recovers. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { entities } from "../../test/golden/kitchen-sink.ts";
import { recordSink, sinkShards } from "../../test/golden/record-sink.ts";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import type { ShardLog } from "../ports/log.ts";
import { prepareNode } from "./node.ts";

const store = createMemoryStore(sinkShards);

before(() => recordSink(async () => openMemoryLog({ store })));

/** A log that is read one part at a time, as the test lets it. */
function haltingLog(halt: () => Promise<void>): ShardLog {
  const log = openMemoryLog({ store });
  const read = log.read.bind(log);
  log.read = async function* (from) {
    for await (const frames of read(from)) {
      yield frames;
      await halt();
    }
  };
  return log;
}

test("during a recovery health tells what was replayed, of how much, and for how long still", async () => {
  const seen: ReturnType<typeof node.health>[] = [];
  let nowMs = 1_000;
  const log = haltingLog(async () => {
    nowMs += 600;
    seen.push(node.health());
  });
  const clock = { ...systemClock, monotonic: () => nowMs };
  const node = prepareNode({ entities, log, clock, random: systemRandom, shardCount: sinkShards });
  assert.equal(node.health().etaMs, undefined);
  await node.recover();
  const served = node.health();
  await node.stop();
  const [first] = seen;
  assert.ok(first !== undefined && seen.length > 1);
  assert.equal(first.phase, "recovering");
  assert.ok(first.recovered > 0 && first.recovered < first.toRecover);
  assert.equal(first.etaMs, Math.round(((first.toRecover - first.recovered) / first.recovered) * 600));
  assert.equal(seen.at(-1)?.etaMs, 0);
  assert.deepEqual([served.phase, served.etaMs, served.recovered], ["serving", undefined, served.toRecover]);
});
