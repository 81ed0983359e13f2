/**
 * Frames that became durable of late, in memory, for followers that keep up with the log. Whoever is further behind reads the
 * log, and comes back here for its end.
 *
 * Invariants: what is here is durable; of each shard it is one stretch without a gap that ends at the tail as far as it is
 * known; all of it together has at most `bytesMax`. Adding a frame costs no decoding; a frame is decoded once for all.
 */
import type { Offset, ShardId } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Append } from "../ports/log.ts";
import { Queue } from "../std/queue.ts";
import { type Chain, checkFrame, decodeFrame } from "../wire/frame.ts";

/** What a frame holds, and how it is tied to the one before. Not to be changed: all followers get the same. */
export interface Decoded {
  readonly previous: Chain;
  readonly chain: Chain;
  readonly records: readonly LogRecord[];
}

export interface RecentFrame {
  readonly shard: ShardId;
  readonly at: Offset;
  readonly count: number;
  readonly bytes: Uint8Array;
  decoded: Decoded | undefined;
}

/**
 * Frames are copied together into pieces of this size. A frame as it was encoded is a slice of memory that it shares with what
 * was encoded beside it; to keep a small one would keep all of that.
 */
const pieceBytes = 64 * 1024;
/** What a frame costs beside its bytes. */
const frameCostBytes = 256;

/** Bytes of frames that are kept decoded as well: objects take several times as much. */
const decodedBytesMax = 1024 * 1024;

interface Stretch {
  frames: (RecentFrame | undefined)[];
  /** Of `frames`, how many have left already. */
  gone: number;
  tail: Offset;
}

export class RecentFrames {
  readonly #bytesMax: number;
  readonly #clock: Clock;
  readonly #shards = new Map<ShardId, Stretch>();
  /** All frames in the order they came. Those that left early with their shard are still in it, and in `#bytes`. */
  readonly #order = new Queue<RecentFrame>();
  readonly #decoded = new Queue<RecentFrame>();
  #decodedBytes = 0;
  #piece = new Uint8Array(0);
  #pieceUsed = pieceBytes;
  #bytes = 0;
  #records = 0;
  #recordBytes = 0;
  #waiting = new Set<() => void>();
  #waking = false;

  constructor(bytesMax: number, clock: Clock) {
    this.#bytesMax = bytesMax;
    this.#clock = clock;
  }

  /** Of all shards, what is held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of a record, as far as is known: what a lag in bytes is reckoned with. */
  get usualRecordBytes(): number {
    return this.#records === 0 ? 0 : this.#recordBytes / this.#records;
  }

  /** First offset that is not durable, as far as is known here; 0 if nothing is. */
  tail(shard: ShardId): Offset {
    return this.#shards.get(shard)?.tail ?? 0;
  }

  add(append: Append): void {
    const stretch = this.#stretch(append.shard);
    if (append.at < stretch.tail) return;
    if (append.at > stretch.tail) this.#drop(stretch);
    const { shard, at, count } = append;
    const frame: RecentFrame = { shard, at, count, bytes: this.#copied(append.frame), decoded: undefined };
    stretch.frames.push(frame);
    stretch.tail = append.at + append.count;
    this.#order.push(frame);
    this.#bytes += costOf(frame);
    this.#records += append.count;
    this.#recordBytes += frame.bytes.length;
    while (this.#bytes > this.#bytesMax && this.#order.size > 0) this.#dropOldest();
    this.#wake();
  }

  /** The log of this shard goes up to there, whatever passed here. */
  begin(shard: ShardId, tail: Offset): void {
    const stretch = this.#stretch(shard);
    if (tail <= stretch.tail) return;
    this.#drop(stretch);
    stretch.tail = tail;
    this.#wake();
  }

  /** The frame with the record at `at`; undefined if it is not here: then it is in the log, or not there yet. */
  find(shard: ShardId, at: Offset): RecentFrame | undefined {
    const stretch = this.#shards.get(shard);
    if (stretch === undefined || at >= stretch.tail) return undefined;
    const { frames } = stretch;
    let [low, high] = [stretch.gone, frames.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const frame = frames[middle] as RecentFrame;
      if (frame.at + frame.count <= at) low = middle + 1;
      else high = middle;
    }
    const frame = frames[low];
    return frame !== undefined && frame.at <= at ? frame : undefined;
  }

  /** Decodes a frame of these, once for all who ask soon. */
  decode(frame: RecentFrame): Decoded {
    if (frame.decoded !== undefined) return frame.decoded;
    const { bytes, shard, at } = frame;
    const { previous } = checkFrame(bytes, shard, at, undefined);
    const { chain, records } = decodeFrame(bytes, shard, at, undefined);
    frame.decoded = { previous, chain, records };
    this.#decoded.push(frame);
    this.#decodedBytes += bytes.length;
    while (this.#decodedBytes > decodedBytesMax && this.#decoded.size > 1) {
      const oldest = this.#decoded.shift() as RecentFrame;
      this.#decodedBytes -= oldest.bytes.length;
      oldest.decoded = undefined;
    }
    return { previous, chain, records };
  }

  /** Calls back once, after something was added. @returns takes it back */
  onNext(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => void this.#waiting.delete(listener);
  }

  #copied(bytes: Uint8Array): Uint8Array {
    if (bytes.length > pieceBytes / 4) return Uint8Array.from(bytes);
    if (this.#pieceUsed + bytes.length > pieceBytes) {
      this.#piece = new Uint8Array(pieceBytes);
      this.#pieceUsed = 0;
    }
    this.#piece.set(bytes, this.#pieceUsed);
    this.#pieceUsed += bytes.length;
    return this.#piece.subarray(this.#pieceUsed - bytes.length, this.#pieceUsed);
  }

  #stretch(shard: ShardId): Stretch {
    let stretch = this.#shards.get(shard);
    if (stretch === undefined) {
      stretch = { frames: [], gone: 0, tail: 0 };
      this.#shards.set(shard, stretch);
    }
    return stretch;
  }

  #drop(stretch: Stretch): void {
    stretch.frames = [];
    stretch.gone = 0;
  }

  #dropOldest(): void {
    const frame = this.#order.shift() as RecentFrame;
    const stretch = this.#shards.get(frame.shard) as Stretch;
    this.#bytes -= costOf(frame);
    // it left with its shard's stretch before
    if (stretch.frames[stretch.gone] !== frame) return;
    stretch.frames[stretch.gone++] = undefined;
    if (stretch.gone < 64 || stretch.gone * 2 < stretch.frames.length) return;
    stretch.frames = stretch.frames.slice(stretch.gone);
    stretch.gone = 0;
  }

  /** Together, after the present turn: what is on the way of a command pays one callback for all who wait. */
  #wake(): void {
    if (this.#waking || this.#waiting.size === 0) return;
    this.#waking = true;
    this.#clock.defer(() => {
      this.#waking = false;
      const waiting = this.#waiting;
      this.#waiting = new Set();
      for (const listener of waiting) listener();
    });
  }
}

function costOf({ bytes }: RecentFrame): number {
  return bytes.length + frameCostBytes;
}
