/**
 * The frames of a backup: copied from a log up to a cut, and walked through again with every check.
 *
 * Invariant: of each shard the frames lead without a gap from where they begin to the cut, and at the snapshot's offset
 * they carry on its chain. A frame is never cut in two.
 */
import { createHash } from "node:crypto";
import { HoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { LogReader } from "../ports/log.ts";
import { type FramesRef, framesOf, type StoredFrame } from "../wire/backup.ts";
import { type Chain, checkFrame, decodeFrame } from "../wire/frame.ts";
import type { BackupArea, BackupProgress } from "./backup-area.ts";

/** Of one object of frames: few objects, and no more than this in memory. A larger frame stands alone. */
const objectBytes = 4 * 1024 * 1024;

/** Frames that are decoded between two turns of the event loop: one or two milliseconds. */
const turnBytes = 128 * 1024;

export interface FramesWanted {
  readonly shard: ShardId;
  /** The frame that holds this offset is the first. */
  readonly from: Offset;
  /** Where the snapshot ends, or 1, and the chain of the frame before it. */
  readonly at: Offset;
  readonly chain: Chain | undefined;
  /** Frames at or above its tail are none of these. */
  readonly cut: Begin;
}

/** Where a log begins: what the fence knows before the first frame. */
export interface Begin {
  readonly epoch: Epoch;
  readonly tail: Offset;
}

/** Copies what is wanted of a log. */
export async function copyFrames(
  log: LogReader,
  wanted: readonly FramesWanted[],
  area: BackupArea,
  progress?: BackupProgress,
): Promise<{ readonly begins: ReadonlyMap<ShardId, Begin>; readonly frames: readonly FramesRef[] }> {
  const walk = new FramesWalk(wanted);
  const begins = new Map<ShardId, Begin>();
  const frames: FramesRef[] = [];
  let held = new HeldFrames();
  const flush = async () => {
    if (held.records > 0) frames.push(await held.put(area));
    held = new HeldFrames();
  };
  const from = new Map(wanted.filter((one) => one.from < one.cut.tail).map((one) => [one.shard, one.from]));
  if (from.size > 0) {
    for await (const read of log.read(from)) {
      for (const frame of read) {
        if (!walk.needs(frame)) continue;
        if (!walk.begun(frame.shard)) begins.set(frame.shard, beginOf(frame));
        walk.take(frame);
        if (held.bytes + frame.bytes.length > objectBytes) await flush();
        held.add(frame);
        progress?.expect(frame.bytes.length);
        progress?.advance(frame.bytes.length);
      }
    }
  }
  await flush();
  walk.end();
  return { begins, frames };
}

/** Frames of one object, hashed as they come, so that no large piece of work holds up the service around it. */
class HeldFrames {
  bytes = 0;
  records = 0;
  readonly #frames: Uint8Array[] = [];
  readonly #hash = createHash("sha256");

  add({ bytes, count }: StoredFrame): void {
    this.#frames.push(Uint8Array.from(bytes)); // the log uses its bytes again
    this.#hash.update(bytes);
    this.bytes += bytes.length;
    this.records += count;
  }

  async put(area: BackupArea): Promise<FramesRef> {
    const ref = await area.put(this.#hash.digest("hex"), Buffer.concat(this.#frames));
    return { ...ref, records: this.records };
  }
}

function beginOf({ shard, at, epoch, bytes }: StoredFrame): Begin {
  // Only a claim raises the epoch, so in front of one it was a lower one.
  const [first] = decodeFrame(bytes, shard, at, undefined).records;
  return { epoch: first?.kind === "claim" ? epoch - 1 : epoch, tail: at };
}

interface Place {
  readonly wanted: FramesWanted;
  next: Offset;
  chain: Chain | undefined;
  epoch: Epoch;
  begun: boolean;
}

/** Follows the frames of many shards from where they begin to their cuts. */
export class FramesWalk {
  readonly #places = new Map<ShardId, Place>();

  constructor(all: readonly FramesWanted[]) {
    for (const wanted of all) {
      const place = { wanted, next: wanted.from, chain: undefined, epoch: wanted.cut.epoch, begun: false };
      this.#places.set(wanted.shard, place);
    }
  }

  /** Whether a frame that a log shows is one of those. */
  needs({ shard, at, count }: Pick<StoredFrame, "shard" | "at" | "count">): boolean {
    const place = this.#places.get(shard);
    return place !== undefined && at < place.wanted.cut.tail && at + count > place.next;
  }

  begun(shard: ShardId): boolean {
    return this.#places.get(shard)?.begun === true;
  }

  /** @throws `log-damaged` it does not follow the one before */
  take({ shard, epoch, at, count, bytes }: StoredFrame, decode = false): void {
    const place = this.#places.get(shard);
    if (place === undefined) throw misfit(shard, at, "is of a shard that is not in it");
    // The first one may begin below what was asked for.
    if (place.begun ? at !== place.next : at > place.next) throw misfit(shard, at, `should be at ${place.next}`);
    const known = at === 1 ? 0 : place.chain;
    const before = at === place.wanted.at ? (place.wanted.chain ?? known) : known;
    place.chain = decode ? decodeFrame(bytes, shard, at, before).chain : checkFrame(bytes, shard, at, before).chain;
    place.next = at + count;
    place.epoch = epoch;
    place.begun = true;
  }

  /** @throws `log-damaged` a shard does not reach its cut */
  end(): void {
    for (const [shard, { next, epoch, begun, chain, wanted }] of this.#places) {
      const { cut } = wanted;
      if (next !== cut.tail || epoch !== cut.epoch) throw misfit(shard, next, "is missing");
      // All frames may stand below the snapshot: then it ends where they do.
      if (begun && next === wanted.at && wanted.chain !== undefined && chain !== wanted.chain)
        throw misfit(shard, next, "would not follow the snapshot");
    }
  }
}

function misfit(shard: ShardId, at: Offset, problem: string): HoldfastError {
  const text = `Of the frames from a snapshot to the cut, the one at offset ${at} of shard ${shard} ${problem}.`;
  return new HoldfastError("log-damaged", text, { details: { shard, at } });
}

/** Every frame of a backup, checked. */
export async function* storedFrames(
  area: BackupArea,
  refs: readonly FramesRef[],
  walk: FramesWalk,
  options: { readonly decode: boolean; readonly progress?: BackupProgress | undefined },
): AsyncGenerator<StoredFrame> {
  let sinceTurn = 0;
  for (const ref of refs) {
    for (const frame of framesOf(ref.name, await area.fetch(ref))) {
      walk.take(frame, options.decode);
      yield frame;
      sinceTurn += frame.bytes.length;
      if (sinceTurn < turnBytes) continue;
      sinceTurn = 0;
      await area.turn();
    }
    options.progress?.advance(ref.length);
  }
  walk.end();
}
