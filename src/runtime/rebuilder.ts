/**
 * Reads a shard's log again for entities whose state must be made anew, while the shard goes on serving.
 *
 * Invariant: one pass over the log serves everybody who asked before it began, and one pass of a shard runs at a time; so
 * many broken entities cost little more than one. Every order is answered, also if the log could not be read.
 */
import type { Built, RebuildOrder } from "../core/effects.ts";
import { Rebuild } from "../core/rebuild.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { formatRef, type ShardId } from "../model/ids.ts";
import type { LogReader } from "../ports/log.ts";
import { decodeFrame } from "../wire/frame.ts";

export interface RebuilderOptions {
  readonly log: LogReader;
  /** The log with what was trimmed of it: read for who needs its first records. */
  readonly past: () => LogReader;
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
      for await (const frames of log.read(new Map([[shard, Math.max(start, trimmed)]]))) {
        for (const frame of frames) {
          let at = frame.at;
          for (const record of decodeFrame(frame.bytes, shard, frame.at, undefined).records) {
            if (record.kind !== "claim")
              for (const rebuild of byEntity.get(formatRef(record.entity)) ?? []) rebuild.feed(at, record);
            at++;
          }
        }
      }
      return read;
    } catch (error) {
      fault(`reading shard ${shard} to rebuild ${wave.length} parked entities`, error);
      return new Set();
    }
  }
}
