/**
 * Confirms that this node still owns a shard, so that what it answers to a query was the newest when it was asked.
 *
 * An owner that was fenced learns of it only from the log. A claim moves the shard's epoch there; an owner whose epoch stands in the log after a
 * query was answered was its only writer until then. One look at the log for all that wait. (Raft's "read index", without a quorum: the log is one.)
 */
import type { Epoch, ShardId } from "../../model/ids.ts";
import type { ShardLog } from "../../ports/log.ts";

interface Asked {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly told: (holds: boolean) => void;
}

export class Confirmer {
  readonly #log: Pick<ShardLog, "tail">;
  #next: Asked[] = [];
  #busy = false;

  constructor(log: Pick<ShardLog, "tail">) {
    this.#log = log;
  }

  /** Tells whether the shard is of this epoch still, by a look that begins after this call. False also if the log does not answer. */
  confirm(shard: ShardId, epoch: Epoch, told: (holds: boolean) => void): void {
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
      for (const { shard, epoch, told } of asked) told(positions?.[shards.indexOf(shard)]?.epoch === epoch);
    }
    this.#busy = false;
  }
}
