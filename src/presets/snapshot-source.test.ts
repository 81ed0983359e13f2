/** The past of a log that was trimmed: replays start from snapshots, and say so where none is old enough. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { entities } from "../../test/golden/kitchen-sink.ts";
import { recordSink, sinkShards } from "../../test/golden/record-sink.ts";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { shardAt, stateAt } from "../history/history.ts";
import { indexDefinitions } from "../history/replay.ts";
import { logSource } from "../history/source.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { EntityImage } from "../model/images.ts";
import { ShardSnapshots } from "../runtime/snapshots.ts";
import { encodeImage } from "../wire/image.ts";
import { withSnapshots } from "./snapshot-source.ts";

test("a trimmed shard is shown from its snapshot on, and before it the reader is told", async () => {
  const store = createMemoryStore(sinkShards);
  await recordSink(async () => openMemoryLog({ store }));
  const definitions = indexDefinitions(entities);
  const log = openMemoryLog({ store });
  const whole = logSource(log, sinkShards);
  const shard = 1;
  const frames = store.shards[shard]?.frames ?? [];
  const cut = frames[Math.floor(frames.length / 2)];
  assert.ok(cut !== undefined && cut.at > 2);
  const then = await shardAt(whole, definitions, shard, { offset: cut.at - 1 });
  const now = await shardAt(whole, definitions, shard);
  const objects = openMemorySnapshots();
  const images = [...then.entities.keys()].sort().map((name) => encodeImage(then.entities.get(name) as EntityImage));
  const image = { at: cut.at, chain: undefined, epoch: cut.epoch, timeMs: then.timeMs, requests: [] };
  await new ShardSnapshots({ store: objects, shard, clock: systemClock }).save({
    image,
    images: () => images,
    codes: {},
  });
  await log.trim(shard, cut.at);
  const past = withSnapshots(logSource(log, sinkShards), objects, systemClock);
  assert.deepEqual(await shardAt(past, definitions, shard), now);
  assert.deepEqual(await shardAt(past, definitions, shard, { offset: cut.at - 1 }), then);
  for (const { entity } of now.entities.values()) {
    assert.deepEqual(
      (await stateAt(past, definitions, entity)).image,
      now.entities.get(`${entity.type}/${entity.key}`),
    );
  }
  for (const moment of [{ offset: cut.at - 2 }, { timeMs: 1 }]) {
    await assert.rejects(
      () => shardAt(past, definitions, shard, moment),
      (error) => isHoldfastError(error) && error.code === "log-damaged",
    );
  }
});
