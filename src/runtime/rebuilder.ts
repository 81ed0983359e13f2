/**
 * Reads a shard's log again for entities whose state must be made anew, while the shard goes on serving.
 *
 * Invariants:
 * 1. One pass over the log serves everybody who asked before it began, and one pass of a shard runs at a time; so many
 *    broken entities cost little more than one. Every order is answered, also if the log could not be read.
 * 2. It works for a moment, then lets commands go on for longer than that: the neighbours of what is broken must not notice.
 */
import type { Built, RebuildOrder } from "../core/effects.ts";
import { Rebuild } from "../core/rebuild.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { formatRef, type ShardId } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogFrame, LogReader } from "../ports/log.ts";
import { decodeFrame, frameMayHold } from "../wire/frame.ts";

/** It rests when it has worked for this long, */
const sliceMs = 0.5;
/** for so many times as long. */
const restFactor = 4;
/** At most this. */
const restMostMs = 10;

export interface RebuilderOptions {
  readonly log: LogReader;
  /** The log with what was trimmed of it: read for who needs its first records. */
  readonly past: () => LogReader;
  readonly clock: Clock;
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly built: (shard: ShardId, order: RebuildOrder, built: Built | undefined) => void;
  readonly supervise: (work: Promise<void>) => void;
  readonly fault: (where: string, error: unknown) => void;
}

export class Rebuilder {
  readonly #options: RebuilderOptions;
  readonly #waiting = new Map<ShardId, Rebuild[]>();
  readonly #running = new Set<ShardId>();

  constructor(options: RebuilderOptions) {
    this.#options = options;
  }

  add(shard: ShardId, order: RebuildOrder): void {
    const definition = this.#options.definitions.get(order.entity.type);
    if (definition === undefined) return;
    const waiting = this.#waiting.get(shard) ?? [];
    this.#waiting.set(shard, [...waiting, new Rebuild(order, definition)]);
    if (this.#running.has(shard)) return;
    this.#running.add(shard);
    this.#options.supervise(this.#run(shard));
  }

  async #run(shard: ShardId): Promise<void> {
    // what else the present step asks for goes along
    await Promise.resolve();
    for (let wave = this.#take(shard); wave.length > 0; wave = this.#take(shard)) {
      const read = await this.#pass(shard, wave);
      const again: Rebuild[] = [];
      for (const rebuild of wave) {
        const built = read.has(rebuild) ? rebuild.end() : undefined;
        if (built === "again") again.push(rebuild);
        else this.#options.built(shard, rebuild.order, built);
      }
      if (again.length > 0) this.#waiting.set(shard, [...again, ...(this.#waiting.get(shard) ?? [])]);
    }
    this.#running.delete(shard);
  }

  #take(shard: ShardId): readonly Rebuild[] {
    const wave = this.#waiting.get(shard) ?? [];
    this.#waiting.delete(shard);
    return wave;
  }

  /** @returns those whose records could be read: not trimmed, nor damaged, which is found by whoever recovers */
  async #pass(shard: ShardId, wave: readonly Rebuild[]): Promise<ReadonlySet<Rebuild>> {
    const { fault } = this.#options;
    const log = wave.some(({ needsWholeLog }) => needsWholeLog) ? this.#options.past() : this.#options.log;
    try {
      const [position] = await log.tail([shard]);
      const trimmed = position?.trimmed ?? 1;
      const read = new Set(wave.filter((rebuild) => trimmed <= 1 || !rebuild.needsWholeLog));
      if (read.size === 0) return read;
      const byEntity = new Map<string, Rebuild[]>();
      let start = Number.POSITIVE_INFINITY;
      for (const rebuild of read) {
        start = Math.min(start, rebuild.start);
        const name = formatRef(rebuild.order.entity);
        byEntity.set(name, [...(byEntity.get(name) ?? []), rebuild]);
      }
      // What was trimmed is contained in the images; an entity that has none began later.
      const frames = log.read(new Map([[shard, Math.max(start, trimmed)]]));
      await this.#feed(frames, shard, byEntity);
      return read;
    } catch (error) {
      fault(`reading shard ${shard} to rebuild ${wave.length} parked entities`, error);
      return new Set();
    }
  }

  async #feed(
    read: AsyncIterable<readonly LogFrame[]>,
    shard: ShardId,
    byEntity: ReadonlyMap<string, readonly Rebuild[]>,
  ): Promise<void> {
    const { clock } = this.#options;
    const keys = new Set([...byEntity.values()].flatMap(([rebuild]) => rebuild?.order.entity.key ?? []));
    let startedMs = clock.monotonic();
    for await (const frames of read) {
      for (const frame of frames) {
        if (frameMayHold(frame.bytes, shard, frame.at, keys)) feedFrame(frame, byEntity);
        const busyMs = clock.monotonic() - startedMs;
        if (busyMs < sliceMs) continue;
        // What it waited for the disk counts too: that errs on the side of rest, up to a limit.
        await new Promise<void>((resolve) => clock.after(Math.min(busyMs * restFactor, restMostMs), resolve));
        startedMs = clock.monotonic();
      }
    }
  }
}

function feedFrame({ bytes, shard, at: first }: LogFrame, byEntity: ReadonlyMap<string, readonly Rebuild[]>): void {
  let at = first;
  for (const record of decodeFrame(bytes, shard, first, undefined).records) {
    if (record.kind !== "claim")
      for (const rebuild of byEntity.get(formatRef(record.entity)) ?? []) rebuild.feed(at, record);
    at++;
  }
}
