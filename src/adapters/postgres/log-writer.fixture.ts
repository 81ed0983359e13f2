/**
 * A process that claims all shards and appends until it is fenced or killed; it prints what was acknowledged, a line for each call.
 * Whatever has no answer it resolves by reading, as a node does. Arguments: URL, number of shards.
 */
import assert from "node:assert/strict";
import type { Append, AppendResult } from "../../ports/log.ts";
import { openPostgresLog, type PostgresLog } from "./log.ts";

/** Bytes that tell shard, offset and epoch, and are of many sizes. */
export function frameFor(shard: number, at: number, epoch: number): Uint8Array {
  const length = 20 + ((at * 7_919 + shard * 131) % 3_000);
  return Buffer.alloc(length, `${shard}/${at}/${epoch};`);
}

async function resolved(log: PostgresLog, append: Append): Promise<AppendResult> {
  const [position] = await log.tail([append.shard]);
  if (position?.epoch !== append.epoch) return { ok: false, reason: "fenced" };
  if (position.tail === append.at) return (await log.append([append]))[0] as AppendResult;
  for await (const frames of log.read(new Map([[append.shard, append.at]]))) {
    for (const frame of frames) {
      if (frame.at === append.at && Buffer.compare(frame.bytes, append.frame) === 0)
        return { ok: true, tail: append.at + append.count };
    }
  }
  return { ok: false, reason: "unknown" };
}

async function write(url: string, shardCount: number): Promise<void> {
  const log = await openPostgresLog({ connection: url });
  const shards = Array.from({ length: shardCount }, (_, shard) => shard);
  const positions = await log.tail(shards);
  const one = (shard: number, epoch: number, at: number): Append => {
    return { shard, epoch, at, count: 1, frame: frameFor(shard, at, epoch) };
  };
  let writes = positions.map(({ epoch, tail }, shard) => one(shard, epoch + 1, tail));
  let results = await log.claim(writes);
  for (;;) {
    const acknowledged: string[] = [];
    for (const [index, result] of results.entries()) {
      const append = writes[index] as Append;
      const final = !result.ok && result.reason === "unknown" ? await resolved(log, append) : result;
      if (final.ok) acknowledged.push(`${append.shard}/${append.at}/${append.epoch}`);
      else assert.notEqual(final.reason, "full");
    }
    const kept = new Set(acknowledged.map((text) => Number(text.split("/")[0])));
    process.stdout.write(`${acknowledged.join(" ")}\n`);
    writes = writes.filter(({ shard }) => kept.has(shard)).map(({ shard, epoch, at }) => one(shard, epoch, at + 1));
    if (writes.length === 0) break;
    results = await log.append(writes);
  }
  await log.close();
  process.stdout.write("fenced\n");
}

if (process.argv[1] === import.meta.filename) {
  const [url = "", shards = ""] = process.argv.slice(2);
  await write(url, Number(shards));
}
