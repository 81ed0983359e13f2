/**
 * Reads a shard's records through its archive and then its log, as if the log had never been trimmed.
 *
 * Invariants: frames come in order, without a gap or a repetition, also at the seam and while the log is trimmed; what comes
 * from the archive was checked by SHA-256, and every frame by its checksum and its chain. An object that fails is left out if
 * another one has the same records.
 */
import { createHash } from "node:crypto";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogFrame, LogPosition, LogReader } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { type ArchivedRange, archivePrefix, rangeOf, readArchive } from "../wire/archive.ts";
import { beginOf, rangeAt } from "../wire/archived-ranges.ts";
import { type Chain, checkFrame } from "../wire/frame.ts";
import { damaged } from "../wire/snapshot.ts";
import { isDamage } from "./snapshot-head.ts";

/** Bytes that are hashed between two turns of the event loop. */
const sliceBytes = 256 * 1024;

/** A position whose `trimmed` is where archive and log begin together. */
export interface ArchivedPosition extends LogPosition {
  /** First offset that the log itself has. */
  readonly logBegins: Offset;
}

export interface ArchiveReaderOptions {
  readonly store: SnapshotStore;
  readonly clock: Clock;
  /** Waits before a store that did not answer is asked again. Left out, its `unavailable` is thrown. */
  readonly patience?: (tries: number, error: HoldfastError) => Promise<void>;
}

/** The archive of one shard. */
export class ShardArchiveReader {
  readonly shard: ShardId;
  readonly #options: ArchiveReaderOptions;

  constructor(shard: ShardId, options: ArchiveReaderOptions) {
    this.shard = shard;
    this.#options = options;
  }

  /** What is there, by the names alone. */
  ranges(): Promise<ArchivedRange[]> {
    return this.#ask(async () => {
      const ranges: ArchivedRange[] = [];
      for await (const name of this.#options.store.list(archivePrefix(this.shard))) {
        const range = rangeOf(name);
        if (range?.shard === this.shard) ranges.push(range);
      }
      return ranges;
    });
  }

  /** The first offset from which archive and log can be read, if the log begins at `logBegins`. */
  async begin(logBegins: Offset): Promise<Offset> {
    return logBegins <= 1 ? logBegins : beginOf(await this.ranges(), logBegins);
  }

  /** The object, checked. @throws `snapshot-damaged`, also if it is missing */
  async fetch(range: ArchivedRange): Promise<Uint8Array> {
    const found = await this.#ask(() => this.#options.store.get(range.name));
    if (found === undefined) throw damaged(range.name, "is missing");
    const hash = createHash("sha256");
    for (let from = 0; from < found.bytes.length; from += sliceBytes) {
      hash.update(found.bytes.subarray(from, from + sliceBytes));
      await this.turn();
    }
    if (hash.digest("hex") !== range.sha256) throw damaged(range.name, "fails its SHA-256");
    return found.bytes;
  }

  /**
   * Frames from the one with the record at `from` up to `to` at least, if that is how far the archive goes.
   * @throws `snapshot-damaged` an object fails its checks and no other has its records
   * @throws `log-damaged` the archive has a gap there
   */
  async *read(from: Offset, to: Offset): AsyncGenerator<readonly LogFrame[]> {
    let ranges = await this.ranges();
    let [at, chain, problem] = [from, undefined as Chain | undefined, undefined as unknown];
    while (at < to) {
      const range = rangeAt(ranges, at);
      if (range === undefined) throw problem ?? noArchive(this.shard, at);
      let bytes: Uint8Array;
      try {
        bytes = await this.fetch(range);
      } catch (error) {
        if (!isDamage(error)) throw error;
        problem = error;
        ranges = ranges.filter(({ name }) => name !== range.name);
        continue;
      }
      for (const block of readArchive(range, bytes)) {
        const frames = block.filter((frame) => frame.at + frame.count > at);
        const [first, last] = [frames[0], frames.at(-1)];
        if (first === undefined || last === undefined) continue;
        checkFrame(first.bytes, this.shard, first.at, chain);
        chain = checkFrame(last.bytes, this.shard, last.at, undefined).chain;
        at = last.at + last.count;
        yield frames;
        await this.turn();
      }
    }
  }

  turn(): Promise<void> {
    return new Promise((done) => this.#options.clock.defer(done));
  }

  async #ask<T>(question: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await question();
      } catch (error) {
        const { patience } = this.#options;
        if (patience === undefined || !isHoldfastError(error) || error.code !== "unavailable") throw error;
        await patience(tries, error);
      }
    }
  }
}

/** A log, with what was trimmed of it. */
export class ArchivedLog implements LogReader {
  readonly #log: LogReader;
  readonly #options: ArchiveReaderOptions;

  constructor(log: LogReader, options: ArchiveReaderOptions) {
    this.#log = log;
    this.#options = options;
  }

  shard(shard: ShardId): ShardArchiveReader {
    return new ShardArchiveReader(shard, this.#options);
  }

  /** As the log's, but `trimmed` is where archive and log begin together. */
  async tail(shards: readonly ShardId[]): Promise<readonly ArchivedPosition[]> {
    const positions = await this.#log.tail(shards);
    const extend = async (position: LogPosition, index: number): Promise<ArchivedPosition> => {
      const trimmed = await this.shard(shards[index] as ShardId).begin(position.trimmed);
      return { ...position, trimmed, logBegins: position.trimmed };
    };
    return Promise.all(positions.map(extend));
  }

  /** As the log's; what the log does not have comes first, shard by shard. */
  async *read(from: ReadonlyMap<ShardId, Offset>): AsyncGenerator<readonly LogFrame[]> {
    const cursors = new Map(from);
    const chains = new Map<ShardId, Chain>();
    for (let frames: AsyncIterable<readonly LogFrame[]> | undefined; frames === undefined; ) {
      yield* this.#readArchives(cursors, chains);
      frames = await this.#open(cursors);
      if (frames === undefined) continue;
      let shown = false;
      try {
        for await (const batch of frames) {
          shown = true;
          for (const frame of batch) checkSeam(frame, cursors, chains);
          yield batch;
        }
      } catch (error) {
        // Trimmed between the look at its beginning and the read: the archive has that by now.
        if (shown || !(await this.#lags(cursors))) throw error;
        frames = undefined;
      }
    }
  }

  /** Moves the cursors on to where the log begins. */
  async *#readArchives(cursors: Map<ShardId, Offset>, chains: Map<ShardId, Chain>) {
    const shards = [...cursors.keys()];
    const positions = await this.#log.tail(shards);
    for (const [index, shard] of shards.entries()) {
      const { trimmed } = positions[index] as LogPosition;
      const cursor = cursors.get(shard) as Offset;
      if (cursor >= trimmed) continue;
      for await (const frames of this.shard(shard).read(cursor, trimmed)) {
        const last = frames.at(-1) as LogFrame;
        cursors.set(shard, last.at + last.count);
        chains.set(shard, checkFrame(last.bytes, shard, last.at, undefined).chain);
        yield frames;
      }
    }
  }

  /** The rest, from the log; undefined if it was trimmed meanwhile. */
  async #open(cursors: ReadonlyMap<ShardId, Offset>): Promise<AsyncIterable<readonly LogFrame[]> | undefined> {
    return (await this.#lags(cursors)) ? undefined : this.#log.read(cursors);
  }

  async #lags(cursors: ReadonlyMap<ShardId, Offset>): Promise<boolean> {
    const shards = [...cursors.keys()];
    const positions = await this.#log.tail(shards);
    return shards.some((shard, index) => (cursors.get(shard) as Offset) < (positions[index] as LogPosition).trimmed);
  }

  close(): Promise<void> {
    return this.#log.close();
  }
}

/** The first frame of the log follows the last one of the archive. */
function checkSeam(frame: LogFrame, cursors: ReadonlyMap<ShardId, Offset>, chains: Map<ShardId, Chain>): void {
  const chain = chains.get(frame.shard);
  if (chain === undefined || frame.at !== cursors.get(frame.shard)) return;
  checkFrame(frame.bytes, frame.shard, frame.at, chain);
  chains.delete(frame.shard);
}

function noArchive(shard: ShardId, at: Offset): HoldfastError {
  const text = `The log of shard ${shard} begins after offset ${at}, and no archived range has the records from there on.`;
  return new HoldfastError("log-damaged", text, { details: { shard, at } });
}
