/** An owner that was fenced learns it also while nobody calls it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryLog } from "../../adapters/memory/log.ts";
import { systemClock } from "../../adapters/system/clock.ts";
import { systemRandom } from "../../adapters/system/random.ts";
import { prepareNode } from "../node.ts";
import { box, TestCluster } from "./cluster.harness.ts";

test("an owner that was fenced while nobody called it notices, and the shard is served again", async () => {
  await using cluster = new TestCluster(1);
  const { node } = await cluster.start("a");
  await cluster.until("a owns", () => cluster.owners()[0] === "a");
  const stranger = prepareNode({
    entities: [box],
    log: openMemoryLog({ store: cluster.store }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 1,
    cluster: { durable: () => {}, released: () => {}, route: () => {} },
  });
  await stranger.recover();
  await stranger.roles?.follow(0);
  assert.equal(await stranger.roles?.promote(0), true);
  await stranger.stop();
  assert.equal(cluster.owners()[0], "a", "it cannot know yet");
  await cluster.until(
    "a has claimed it again",
    () => (node.roles?.position(0).epoch ?? 0) > 2 && cluster.owners()[0] === "a",
  );
});
