/**
 * Confirms that this node still owns a shard, so that what it answers to a query was the newest when it was asked.
 *
 * An owner that was fenced learns of it only from the log. A claim moves the shard's epoch there; an owner whose epoch stands in the log after a
 * query was answered was its only writer until then. One look at the log for all that wait. (Raft's "read index", without a quorum: the log is one.)
 *
 * An owner that appends nothing and is asked nothing is looked after as well: nobody else sends it a call any more, so it would never learn
 * that it was fenced, and while the picture names it nobody else would claim. Invariant: whoever is found to be past is told as fenced.
 */
import type { Epoch, Offset, ShardId } from "../../model/ids.ts";
import type { ShardLog } from "../../ports/log.ts";

interface Asked {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly told: (standing: Confirmed) => void;
}

/** Of an owner: it is the one, somebody else is, or nobody can tell just now. */
export type Confirmed = "holds" | "past" | "unknown";

/** What an owner here stands at. */
export interface Standing {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly durable: Offset;
}

/** Between two looks after owners that are idle. */
const idleMs = 1_000;

export class Confirmer {
  readonly #log: Pick<ShardLog, "tail">;
  #next: Asked[] = [];
  #busy = false;
  readonly #fenced: (shard: ShardId, epoch: Epoch) => void;
  /** At the last look after idle owners. */
  #lookedMs = 0;
  #durables = new Map<ShardId, Offset>();

  /** @param fenced the log has a later epoch of the shard than this one */
  constructor(log: Pick<ShardLog, "tail">, fenced: (shard: ShardId, epoch: Epoch) => void) {
    this.#log = log;
    this.#fenced = fenced;
  }

  /** Now and then, with all that is owned here: who has appended nothing since the last time is held against the log. */
  sweep(nowMs: number, owned: () => readonly Standing[]): void {
    if (nowMs - this.#lookedMs < idleMs) return;
    this.#lookedMs = nowMs;
    const durables = new Map<ShardId, Offset>();
    for (const { shard, epoch, durable } of owned()) {
      durables.set(shard, durable);
      if (this.#durables.get(shard) === durable) this.confirm(shard, epoch, () => {});
    }
    this.#durables = durables;
  }

  /** Tells whether the shard is of this epoch still, by a look that begins after this call. `unknown`: the log did not answer. */
  confirm(shard: ShardId, epoch: Epoch, told: (standing: Confirmed) => void): void {
    this.#next.push({ shard, epoch, told });
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#next.length > 0) {
      const asked = this.#next;
      this.#next = [];
      const shards = [...new Set(asked.map(({ shard }) => shard))];
      const positions = await this.#log.tail(shards).catch(() => undefined);
      for (const { shard, epoch, told } of asked) {
        const known = positions?.[shards.indexOf(shard)]?.epoch;
        if (known !== undefined && known > epoch) this.#fenced(shard, epoch);
        told(known === undefined ? "unknown" : known === epoch ? "holds" : "past");
      }
    }
    this.#busy = false;
  }
}
