/**
 * Where the past is read from: the log, the archive of what was trimmed of it, and snapshots.
 *
 * Invariant: what `readRecords` yields of a shard is every record from the start that was asked for, in order and without
 * a gap; frames are checked against the ones before them.
 */
import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { EntityImage, ShardImage } from "../model/images.ts";
import type { LogRecord } from "../model/records.ts";
import type { LogFrame, LogPosition, LogReader } from "../ports/log.ts";
import { type Chain, decodeFrame } from "../wire/frame.ts";

/** A moment of a shard: after the record at `offset`, or after the last record of `timeMs` or earlier. */
export type Moment = { readonly offset: Offset } | { readonly timeMs: number };

/** Where a replay may start other than at offset 1: the shard as a snapshot has it. */
export interface Start {
  readonly shard: ShardImage;
  /** The image of one entity, by `type/key`; undefined if it did not exist. */
  entity(name: string): Promise<EntityImage | undefined>;
  /** All of them, in any order. */
  entities(): AsyncIterable<EntityImage>;
}

export interface PastPosition extends LogPosition {
  /** First offset that the log itself has, if an archive goes before it. */
  readonly logBegins?: Offset;
}

/** By entity type name. */
export type Definitions = ReadonlyMap<string, EntityDefinition>;

export interface HistorySource {
  readonly shardCount: number;
  /** `trimmed` is the first offset that can be read, from the log or an archive. */
  positions(shards: readonly ShardId[]): Promise<readonly PastPosition[]>;
  /** As `ShardLog.read`. */
  read(from: ReadonlyMap<ShardId, Offset>): AsyncIterable<readonly LogFrame[]>;
  /**
   * The latest start that contains nothing after the moment; without a moment the latest there is. Where every record can
   * be read there is none, unless it takes a long read off and was made by the code of `definitions`.
   */
  start?(shard: ShardId, until: Moment | undefined, definitions: Definitions | undefined): Promise<Start | undefined>;
}

/** Hears how far a long read is. */
export interface ReadProgress {
  /** So many records are to be read. */
  expect(records: number): void;
  /** So many more have been. */
  advance(records: number): void;
}

export function logSource(log: LogReader, shardCount: number): HistorySource {
  return { shardCount, positions: (shards) => log.tail(shards), read: (from) => log.read(from) };
}

/** Records of one frame. */
export interface RecordsRead {
  readonly shard: ShardId;
  readonly epoch: number;
  /** Offset of the first of the records. */
  readonly at: Offset;
  readonly records: readonly LogRecord[];
}

export interface ShardStart {
  readonly shard: ShardId;
  /** Offset of the first record that could be read. */
  readonly begin: Offset;
  /** Offset of the first record that is read. */
  readonly from: Offset;
  readonly tail: Offset;
  /** What stands before `from`; undefined for an empty shard. */
  readonly start: Start | undefined;
}

/**
 * Finds where the shards can be replayed from.
 * @param definitions states that this code has made will do; without them every record is wanted that can be had
 * @throws `log-damaged` the beginning was trimmed and nothing stands for it
 */
export async function findStarts(
  source: HistorySource,
  shards: readonly ShardId[],
  until: Moment | undefined,
  definitions?: Definitions,
): Promise<ShardStart[]> {
  const positions = await source.positions(shards);
  return Promise.all(
    shards.map(async (shard, index): Promise<ShardStart> => {
      const { tail, trimmed } = positions[index] as LogPosition;
      const start = await source.start?.(shard, until, definitions);
      const from = start?.shard.at ?? 1;
      if (from < trimmed) throw trimmedAway(shard, from, trimmed);
      return { shard, begin: trimmed, from, tail, start };
    }),
  );
}

/** Reads the records of the shards from their starts on. */
export async function* readRecords(
  source: HistorySource,
  starts: readonly ShardStart[],
  progress?: ReadProgress,
): AsyncGenerator<RecordsRead> {
  const chains = new Map<ShardId, Chain | undefined>();
  const next = new Map<ShardId, Offset>();
  for (const { shard, from, tail, start } of starts) {
    if (from >= tail) continue;
    chains.set(shard, from === 1 ? 0 : start?.shard.chain);
    next.set(shard, from);
    progress?.expect(tail - from);
  }
  if (next.size === 0) return;
  for await (const frames of source.read(new Map(next))) {
    for (const frame of frames) {
      const wanted = next.get(frame.shard);
      if (wanted === undefined || frame.at + frame.count <= wanted) continue;
      // a frame that begins below was asked for by its middle: what comes before it is not known
      const chain = frame.at === wanted ? chains.get(frame.shard) : undefined;
      const decoded = decodeFrame(frame.bytes, frame.shard, frame.at, chain);
      chains.set(frame.shard, decoded.chain);
      next.set(frame.shard, frame.at + decoded.records.length);
      const records = frame.at < wanted ? decoded.records.slice(wanted - frame.at) : decoded.records;
      yield { shard: frame.shard, epoch: decoded.epoch, at: Math.max(wanted, frame.at), records };
      progress?.advance(records.length);
    }
  }
}

/** True if a record belongs to what is asked for. */
export function isUntil(moment: Moment | undefined, offset: Offset, timeMs: number): boolean {
  if (moment === undefined) return true;
  return "offset" in moment ? offset <= moment.offset : timeMs <= moment.timeMs;
}

function trimmedAway(shard: ShardId, from: Offset, trimmed: Offset): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `What there is of shard ${shard} begins at offset ${trimmed}, and nothing stands for the records from ${from} on: neither an ` +
      "archive nor a snapshot at hand reaches back so far. Ask for a later moment.",
    { details: { shard, from, trimmed } },
  );
}
