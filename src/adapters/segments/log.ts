/**
 * The segment log: the default engine of a service that keeps its log on its own disk.
 *
 *   full segment .. full segment | active segment: block block block ..free.. | prepared segment
 *
 * Invariants:
 * 1. One write at a time, and memory moves (tails, epochs) only when it is on stable storage.
 * 2. A call's fence checks and its write are one step: claims and appends take turns.
 * 3. After the first failed write or sync nothing is answered any more but `log-failed`.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import { type Disk, type DiskLock, sectorBytes } from "../../ports/disk.ts";
import type { Append, AppendResult, LogFrame, LogPosition, ShardLog } from "../../ports/log.ts";
import { checkOffset, checkShard, checkWrites, fenceAdmits, type WriteKind } from "../../ports/log-fence.ts";
import { BlockBuilder, frameBytesMaxOf, frameHeaderBytes, headerBytes, padded } from "./block.ts";
import type { Positions } from "./positions.ts";
import { type ReadOptions, readSegments, segmentsNeeded } from "./read.ts";
import type { Active, Recovered } from "./recover.ts";
import { Retained } from "./retained.ts";
import type { ChainEnd } from "./scan.ts";
import { Space } from "./space.ts";

export interface SegmentLog extends ShardLog {
  readonly shardCount: number;
  /** The largest frame an append may hold. */
  readonly frameBytesMax: number;
  /** Sizes, for metrics. */
  stats(): SegmentLogStats;
  /**
   * Reads and checks every byte that is still part of the log. May overlap with appends.
   * @throws `log-damaged` as `read` does
   */
  scrub(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface SegmentLogStats {
  readonly segments: number;
  /** Space taken by segments with records, the unwritten end of the active one included. */
  readonly bytes: number;
  readonly oldestSegment: number;
}

export interface SegmentLogParts {
  readonly disk: Disk;
  readonly lock: DiskLock;
  readonly salt: number;
  readonly segmentBytes: number;
  readonly spare: boolean;
  readonly recovered: Recovered;
}

/** Appends of one call that go into one block. */
interface Group {
  readonly kind: WriteKind;
  readonly appends: readonly Append[];
  readonly indices: readonly number[];
  readonly results: AppendResult[];
}

interface ChainStep extends ChainEnd {
  readonly bytes: number;
}

const fenced: AppendResult = { ok: false, reason: "fenced" };
const full: AppendResult = { ok: false, reason: "full" };

export class Engine implements SegmentLog {
  readonly shardCount: number;
  readonly frameBytesMax: number;
  readonly #disk: Disk;
  readonly #lock: DiskLock;
  readonly #salt: number;
  readonly #space: Space;
  readonly #builder = new BlockBuilder();
  readonly #positions: Positions;
  readonly #retained: Retained;
  #active: Active;
  #chainEnd: ChainEnd;
  #marked: boolean;
  #turn: Promise<void> = Promise.resolve();
  #appending = false;
  #dropping: Promise<void> | undefined;
  #failure: unknown;
  #closing: Promise<void> | undefined;

  constructor(parts: SegmentLogParts) {
    const { disk, recovered, segmentBytes, spare } = parts;
    this.#disk = disk;
    this.#lock = parts.lock;
    this.#salt = parts.salt;
    this.#positions = recovered.positions;
    this.#retained = new Retained(recovered.segments);
    this.#active = recovered.active;
    this.#chainEnd = recovered.chainEnd;
    this.#marked = recovered.marked;
    this.shardCount = recovered.positions.shardCount;
    this.frameBytesMax = frameBytesMaxOf(segmentBytes, this.shardCount);
    this.#space = new Space({ disk, segmentBytes, spare, prepared: recovered.prepared });
  }

  /** Ends recovery: writes the mark and sets the next segment up. */
  async start(): Promise<void> {
    if (!this.#marked) await this.#writeMark();
    this.#prepareNext();
  }

  async tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    this.#checkUsable();
    return shards.map((shard) => {
      checkShard(shard, this.shardCount);
      const trimmed = this.#retained.trimmed(shard);
      return { epoch: this.#positions.epoch(shard), tail: this.#positions.tail(shard), trimmed };
    });
  }

  async claim(claims: readonly Append[]): Promise<readonly AppendResult[]> {
    return this.#inTurn(() => this.#commit("claim", claims));
  }

  async append(appends: readonly Append[]): Promise<readonly AppendResult[]> {
    if (this.#appending) throw new HoldfastError("internal", "Broken invariant: one append in flight per log");
    this.#appending = true;
    try {
      return await this.#inTurn(() => this.#commit("append", appends));
    } finally {
      this.#appending = false;
    }
  }

  read(from: ReadonlyMap<ShardId, Offset>): AsyncIterable<readonly LogFrame[]> {
    this.#checkUsable();
    const wanted = new Float64Array(this.shardCount).fill(Number.POSITIVE_INFINITY);
    for (const [shard, offset] of from) {
      checkShard(shard, this.shardCount);
      checkOffset(offset);
      checkCursor(shard, offset, this.#retained.trimmed(shard));
      wanted[shard] = offset;
    }
    return this.#readFrom(wanted);
  }

  async trim(shard: ShardId, before: Offset): Promise<void> {
    this.#checkUsable();
    checkShard(shard, this.shardCount);
    checkOffset(before);
    const { allowed } = this.#positions;
    allowed[shard] = Math.max(allowed[shard] as number, Math.min(before, this.#positions.tail(shard)));
    await this.#drop();
  }

  async scrub(): Promise<void> {
    this.#checkUsable();
    for await (const nothing of this.#readFrom(undefined)) void nothing;
  }

  stats(): SegmentLogStats {
    const segments = this.#retained.all();
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    return { segments: segments.length, bytes, oldestSegment: this.#retained.oldest.number };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #commit(kind: WriteKind, appends: readonly Append[]): Promise<readonly AppendResult[]> {
    this.#checkUsable();
    checkWrites(appends, this.shardCount, this.frameBytesMax);
    const results: AppendResult[] = new Array(appends.length).fill(fenced);
    const { epochs, tails } = this.#positions;
    let group: number[] = [];
    let groupBytes = 0;
    for (let index = 0; index < appends.length; index++) {
      const append = appends[index] as Append;
      if (!fenceAdmits(kind, append, epochs[append.shard] as number, tails[append.shard] as number)) continue;
      const bytes = frameHeaderBytes + append.frame.length;
      if (groupBytes + bytes > this.frameBytesMax + frameHeaderBytes) {
        await this.#write({ kind, appends, indices: group, results });
        group = [];
        groupBytes = 0;
      }
      group.push(index);
      groupBytes += bytes;
    }
    if (group.length > 0) await this.#write({ kind, appends, indices: group, results });
    return results;
  }

  /** Writes one block with the appends of the given indices, and answers these. */
  async #write(group: Group): Promise<void> {
    const { kind, appends, indices, results } = group;
    const frames = indices.length === appends.length ? appends : indices.map((index) => appends[index] as Append);
    let bytes = headerBytes;
    for (const { frame } of frames) bytes += frameHeaderBytes + frame.length;
    if (padded(bytes) <= this.#active.segment.bytes - this.#active.position) {
      this.#advance(this.#active, await this.#put(this.#active, kind, frames), group);
    } else if (await this.#prepared()) {
      await this.#beginNext(group, frames);
    } else {
      for (const index of indices) results[index] = full;
    }
  }

  /** Puts a block on stable storage. Memory does not move yet. */
  async #put(active: Active, kind: WriteKind, frames: readonly Append[], positions?: Positions): Promise<ChainStep> {
    const sequence = this.#chainEnd.sequence + 1;
    const place = { salt: this.#salt, segment: active.segment.number, sequence, chain: this.#chainEnd.crc };
    const block = this.#builder.build(place, kind, frames, positions);
    try {
      await active.file.write(block, active.position);
    } catch (error) {
      throw this.#fail(error);
    }
    return { sequence, crc: this.#builder.crc, bytes: block.length };
  }

  /** Begins the next segment with this block. It holds the positions, so that all before it may be dropped one day. */
  async #beginNext(group: Group, frames: readonly Append[]): Promise<void> {
    const prepared = this.#space.take();
    if (prepared === undefined) throw this.#fail(new HoldfastError("internal", "Broken invariant: a segment is ready"));
    const { number, bytes, file } = prepared;
    const next: Active = {
      segment: { number, bytes, tails: this.#positions.tails.slice(), pins: 0 },
      file,
      position: 0,
    };
    let step: ChainStep;
    try {
      step = await this.#put(next, group.kind, frames, this.#positions);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    const before = this.#active;
    this.#retained.push(next.segment);
    this.#active = next;
    this.#advance(next, step, group);
    this.#prepareNext();
    await before.file.close();
  }

  /** Moves all of memory in one step, so that a read never sees the end of the file and the tails disagree. */
  #advance(active: Active, step: ChainStep, group?: Group): void {
    this.#chainEnd = step;
    this.#marked = group === undefined;
    active.position += step.bytes;
    if (group === undefined) return;
    const { epochs, tails } = this.#positions;
    for (const index of group.indices) {
      const { shard, epoch, at, count } = group.appends[index] as Append;
      epochs[shard] = epoch;
      tails[shard] = at + count;
      group.results[index] = { ok: true, tail: at + count };
    }
  }

  async #prepared(): Promise<boolean> {
    try {
      return await this.#space.prepare(this.#active.segment.number + 1);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #prepareNext(): void {
    this.#prepared().catch(() => undefined); // noted by #fail; the next call says it
  }

  #readFrom(from: Float64Array | undefined): AsyncIterable<readonly LogFrame[]> {
    const { position } = this.#active;
    const tails = this.#positions.tails.slice();
    return this.#read({
      disk: this.#disk,
      salt: this.#salt,
      segments: this.#retained.all(),
      end: position,
      tails,
      from,
    });
  }

  async *#read(options: ReadOptions): AsyncGenerator<readonly LogFrame[]> {
    const needed = segmentsNeeded(options);
    const first = needed[0]?.segment;
    if (first !== undefined && first.number < this.#retained.oldest.number) throw trimmedMeanwhile(first.number);
    for (const { segment } of needed) segment.pins += 1;
    try {
      yield* readSegments(options);
    } finally {
      for (const { segment } of needed) segment.pins -= 1;
      if (this.#closing === undefined && this.#failure === undefined) this.#drop().catch(() => undefined); // see #fail
    }
  }

  #drop(): Promise<void> {
    this.#dropping ??= this.#dropOldest().finally(() => {
      this.#dropping = undefined;
    });
    return this.#dropping;
  }

  async #dropOldest(): Promise<void> {
    try {
      const { allowed } = this.#positions;
      for (let next = this.#retained.shift(allowed); next !== undefined; next = this.#retained.shift(allowed)) {
        await this.#space.retire(next.number, next.bytes);
      }
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #writeMark(): Promise<void> {
    if (this.#active.segment.bytes - this.#active.position < sectorBytes) return;
    this.#advance(this.#active, await this.#put(this.#active, "append", []));
  }

  async #close(): Promise<void> {
    await this.#turn;
    try {
      // After a failure the log must look as it is: cut off.
      if (this.#failure === undefined && !this.#marked) await this.#writeMark();
      await this.#dropping?.catch(() => undefined);
      await this.#space.close();
      await this.#active.file.close();
    } finally {
      await this.#lock.release();
    }
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    let done = () => {};
    this.#turn = new Promise((resolve) => {
      done = resolve;
    });
    await before;
    try {
      return await task();
    } finally {
      done();
    }
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#fail(this.#failure);
    if (this.#closing !== undefined) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
  }

  /** Notes the first failure, for good. */
  #fail(error: unknown): HoldfastError {
    this.#failure ??= error;
    if (isHoldfastError(this.#failure) && this.#failure.code === "log-failed") return this.#failure as HoldfastError;
    const why = this.#failure instanceof Error ? this.#failure.message : String(this.#failure);
    return new HoldfastError("log-failed", `The log stopped at its first failed write: ${why}`, {
      cause: this.#failure,
    });
  }
}

function checkCursor(shard: ShardId, offset: Offset, trimmed: Offset): void {
  if (offset >= trimmed) return;
  throw new HoldfastError(
    "log-damaged",
    `Shard ${shard} was to be read from offset ${offset}, but its log begins at ${trimmed}.`,
    { details: { shard, offset, trimmed } },
  );
}

function trimmedMeanwhile(segment: number): HoldfastError {
  return new HoldfastError("log-damaged", `Segment ${segment} was trimmed between the call of a read and its start.`, {
    details: { segment },
  });
}
