/**
 * Reading frames page by page: keyset pages of bounded bytes, without a cursor or transaction that would outlive one statement.
 *
 * Invariants: of each shard the frames follow each other without a gap, up to the tail at the time of the call. What was trimmed by
 * another node meanwhile is an error, never a gap.
 */
import { crc32 } from "node:zlib";
import { HoldfastError } from "../../model/errors.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { LogFrame } from "../../ports/log.ts";
import type { Row } from "./session.ts";

/** Shards that one statement looks at, and frames of each: what it may touch in vain. */
const pageShards = 8;
const pageFrames = 128;
const pageBytes = 4 * 1024 * 1024;

/** What is left to read of one shard. */
export interface Stretch {
  readonly shard: ShardId;
  /** First offset of the next frame. */
  at: Offset;
  readonly upto: Offset;
}

/** From what `starts` gave. @throws `log-damaged` a cursor below `trimmed` */
export function stretchesFrom(rows: readonly Row[], from: ReadonlyMap<ShardId, Offset>): Stretch[] {
  const stretches: Stretch[] = [];
  for (const row of rows) {
    const [shard, tail, trimmed] = [Number(row["shard"]), Number(row["tail"]), Number(row["trimmed"])];
    const offset = from.get(shard) as Offset;
    if (offset < trimmed)
      throw broken(shard, offset, `was to be read from offset ${offset}, but its log begins at ${trimmed}`);
    if (offset >= tail) continue;
    if (row["start"] === null) throw broken(shard, offset, `has no frame that holds offset ${offset}`);
    stretches.push({ shard, at: Number(row["start"]), upto: tail });
  }
  return stretches;
}

/** Gives the rest of the stretches, and moves them on. @param ask runs `page` */
export async function* pagesOf(
  stretches: Stretch[],
  ask: (values: readonly unknown[]) => Promise<readonly Row[]>,
): AsyncGenerator<readonly LogFrame[]> {
  while (stretches.length > 0) {
    const window = stretches.slice(0, pageShards);
    const columns = [window.map(({ shard }) => shard), window.map(({ at }) => at), window.map(({ upto }) => upto)];
    const rows = await ask([...columns, pageFrames, pageBytes]);
    const byShard = new Map(window.map((stretch) => [stretch.shard, stretch]));
    const frames = rows.map((row) => frameFrom(row, byShard.get(Number(row["shard"])) as Stretch));
    const first = window[0] as Stretch;
    if (frames[0]?.shard !== first.shard) throw broken(first.shard, first.at, `has no frame at offset ${first.at}`);
    yield frames;
    while (stretches[0] !== undefined && stretches[0].at >= stretches[0].upto) stretches.shift();
    for (let index = stretches.length - 1; index > 0; index--) {
      const stretch = stretches[index] as Stretch;
      if (stretch.at >= stretch.upto) stretches.splice(index, 1);
    }
  }
}

function frameFrom(row: Row, stretch: Stretch): LogFrame {
  const { shard } = stretch;
  const [at, count, epoch] = [Number(row["at"]), Number(row["count"]), Number(row["epoch"])];
  const given = row["bytes"] as Buffer;
  const bytes = new Uint8Array(given.buffer, given.byteOffset, given.length);
  if (at !== stretch.at || at + count > stretch.upto)
    throw broken(shard, stretch.at, `has a frame at offset ${at} where one at ${stretch.at} must follow`);
  if (crc32(bytes) !== Number(row["checksum"]))
    throw broken(shard, at, `holds other bytes at offset ${at} than were written`);
  stretch.at = at + count;
  return { shard, epoch, at, count, bytes };
}

function broken(shard: ShardId, offset: Offset, what: string): HoldfastError {
  return new HoldfastError("log-damaged", `Shard ${shard} ${what}.`, { details: { shard, offset } });
}
