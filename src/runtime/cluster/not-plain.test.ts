/** What cannot go to another node is refused to who gave it, and costs nobody else the connection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WatchNews } from "../../model/records.ts";
import { TestCluster } from "./cluster.harness.ts";

test("a call and a watch that cannot go to the owner are refused, and the connection goes on", async () => {
  await using cluster = new TestCluster(4);
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.until("shared", () => cluster.owners().filter((owner) => owner === "b").length === 2);
  const shard = cluster.owners().indexOf("b");
  const keys = Array.from({ length: 100 }, (_, index) => `m${index}`);
  const key = keys.find((name) => cluster.shardOf(name) === shard) as string;
  const entity = { type: "box", key };
  const half = { kind: "user", id: "\ud800" } as const;
  const news: WatchNews[] = [];
  a.service.watch({ entity, view: "count", principal: half }, (told) => news.push(told));
  assert.deepEqual(news, []);
  const asked = await new Promise<object>((resolve) =>
    a.service.query({ entity, query: "count", input: new Date(0), principal: { kind: "user", id: "ann" } }, resolve),
  );
  await cluster.until("the watch is over", () => news.length > 0);
  for (const { code } of [asked, ...news] as { code?: string }[]) assert.equal(code, "invalid-input");
  assert.deepEqual(cluster.faults, []);
  assert.equal((await cluster.count(a, key)).ok, true);
});
