/**
 * Reads the durable log of some shards from given places on: what was trimmed from the archive, then the log, then the frames
 * that became durable of late; and again the log, when it fell behind.
 *
 * Invariants: of each shard the records come in order, without a gap and without a repetition, over every seam; a place whose
 * chain does not fit what is read ends it with `cursor-lost`. One batch of frames is held at most, and nothing that is open
 * for longer than `feedIdleMs` after it was used last.
 */

import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Cursor, Place } from "../model/feeds.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogFrame, LogReader } from "../ports/log.ts";
import type { RecentFrames } from "../runtime/recent-frames.ts";
import { checkFrame, decodeFrame } from "../wire/frame.ts";

/** Records of one frame from the place of its shard on. */
export interface Stretch {
  readonly shard: ShardId;
  /** Offset of `records[from]`. */
  readonly at: Offset;
  readonly records: readonly LogRecord[];
  readonly from: number;
  /** Bytes of a record, about. */
  readonly recordBytes: number;
  readonly chain: number;
}

export interface FollowerOptions {
  readonly log: LogReader;
  readonly recent: RecentFrames;
  readonly clock: Clock;
  readonly idleMs: number;
  /** Frames that hold none of these keys are passed over undecoded. */
  readonly passes?: (frame: Uint8Array, shard: ShardId, at: Offset) => boolean;
}

/** As what a read fails whose records are not there (any more). */
const trimmedAway: ReadonlySet<string> = new Set(["log-damaged", "snapshot-damaged"]);

export class Follower {
  readonly #options: FollowerOptions;
  #places: Map<ShardId, Place>;
  /** Shards whose place was given from outside, and not confirmed by a frame yet. */
  #unproven: Set<ShardId>;
  #reading: AsyncIterator<readonly LogFrame[]> | undefined;
  #frames: readonly LogFrame[] = [];
  #next = 0;
  #cancelIdle: () => void = () => {};

  constructor(places: ReadonlyMap<ShardId, Place>, options: FollowerOptions) {
    this.#options = options;
    this.#places = new Map(places);
    this.#unproven = new Set(places.keys());
  }

  get places(): Cursor {
    return this.#places;
  }

  /** Goes back: the next record of each shard is the given one. */
  async seek(places: Cursor): Promise<void> {
    await this.#letGo();
    this.#places = new Map(places);
  }

  /** The next frame that is at hand; undefined if `refill` must be asked first. @throws `cursor-lost` */
  take(): Stretch | undefined {
    for (; this.#next < this.#frames.length; ) {
      const frame = this.#frames[this.#next++] as LogFrame;
      const stretch = this.#stretchOf(frame);
      if (stretch !== undefined) return stretch;
    }
    return this.#reading === undefined ? this.#takeRecent() : undefined;
  }

  /** The records of the stretch before `index` were taken. */
  advance({ shard, at, from, chain }: Stretch, index: number): void {
    this.#places.set(shard, { offset: at + index - from, chain });
  }

  /**
   * Gets more frames. @returns false if there are none: everything durable was taken
   * @throws `cursor-lost`, `unavailable`, `log-damaged`
   */
  async refill(): Promise<boolean> {
    this.#cancelIdle();
    try {
      return await this.#refill();
    } finally {
      this.#cancelIdle();
      if (this.#reading !== undefined)
        this.#cancelIdle = this.#options.clock.after(this.#options.idleMs, () => void this.#letGo());
    }
  }

  async #refill(): Promise<boolean> {
    if (this.#reading === undefined) {
      const behind = this.#behind();
      if (behind.size === 0) return this.hasMore;
      await this.#checkKept(behind);
      this.#reading = this.#options.log.read(behind)[Symbol.asyncIterator]();
    }
    const { done, value } = await this.#reading.next().catch((error: unknown) => this.#unread(error));
    this.#next = 0;
    this.#frames = done === true ? [] : value;
    if (done === true) {
      this.#reading = undefined;
      // What is not in the log's answer became durable after it was asked, or is recent.
      return this.hasMore;
    }
    return true;
  }

  /** What was trimmed between the look at its beginning and the read is not damage. */
  async #unread(error: unknown): Promise<never> {
    if (isHoldfastError(error) && trimmedAway.has(error.code)) await this.#checkKept(this.#behind());
    throw error;
  }

  /** Lets go of files; the places stay. */
  async close(): Promise<void> {
    this.#cancelIdle();
    await this.#letGo();
  }

  /** Shards whose next record is durable and is not among the recent frames. */
  #behind(): Map<ShardId, Offset> {
    const { recent } = this.#options;
    const behind = new Map<ShardId, Offset>();
    for (const [shard, { offset }] of this.#places) {
      if (offset < recent.tail(shard) && recent.find(shard, offset) === undefined) behind.set(shard, offset);
    }
    return behind;
  }

  /** Something is durable that was not taken. */
  get hasMore(): boolean {
    const { recent } = this.#options;
    for (const [shard, { offset }] of this.#places) if (offset < recent.tail(shard)) return true;
    return false;
  }

  #takeRecent(): Stretch | undefined {
    const { recent } = this.#options;
    for (const [shard, place] of this.#places) {
      for (let { offset } = place; ; ) {
        const frame = recent.find(shard, offset);
        if (frame === undefined) break;
        if (this.#passedOver(frame.bytes, shard, frame.at, frame.count)) {
          ({ offset } = this.#places.get(shard) as Place);
          continue;
        }
        const { previous, chain, records } = recent.decode(frame);
        this.#check({ shard, at: frame.at, previous, chain });
        this.#toTheEnd(shard);
        return {
          shard,
          at: offset,
          records,
          from: offset - frame.at,
          recordBytes: frame.bytes.length / frame.count,
          chain,
        };
      }
    }
    return undefined;
  }

  /** Its turn comes after that of all others: a shard that is written to all the time keeps nobody waiting. */
  #toTheEnd(shard: ShardId): void {
    const place = this.#places.get(shard) as Place;
    this.#places.delete(shard);
    this.#places.set(shard, place);
  }

  #stretchOf(frame: LogFrame): Stretch | undefined {
    const { shard, at, count, bytes } = frame;
    const place = this.#places.get(shard);
    if (place === undefined || at + count <= place.offset) return undefined;
    if (at > place.offset) throw gap(shard, place.offset, at);
    if (this.#passedOver(bytes, shard, at, count)) return undefined;
    const { previous } = checkFrame(bytes, shard, at, undefined);
    const { chain, records } = decodeFrame(bytes, shard, at, undefined);
    this.#check({ shard, at, previous, chain });
    return { shard, at: place.offset, records, from: place.offset - at, recordBytes: bytes.length / count, chain };
  }

  /** The frame holds nothing of interest: its checksum alone was read. */
  #passedOver(bytes: Uint8Array, shard: ShardId, at: Offset, count: number): boolean {
    const { passes } = this.#options;
    if (passes === undefined || passes(bytes, shard, at)) return false;
    const { previous, chain } = checkFrame(bytes, shard, at, undefined);
    this.#check({ shard, at, previous, chain });
    this.#places.set(shard, { offset: at + count, chain });
    return true;
  }

  /** The frame is the one that the place rests on, or the one after it. */
  #check(frame: { shard: ShardId; at: Offset; previous: number; chain: number }): void {
    const { shard } = frame;
    const { offset, chain } = this.#places.get(shard) as Place;
    const found = frame.at === offset ? frame.previous : frame.chain;
    if (chain !== undefined && chain !== found) {
      if (this.#unproven.has(shard)) throw anotherLog(shard, offset);
      throw new HoldfastError(
        "log-damaged",
        `The frame at offset ${frame.at} of shard ${shard} does not follow the one before.`,
      );
    }
    this.#unproven.delete(shard);
  }

  /** @throws `cursor-lost` what comes next is not kept, or the log does not go so far */
  async #checkKept(behind: ReadonlyMap<ShardId, Offset>): Promise<void> {
    const shards = [...behind.keys()];
    const positions = await this.#options.log.tail(shards);
    for (const [index, shard] of shards.entries()) {
      const offset = behind.get(shard) as Offset;
      const position = positions[index];
      if (position === undefined || offset < position.trimmed) throw trimmed(shard, offset, position?.trimmed ?? 0);
    }
  }

  async #letGo(): Promise<void> {
    const reading = this.#reading;
    this.#reading = undefined;
    this.#frames = [];
    this.#next = 0;
    // A read that was given up must not end anything else with its error.
    await reading?.return?.().catch((error: unknown) => {
      if (!isHoldfastError(error)) throw error;
    });
  }
}

function trimmed(shard: ShardId, offset: Offset, begins: Offset): HoldfastError {
  const text = `The records of shard ${shard} from offset ${offset} on are not kept any more; what is kept begins at ${begins}.`;
  return new HoldfastError("cursor-lost", text, { details: { shard, offset, begins } });
}

export function anotherLog(shard: ShardId, offset: Offset): HoldfastError {
  const text = `The log of shard ${shard} does not have the record before offset ${offset} that the cursor rests on: it lost records, was restored from an older backup, or is another service's.`;
  return new HoldfastError("cursor-lost", text, { details: { shard, offset } });
}

function gap(shard: ShardId, offset: Offset, at: Offset): HoldfastError {
  return new HoldfastError("log-damaged", `Shard ${shard} has no record at offset ${offset}; the next is at ${at}.`, {
    details: { shard, offset, at },
  });
}
