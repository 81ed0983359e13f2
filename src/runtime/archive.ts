/**
 * Archives what is about to be trimmed from one shard's log, and deletes what is kept long enough.
 *
 *   read the log -> object of up to 2 MiB -> put -> read back -> only then may the log be trimmed so far
 *
 * Invariants:
 * 1. `advance` answers an offset below which every record that the log still had is in objects that this process has read
 *    back, or that retention does not keep and no subscriber within its cap waits for. So at any moment a record is in the log, in the archive, or too old.
 * 2. What is written is a function of the log's durable beginning: an owner that was deposed writes the same truth as the next.
 * 3. Work between two turns is one block of 128 KiB; an object is written at a time, `objectsMax` at most for one call.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { Retention } from "../model/retention.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogReader } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { type ArchivedRange, ArchiveWriter, archiveEnds } from "../wire/archive.ts";
import { expired, rangeAt } from "../wire/archived-ranges.ts";
import { type Chain, checkFrame } from "../wire/frame.ts";
import { damaged } from "../wire/snapshot.ts";
import type { ShardArchiveReader } from "./archive-reader.ts";
import { isDamage } from "./snapshot-head.ts";

/** Objects that one call writes, so that a long backlog does not hold up the checkpoints of other shards. */
const objectsMax = 16;
/** Objects that one call deletes. */
const deletesMax = 64;

export interface ShardArchiveOptions {
  readonly reader: ShardArchiveReader;
  readonly store: SnapshotStore;
  readonly log: LogReader;
  readonly clock: Clock;
  readonly retention: Required<Retention>;
  /** Subscribers have not read what comes from there on; undefined: nobody needs anything. */
  readonly held?: () => Offset | undefined;
  /** Fewer records than this wait in the log for more. */
  readonly recordsMin: number;
  /** But not longer than this, by recorded time. */
  readonly waitMs: number;
  readonly report: (where: string, error: unknown) => void;
}

export interface Advance {
  /** Everything below it is in a snapshot, and may be trimmed. */
  readonly below: Offset;
  /** Nothing came since the checkpoint before: what there is does not wait for more, or it would keep everybody's oldest segment. */
  readonly silent: boolean;
  /** Recorded time of now. */
  readonly nowMs: number;
  /** Lets commands go on, after work of so many ms. */
  readonly rest: (busyMs: number) => Promise<void>;
  /** Throws if the work is not wanted any more. */
  readonly check: () => void;
}

/** Where the verified archive ends. */
interface End {
  readonly at: Offset;
  /** Chain of its last frame, if it is known. */
  readonly chain: Chain | undefined;
}

export class ShardArchive {
  readonly #options: ShardArchiveOptions;
  #ranges: ArchivedRange[] = [];
  #end: End | undefined;
  /** Recorded time when something was written last; before that, of the first look. */
  #wroteMs: number | undefined;

  constructor(options: ShardArchiveOptions) {
    this.#options = options;
  }

  /**
   * Archives what is below.
   * @returns below which the log may be trimmed
   * @throws `unavailable`, `disk-full`: nothing is lost, the log keeps what is not archived
   * @throws `snapshot-damaged` an object read back is not what was written
   * @throws `invalid-configuration` the archive is of another log
   */
  async advance(order: Advance): Promise<Offset> {
    if (this.#options.retention.archive === "none") return Math.min(order.below, this.#options.held?.() ?? order.below);
    for (;;) {
      const trimmed = await this.#trimmed();
      try {
        return Math.min(order.below, await this.#advance(trimmed, order));
      } catch (error) {
        // What of it was done is found again by looking.
        this.#end = undefined;
        // An owner that was deposed and does not know may have trimmed what was to be read.
        if ((await this.#trimmed()) === trimmed) throw error;
      }
    }
  }

  /** Deletes what `retention` does not keep any more. @throws `unavailable` */
  async expire(order: Omit<Advance, "below" | "silent">): Promise<void> {
    const { retention } = this.#options;
    if (typeof retention.archive !== "object") return;
    const trimmed = await this.#trimmed();
    this.#end ??= await this.#open(trimmed, order);
    await this.#expire(order.nowMs - retention.archive.keepMs, trimmed, order);
  }

  async #trimmed(): Promise<Offset> {
    const { log, reader } = this.#options;
    return (await log.tail([reader.shard]))[0]?.trimmed ?? 1;
  }

  async #advance(trimmed: Offset, order: Advance): Promise<Offset> {
    const { recordsMin, waitMs, retention } = this.#options;
    // Another owner, which archives nothing, may have trimmed meanwhile.
    if (this.#end !== undefined && this.#end.at < trimmed) this.#end = undefined;
    const end = (this.#end ??= await this.#open(trimmed, order));
    const waited = order.nowMs - (this.#wroteMs ??= order.nowMs) >= waitMs;
    if (order.below - end.at >= (order.silent || waited ? 1 : recordsMin)) {
      await this.#write(end, order);
      this.#wroteMs = order.nowMs;
    }
    if (typeof retention.archive === "object")
      await this.#expire(order.nowMs - retention.archive.keepMs, trimmed, order);
    return this.#end.at;
  }

  /** Looks how far the archive goes on from where the log begins, and reads back what was not read by this process. */
  async #open(trimmed: Offset, { check, rest }: Pick<Advance, "check" | "rest">): Promise<End> {
    const { reader } = this.#options;
    this.#ranges = await reader.ranges();
    // The one before the log's beginning tells what the log's first frame must follow.
    let end: End = { at: trimmed, chain: undefined };
    const before = this.#ranges.find(({ to }) => to === trimmed);
    if (before !== undefined && rangeAt(this.#ranges, trimmed) === undefined)
      end = { at: trimmed, chain: (await this.#verified(before, trimmed))?.after };
    for (let next = rangeAt(this.#ranges, end.at); next !== undefined; next = rangeAt(this.#ranges, end.at)) {
      check();
      const ends = await this.#verified(next, trimmed);
      if (ends !== undefined) end = { at: next.to, chain: ends.after };
      await rest(1);
    }
    if (end.at > trimmed) await this.#checkInLog(end);
    return end;
  }

  /** What ties the object to its neighbours, or undefined if it is bad: it is then as if it were not there. */
  async #verified(range: ArchivedRange, trimmed: Offset) {
    const { reader, store, report } = this.#options;
    try {
      return archiveEnds(range, await reader.fetch(range));
    } catch (error) {
      if (!isDamage(error)) throw error;
      report(`archived range ${range.name}`, error);
      this.#ranges = this.#ranges.filter(({ name }) => name !== range.name);
      // The log still has all of it. The name would be taken for written otherwise.
      if (range.from >= trimmed) await store.delete([range.name]);
      return undefined;
    }
  }

  /** The log's own frame before the archive's end is the archive's last one: both tell the same up to there. */
  async #checkInLog(end: End): Promise<void> {
    const { reader, log } = this.#options;
    for await (const frames of log.read(new Map([[reader.shard, end.at - 1]]))) {
      for (const { shard, at, count, bytes } of frames) {
        if (at + count !== end.at || checkFrame(bytes, shard, at, undefined).chain !== end.chain) throw this.#foreign();
        return;
      }
    }
    throw this.#foreign();
  }

  #foreign(cause?: unknown): HoldfastError {
    const { shard } = this.#options.reader;
    const text = `The archive of shard ${shard} does not go with its log: they are of different services, or the log lost records.`;
    const remedy = "Give this service a store of its own; nothing is trimmed until then.";
    return new HoldfastError("invalid-configuration", `${text} ${remedy}`, { details: { shard }, cause });
  }

  async #write(start: End, { below, rest, check }: Advance): Promise<void> {
    const { reader, log, clock } = this.#options;
    const { shard } = reader;
    let writer = new ArchiveWriter(shard, start.at, start.chain);
    let from = start.at;
    let [objects, sinceMs] = [0, clock.monotonic()];
    reading: for await (const frames of log.read(new Map([[shard, start.at]]))) {
      for (const frame of frames) {
        if (frame.at + frame.count > below) break reading;
        const ended = this.#add(writer, frame, start);
        if (!ended) continue;
        check();
        await rest(clock.monotonic() - sinceMs);
        sinceMs = clock.monotonic();
        if (!writer.isFull) continue;
        await this.#keep(writer);
        sinceMs = clock.monotonic();
        if (++objects === objectsMax) return;
        from = writer.to;
        writer = new ArchiveWriter(shard, from, writer.chain);
      }
    }
    if (writer.to > from) await this.#keep(writer);
  }

  #add(writer: ArchiveWriter, frame: Parameters<ArchiveWriter["add"]>[0], start: End): boolean {
    try {
      return writer.add(frame);
    } catch (error) {
      const atSeam = frame.at === start.at && start.chain !== undefined;
      throw atSeam && isHoldfastError(error) ? this.#foreign(error) : error;
    }
  }

  /** Writes an object and reads it back. */
  async #keep(writer: ArchiveWriter): Promise<void> {
    const { store, reader } = this.#options;
    const { range, bytes } = writer.finish();
    await store.put(range.name, bytes);
    try {
      const found = await reader.fetch(range);
      if (Buffer.compare(found, bytes) !== 0) throw damaged(range.name, "is not what was written");
    } catch (error) {
      // Its name would be taken for written the next time.
      if (isDamage(error)) await store.delete([range.name]);
      throw error;
    }
    this.#ranges.push(range);
    this.#end = { at: range.to, chain: writer.chain };
  }

  /** One after the other, the oldest first: whenever this ends, what is left has no gap. */
  async #expire(beforeMs: number, trimmed: Offset, { check }: Pick<Advance, "check">): Promise<void> {
    for (const range of expired(this.#ranges, beforeMs, trimmed).slice(0, deletesMax)) {
      // Somebody may have been rewound since the last one.
      if (range.to > (this.#options.held?.() ?? trimmed)) return;
      check();
      await this.#options.store.delete([range.name]);
      this.#ranges = this.#ranges.filter(({ name }) => name !== range.name);
    }
  }
}
