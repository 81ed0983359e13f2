/** Feeds at a node of a cluster: what happened in all shards, whoever owns them and whoever follows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FeedForm } from "../model/feeds.ts";
import { TestCluster } from "../runtime/cluster/cluster.harness.ts";
import { wholeService } from "../runtime/cluster/whole-service.ts";
import { openFeeds } from "./feeds.ts";

const principal = { kind: "system", id: "test" } as const;

test("a feed at any node tells of all shards, also of those that the node has nothing to do with", async () => {
  await using cluster = new TestCluster(9);
  const nodes = [await cluster.start("a"), await cluster.start("b"), await cluster.start("c")];
  await cluster.until(
    "shared",
    () => new Set(cluster.owners()).size === 3 && cluster.standbys().every((name) => name !== ""),
  );
  for (const form of ["changes", "absolutes"] as readonly FeedForm[]) {
    const ask = { form, start: "now", principal, filter: { types: ["box"] } } as const;
    const view = form === "absolutes" ? { view: "count" } : {};
    const all = nodes.map((node) => openFeeds(wholeService(node).source, { service: "test" }));
    const opened = await Promise.all(all.map((feeds) => feeds.open({ ...ask, ...view })));
    const keys = Array.from({ length: 40 }, (_, index) => `${form}-${index}`);
    for (const key of keys) assert.equal((await cluster.count(cluster.any, key)).ok, true);
    for (const feed of opened) {
      const seen = new Set<string>();
      for (const untilMs = Date.now() + 10_000; seen.size < keys.length && Date.now() < untilMs; )
        for (const { entity } of (await feed.next({ itemsMax: 10, waitMs: 500 })).items) seen.add(entity.key);
      assert.deepEqual([...seen].sort(), keys.toSorted());
    }
    for (const feeds of all) feeds.close();
  }
  assert.deepEqual(cluster.faults, []);
});
