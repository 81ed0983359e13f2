/**
 * Reads a segment log without opening it: no lock, no recovery, nothing written. For the command line, beside a node
 * that may be running, and for the log of one that was killed.
 *
 * Invariants:
 * 1. Files are only read. What is shown is the log up to some moment of the opening: whole blocks, in order.
 * 2. A block that does not fit is the end only if nothing valid follows. A writer may add blocks while the end is looked
 *    for, so what follows counts as damage only if the end found stays where it is when looked for again.
 * 3. The last block shown may not be on stable storage yet: a reader of the system's memory cannot tell.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { Disk } from "../../ports/disk.ts";
import type { LogFrame, LogPosition, LogReader } from "../../ports/log.ts";
import { checkOffset, checkShard } from "../../ports/log-fence.ts";
import { openDirectoryToRead } from "../system/disk.ts";
import { checkNotRestoring, formatName, readFormat, segmentName } from "./format.ts";
import { segmentsOf } from "./open.ts";
import { Positions } from "./positions.ts";
import { readSegments } from "./read.ts";
import { type FoundFile, missingStart, scanActive, survey } from "./recover.ts";
import type { Segment } from "./retained.ts";
import { examineRest, type ScanOptions, Window } from "./scan.ts";

export interface SegmentLogReader extends LogReader {
  readonly shardCount: number;
  /** Space taken by segments that hold records. */
  readonly bytes: number;
}

/** A trim may take the oldest segment away between the listing and the look at it. */
const attemptsMax = 3;

/**
 * @throws `invalid-configuration` there is no log there, or a newer version wrote it
 * @throws `log-damaged` bytes that were once durable fail their checks
 * @throws `restore-unfinished`
 */
export async function openSegmentLogToRead(
  place: { readonly directory: string } | { readonly disk: Disk },
): Promise<SegmentLogReader> {
  const disk = "disk" in place ? place.disk : openDirectoryToRead(place.directory);
  const entries = await disk.list();
  checkNotRestoring(disk, entries);
  const format = entries.find(({ name }) => name === formatName);
  if (format === undefined) throw noLog(disk);
  const { salt, shardCount } = await readFormat(disk, format.bytes);
  for (let attempt = 1; ; attempt++) {
    try {
      return await look({ disk, salt, shardCount }, segmentsOf(await disk.list()));
    } catch (error) {
      const vanished = isHoldfastError(error) && error.code === "invalid-configuration";
      if (!vanished || attempt === attemptsMax) throw error;
    }
  }
}

interface Facts {
  readonly disk: Disk;
  readonly salt: number;
  readonly shardCount: number;
}

async function look(facts: Facts, files: readonly FoundFile[]): Promise<SegmentLogReader> {
  const window = new Window();
  const { segments, last } = await survey(facts, files, window);
  const { positions, end } = await findEnd(facts, last, window);
  return new Reader(facts, segments, positions, end);
}

async function findEnd(facts: Facts, last: Segment, window: Window): Promise<{ positions: Positions; end: number }> {
  const file = await facts.disk.open(segmentName(last.number));
  try {
    const options: ScanOptions = { file, segment: last.number, salt: facts.salt, until: last.bytes, window };
    for (let before = -1; ; ) {
      const positions = new Positions(facts.shardCount);
      const { scan } = await scanActive(options, positions);
      if (scan.last === undefined) throw missingStart(facts.disk, last.number);
      try {
        await examineRest(options, scan.position);
        return { positions, end: scan.position };
      } catch (error) {
        if (!isHoldfastError(error) || scan.position === before) throw error;
        before = scan.position;
      }
    }
  } finally {
    await file.close();
  }
}

class Reader implements SegmentLogReader {
  readonly shardCount: number;
  readonly bytes: number;
  readonly #facts: Facts;
  readonly #segments: readonly Segment[];
  readonly #positions: Positions;
  readonly #end: number;

  constructor(facts: Facts, segments: readonly Segment[], positions: Positions, end: number) {
    this.#facts = facts;
    this.#segments = segments;
    this.#positions = positions;
    this.#end = end;
    this.shardCount = facts.shardCount;
    this.bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  async tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    return shards.map((shard) => {
      checkShard(shard, this.shardCount);
      return { epoch: this.#positions.epoch(shard), tail: this.#positions.tail(shard), trimmed: this.#trimmed(shard) };
    });
  }

  read(from: ReadonlyMap<ShardId, Offset>): AsyncIterable<readonly LogFrame[]> {
    const wanted = new Float64Array(this.shardCount).fill(Number.POSITIVE_INFINITY);
    for (const [shard, offset] of from) {
      checkShard(shard, this.shardCount);
      checkOffset(offset);
      if (offset < this.#trimmed(shard)) throw belowTrimmed(shard, offset, this.#trimmed(shard));
      wanted[shard] = offset;
    }
    const { disk, salt } = this.#facts;
    const tails = this.#positions.tails;
    return this.#whileThere(
      readSegments({ disk, salt, segments: this.#segments, end: this.#end, tails, from: wanted }),
    );
  }

  async close(): Promise<void> {
    // no file stays open between two reads
  }

  #trimmed(shard: ShardId): Offset {
    return this.#segments[0]?.tails[shard] as number;
  }

  /** Says so if what looks like damage is a trim by the node that runs beside. */
  async *#whileThere(frames: AsyncIterable<readonly LogFrame[]>): AsyncGenerator<readonly LogFrame[]> {
    try {
      yield* frames;
    } catch (error) {
      const names = new Set((await this.#facts.disk.list()).map(({ name }) => name));
      if (this.#segments.every(({ number }) => names.has(segmentName(number)))) throw error;
      const text = "The log was trimmed while it was read, by the node that runs on it. Ask again.";
      throw new HoldfastError("unavailable", text, { cause: error });
    }
  }
}

function belowTrimmed(shard: ShardId, offset: Offset, trimmed: Offset): HoldfastError {
  const text = `Shard ${shard} was to be read from offset ${offset}, but its log begins at ${trimmed}.`;
  return new HoldfastError("log-damaged", text, { details: { shard, offset, trimmed } });
}

function noLog(disk: Disk): HoldfastError {
  const text = `There is no log in ${disk.place}: the file ${formatName} is missing. Name the data directory of a service.`;
  return new HoldfastError("invalid-configuration", text, { details: { place: disk.place } });
}
