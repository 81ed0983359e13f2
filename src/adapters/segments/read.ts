/**
 * Reads many shards in one pass over the segments that hold what is asked for.
 *
 * Invariant: what is yielded leads from each cursor to the tail at the time of the call without a gap; bytes that fail
 * a check, or a segment that ends before the next one says it does, end the read with `log-damaged`. Everything in a
 * segment is checked, asked for or not.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Disk } from "../../ports/disk.ts";
import type { LogFrame } from "../../ports/log.ts";
import { segmentName } from "./format.ts";
import { Positions } from "./positions.ts";
import type { Segment } from "./retained.ts";
import { type ChainEnd, Scan, Window } from "./scan.ts";
import { type FrameSink, readPositions, walkFrames } from "./walk.ts";

export interface ReadOptions {
  readonly disk: Disk;
  readonly salt: number;
  /** Segments in order; the last was the active one at the time of the call. */
  readonly segments: readonly Segment[];
  /** Where the last segment ended at the time of the call. */
  readonly end: number;
  /** Tails at the time of the call. */
  readonly tails: Float64Array;
  /** First offset wanted of each shard; Infinity for none. Undefined: everything is checked and nothing shown. */
  readonly from: Float64Array | undefined;
}

/** Those of the segments that hold anything asked for, with the tails they must end at. */
export function segmentsNeeded(options: ReadOptions): readonly { segment: Segment; until: Float64Array }[] {
  const { segments, tails, from } = options;
  const all = segments.map((segment, index) => ({ segment, until: segments[index + 1]?.tails ?? tails }));
  if (from === undefined) return all;
  return all.filter(({ segment, until }) =>
    until.some((end, shard) => end > (from[shard] as number) && end > (segment.tails[shard] as number)),
  );
}

export async function* readSegments(options: ReadOptions): AsyncGenerator<readonly LogFrame[]> {
  const active = options.segments.at(-1);
  const window = new Window();
  let before: { number: number; last: ChainEnd | undefined } | undefined;
  for (const { segment, until } of segmentsNeeded(options)) {
    const after = before?.number === segment.number - 1 ? before.last : undefined;
    const end = segment === active ? options.end : segment.bytes;
    before = { number: segment.number, last: yield* readSegment(options, { segment, until, window, end, after }) };
  }
}

interface OneSegment {
  readonly segment: Segment;
  readonly until: Float64Array;
  readonly end: number;
  readonly after: ChainEnd | undefined;
  readonly window: Window;
}

async function* readSegment(
  options: ReadOptions,
  { segment, until, end, after, window }: OneSegment,
): AsyncGenerator<readonly LogFrame[], ChainEnd | undefined> {
  const { from } = options;
  const sink: FrameSink | undefined = from === undefined ? undefined : { from, until: options.tails, frames: [] };
  const positions = new Positions(until.length);
  const file = await options.disk.open(segmentName(segment.number));
  try {
    const scan = new Scan({ file, segment: segment.number, salt: options.salt, until: end, window, after });
    do {
      for (let block = scan.take(); block !== undefined; block = scan.take()) {
        if (scan.lastBlock.at === 0) readPositions(block, positions);
        walkFrames(block, positions, sink);
      }
      if (sink !== undefined && sink.frames.length > 0) {
        yield sink.frames;
        sink.frames = [];
      }
    } while (await scan.refill());
    if (until.some((tail, shard) => tail !== positions.tails[shard])) throw endsEarly(segment, scan.position);
    return scan.last;
  } finally {
    await file.close();
  }
}

function endsEarly(segment: Segment, position: number): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `Segment ${segment.number} is damaged at byte ${position}: no valid block begins there, though records that were ` +
      "durable should follow. Nothing was changed. Restore the data directory from a copy.",
    { details: { segment: segment.number, position } },
  );
}
