/**
 * What a feed of deltas gave last of each entity, to compare the next value with.
 *
 * Invariant: at most `bytesMax` of values are held, those given last; of an entity that is not among them the next item is an
 * absolute, which is always right.
 */
import { patchBetween } from "../core/changefeed/delta-line.ts";
import type { AbsoluteItem, DeltaItem } from "../model/feeds.ts";
import { type EntityRef, formatRef, type Offset } from "../model/ids.ts";
import { copyPlain, type Plain } from "../std/plain.ts";

interface Held {
  readonly version: Offset;
  readonly value: Plain;
  readonly bytes: number;
}

const measure = { depthMax: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };

export class HeldValues {
  readonly #bytesMax: number;
  /** Longest held first. */
  readonly #held = new Map<string, Held>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The item that leads to this absolute; undefined if its version was given before. */
  lead(absolute: AbsoluteItem): AbsoluteItem | DeltaItem | undefined {
    const name = formatRef(absolute.entity);
    const before = this.#held.get(name);
    if (before !== undefined && before.version >= absolute.offset) return undefined;
    const { bytes } = copyPlain(absolute.value, measure);
    this.#hold(name, before, { version: absolute.offset, value: absolute.value, bytes });
    if (before === undefined) return absolute;
    const patch = patchBetween(before.value, absolute.value);
    if (patch === undefined) return absolute;
    const { shard, offset, entity } = absolute;
    return { kind: "delta", shard, offset, entity, from: before.version, patch };
  }

  forget(entity: EntityRef): void {
    const name = formatRef(entity);
    this.#bytes -= this.#held.get(name)?.bytes ?? 0;
    this.#held.delete(name);
  }

  #hold(name: string, before: Held | undefined, held: Held): void {
    this.#held.delete(name);
    this.#bytes -= before?.bytes ?? 0;
    if (held.bytes > this.#bytesMax) return;
    this.#held.set(name, held);
    this.#bytes += held.bytes;
    for (const [oldest, { bytes }] of this.#held) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#held.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}
