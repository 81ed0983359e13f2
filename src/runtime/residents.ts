/**
 * How many entities are in memory, how large they are, and whether that is too much.
 *
 * Three bounds, of which the tightest counts: entities, bytes of their images, and the share of the process's heap that is
 * used by anything at all. Invariant: it is counted once per look and slice of work, never per command.
 */
import type { Limits } from "../model/limits.ts";
import type { HeapGauge } from "../ports/heap.ts";
import type { ShardHost } from "./shard-host.ts";

/** So many times more than there may be, and the work of making room does not rest any more. */
const pressedFactor = 1.1;
/** So many times more, and commands are refused: the store is slower than the entities come. */
const crowdedFactor = 1.5;
/** Of the heap: from here on entities leave, whatever their limits say; and from here on commands are refused. */
const heapShare = { pressed: 0.85, crowded: 0.95 } as const;
/** What a heap that is too full counts as: a third of the entities leaves at each look. */
const heapFactor = 1.5;

export class Residents {
  readonly #hosts: readonly ShardHost[];
  readonly #limits: Limits;
  readonly #heap: HeapGauge | undefined;
  /** Entities in memory, and the bytes of their images, when they were counted last. */
  count = 0;
  bytes = 0;
  /** How many have left by then, since the present incarnations began. */
  evictions = 0;
  /** How many times as much as there may be that is. */
  #fullness = 0;
  #heapCrowded = false;
  /**
   * Share of the fullness that may not leave: entities whose timers, sends or watchers wait. Refusing commands would not make
   * them go, so it does not count.
   */
  #staying = 0;

  constructor(hosts: readonly ShardHost[], limits: Limits, heap: HeapGauge | undefined) {
    this.#hosts = hosts;
    this.#limits = limits;
    this.#heap = heap;
  }

  /** Counts. */
  look(): void {
    this.count = this.bytes = this.evictions = 0;
    for (const { owner } of this.#hosts) {
      this.count += owner.slots.size;
      this.bytes += owner.slots.bytes;
      this.evictions += owner.slots.evictions;
    }
    const { residentEntitiesMax, residentBytesMax } = this.#limits;
    const heapUsed = this.#heap?.usedShare() ?? 0;
    this.#heapCrowded = heapUsed > heapShare.crowded;
    const byHeap = heapUsed > heapShare.pressed ? heapFactor : 0;
    this.#fullness = Math.max(this.count / residentEntitiesMax, this.bytes / residentBytesMax, byHeap);
  }

  /** Entities that should leave, if they are of usual size. */
  get excess(): number {
    return this.#fullness <= 1 ? 0 : Math.ceil(this.count * (1 - 1 / this.#fullness));
  }

  /** No more can leave, as it is now; but those that only wait for their image will. */
  noteStaying(): void {
    const unstored = this.#hosts.reduce((sum, { owner }) => sum + owner.dirty.size, 0);
    this.#staying = this.#fullness * Math.max(0, 1 - unstored / Math.max(1, this.count));
  }

  noteRoom(): void {
    this.#staying = 0;
  }

  /** The entities are within their limits; it is the heap that is too full. */
  get isHeapAlone(): boolean {
    const { residentEntitiesMax, residentBytesMax } = this.#limits;
    return this.count <= residentEntitiesMax && this.bytes <= residentBytesMax;
  }

  get pressed(): boolean {
    return this.#fullness - this.#staying > pressedFactor;
  }

  get crowded(): boolean {
    return this.#heapCrowded || this.#fullness - this.#staying > crowdedFactor;
  }
}
