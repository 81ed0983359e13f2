/** Names that a killed process left in the system's memory only. Found by the simulator: seed 2277 on the disk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PlainDisk, sampleLog, segmentBytes, shardCount } from "./log.harness.ts";
import { openSegmentLog } from "./open.ts";

test("opening syncs the names it found before it writes behind them", async () => {
  const { files } = await sampleLog({ frameBytes: [100], closed: false });
  const disk = new PlainDisk(files);
  const verbs: string[] = [];
  disk.interfere = (verb) => verbs.push(verb);
  const log = await openSegmentLog({ disk, shardCount, segmentBytes });
  await log.close();
  assert.ok(verbs.includes("write") && verbs.indexOf("sync") !== -1, verbs.join(" "));
  assert.ok(verbs.indexOf("sync") < verbs.indexOf("write"), verbs.join(" "));
});
