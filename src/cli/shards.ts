/** `holdfast shards`: where every shard of a log stands, and what its records weigh. With `--url`: who has each shard of a cluster. */
import { type Command, Option } from "commander";
import type { HistorySource } from "../history/source.ts";
import { grouped } from "../std/progress.ts";
import { clusterShards } from "./cluster.ts";
import { print, printJson } from "./print.ts";
import { type LogOptions, openSource, withLog, withProgress } from "./settings.ts";

interface ShardRow {
  readonly shard: number;
  readonly epoch: number;
  /** First offset that can be read, and first one that the log itself has: what is between is archived. */
  readonly trimmed: number;
  readonly logBegins: number;
  readonly tail: number;
  readonly frames: number;
  /** Of the frames that are there, archived ones as the log had them. */
  readonly bytes: number;
}

export function addShards(program: Command): void {
  const command = program
    .command("shards")
    .description("lists the shards: of a log their epochs, offsets, bytes; of a cluster their owners and standbys");
  withLog(command)
    .addOption(new Option("--url <url>", "of a cluster, by the door or admin port of any node").conflicts("data"))
    .addOption(new Option("--token <token>", "a token of an operator; better in the variable").env("HOLDFAST_TOKEN"))
    .action(shards);
}

async function shards(options: LogOptions & { readonly url?: string; readonly token?: string }): Promise<void> {
  const { url } = options;
  if (url !== undefined) return await clusterShards({ ...options, url });
  const source = await openSource(options);
  const rows = await weigh(source);
  const records = rows.reduce((sum, { trimmed, tail }) => sum + tail - trimmed, 0);
  const bytes = rows.reduce((sum, row) => sum + row.bytes, 0);
  if (options.json === true) {
    return printJson({ shardCount: source.shardCount, segmentBytes: source.bytes, records, bytes, shards: rows });
  }
  print("shard  epoch       from    in log         to     frames           bytes");
  for (const row of rows) {
    const { shard, epoch, trimmed, logBegins, tail, frames } = row;
    const cells = [
      pad(shard, 5),
      pad(epoch, 5),
      pad(trimmed, 9),
      pad(logBegins, 8),
      pad(tail - 1, 9),
      pad(frames, 9),
      pad(row.bytes, 14),
    ];
    print(cells.join("  "));
  }
  print(`${grouped(records)} records in ${grouped(bytes)} bytes; the files take ${grouped(source.bytes)}.`);
}

function pad(count: number, width: number): string {
  return grouped(count).padStart(width);
}

/** Reads the whole log and its archive, which also checks every byte of it. */
async function weigh(source: HistorySource): Promise<ShardRow[]> {
  const all = Array.from({ length: source.shardCount }, (_, shard) => shard);
  const positions = await source.positions(all);
  const frames = new Float64Array(all.length);
  const bytes = new Float64Array(all.length);
  await withProgress("Reading", async (bar) => {
    const from = new Map<number, number>();
    for (const [shard, { trimmed, tail }] of positions.entries()) {
      if (trimmed < tail) from.set(shard, trimmed);
      bar.expect(tail - trimmed);
    }
    if (from.size === 0) return;
    for await (const read of source.read(from)) {
      for (const frame of read) {
        frames[frame.shard] = (frames[frame.shard] as number) + 1;
        bytes[frame.shard] = (bytes[frame.shard] as number) + frame.bytes.length;
        bar.advance(frame.count);
      }
    }
  });
  return positions.map(({ epoch, trimmed, logBegins = trimmed, tail }, shard) => {
    return { shard, epoch, trimmed, logBegins, tail, frames: frames[shard] as number, bytes: bytes[shard] as number };
  });
}
