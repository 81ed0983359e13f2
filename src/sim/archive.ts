/**
 * Holds the archive to what the witness saw: nothing is trimmed from the log before the archive has it, and archive and log
 * together tell every record that was ever durable, in order.
 *
 * Invariant: it reads the stored objects by itself while the node runs; what it draws comes from a seed of its own.
 */

import type { MemoryObjects } from "../adapters/memory/snapshot-store.ts";
import { openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { Retention } from "../model/retention.ts";
import type { Clock } from "../ports/clock.ts";
import type { ShardLog } from "../ports/log.ts";
import { ArchivedLog } from "../runtime/archive-reader.ts";
import { Prng } from "../std/prng.ts";
import { type ArchivedRange, archivePrefix, rangeOf, readArchive } from "../wire/archive.ts";
import { beginOf } from "../wire/archived-ranges.ts";
import { decodeFrame } from "../wire/frame.ts";
import type { SeenFrame, Witness } from "./witness.ts";
import type { World } from "./world.ts";

function archivePrng(seed: number): Prng {
  return new Prng(seed ^ 0x61726368);
}

/** Archives of every length, and replays through them. */
export function archiveLimits(seed: number): Partial<Limits> {
  const prng = archivePrng(seed);
  const limits = { archiveRecordsMin: prng.pick([1, 1, 8, 64]), archiveReplayRecordsMax: prng.pick([1, 250_000]) };
  // Remembered request ids hold trims back: forgotten soon, there are many.
  if (!prng.chance(0.5)) return limits;
  return { ...limits, dedupWindowMs: 2_000, requestIdFutureMs: 1_000, checkpointMs: prng.pick([100, 200, 500]) };
}

export function drawRetention(seed: number): Required<Retention> {
  const prng = archivePrng(seed ^ 1);
  return { archive: prng.pick(["all", "all", "all", "none", { keepMs: 3_000 }] as const) };
}

interface Watched {
  readonly log: ShardLog;
  readonly clock: Clock;
  readonly witness: Witness;
}

export class ArchiveWitness {
  readonly #world: World;
  readonly #objects: MemoryObjects;
  readonly #retention: Required<Retention>;
  #watched: Watched | undefined;
  /** Of each shard, below where its log was asked to be trimmed. */
  readonly #trimmed = new Map<ShardId, Offset>();

  constructor(world: World, objects: MemoryObjects) {
    this.#world = world;
    this.#objects = objects;
    this.#retention = drawRetention(world.swarm.seed);
  }

  /** A log whose trims are looked at first. */
  watch(log: ShardLog, witness: Witness, clock: Clock): ShardLog {
    this.#watched = { log, witness, clock };
    return {
      tail: (shards) => log.tail(shards),
      claim: (claims) => log.claim(claims),
      append: (appends) => log.append(appends),
      read: (from) => log.read(from),
      trim: (shard, before) => {
        this.#checkTrim(witness, shard, before);
        this.#trimmed.set(shard, Math.max(before, this.#trimmed.get(shard) ?? 1));
        return log.trim(shard, before);
      },
      close: () => log.close(),
    };
  }

  /** Below this nothing of the shard need be kept any more. */
  begins(shard: ShardId): Offset {
    const ranges = [...this.#objects.objects.keys()].map(rangeOf).filter((range) => range?.shard === shard);
    return beginOf(ranges as ArchivedRange[], this.#trimmed.get(shard) ?? 1);
  }

  #checkTrim(witness: Witness, shard: ShardId, before: Offset): void {
    this.#world.note(`trim of shard ${shard} below ${before}`);
    if (this.#retention.archive === "none") return;
    const archived = this.#archived(shard);
    let gone = true;
    for (const frame of witness.shards[shard]?.frames.values() ?? []) {
      if (frame.at + frame.count > before) return;
      const there = archived.get(frame.at);
      if (there === undefined && gone && this.#mayBeGone(witness, shard, frame)) continue;
      gone = false;
      if (there === undefined || Buffer.compare(there, frame.bytes) !== 0) {
        const what = there === undefined ? "is not in" : "is another one in";
        this.#world.violated(
          "what is trimmed is archived",
          `the frame at ${frame.at} of shard ${shard} ${what} the archive`,
        );
      }
    }
  }

  /** Of the frames at the beginning: recorded so long ago that they need not be kept. */
  #mayBeGone(witness: Witness, shard: ShardId, { at, bytes }: SeenFrame): boolean {
    const { archive } = this.#retention;
    if (typeof archive === "string") return false;
    const { swarm } = this.#world;
    // The node's time goes on between records, and leans towards a wall clock that jumps.
    const wallMs = (this.#watched?.clock.now() ?? 0) + swarm.jumpMs + 1_000;
    const timeMs = Math.max(witness.shards[shard]?.timeMs ?? 0, wallMs);
    return decodeFrame(bytes, shard, at, undefined).records.every(({ time }) => time < timeMs - archive.keepMs);
  }

  #archived(shard: ShardId): Map<Offset, Uint8Array> {
    const frames = new Map<Offset, Uint8Array>();
    for (const [name, { bytes }] of this.#objects.objects) {
      const range = name.startsWith(archivePrefix(shard)) ? rangeOf(name) : undefined;
      if (range !== undefined)
        for (const frame of [...readArchive(range, bytes)].flat()) frames.set(frame.at, frame.bytes);
    }
    return frames;
  }

  /** At rest: archive and log give every frame that was ever durable, from where they begin. */
  async readAll(): Promise<void> {
    for (let tries = 1; this.#watched !== undefined; tries++) {
      try {
        return await this.#readAll(this.#watched);
      } catch (error) {
        // Without an archive for ever, what was there a moment ago may be gone.
        if (this.#retention.archive === "all" || tries === 10) throw error;
      }
    }
  }

  async #readAll({ log, witness, clock }: Watched): Promise<void> {
    const past = new ArchivedLog(log, { store: openMemorySnapshots({ objects: this.#objects }), clock });
    const shards = witness.shards.map((_, shard) => shard);
    // subscribers may record a cursor meanwhile
    const ends = witness.shards.map((truth) => truth.next);
    const positions = await past.tail(shards);
    const next = new Map(shards.map((shard) => [shard, positions[shard]?.trimmed ?? 1]));
    for (const [shard, at] of next)
      if (at > 1 && this.#retention.archive === "all")
        this.#world.violated("what is trimmed is archived", `shard ${shard} can be read from ${at} on only`);
    for await (const frames of past.read(new Map(next))) {
      for (const { shard, at, count, bytes } of frames) {
        const seen = witness.shards[shard]?.frames.get(at);
        const fits = at === next.get(shard) && seen !== undefined && Buffer.compare(seen.bytes, bytes) === 0;
        if (!fits)
          this.#world.violated("the past can be read", `shard ${shard}: a frame at ${at}, not ${next.get(shard)}`);
        next.set(shard, at + count);
      }
    }
    for (const [shard, at] of next)
      if (at < (ends[shard] ?? 1)) this.#world.violated("the past can be read", `shard ${shard} ends at ${at}`);
  }
}
