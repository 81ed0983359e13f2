/**
 * How far the logs of shards are that this node has nothing to do with, for feeds, projections and subscribers that read all shards here.
 *
 * Invariant: the log is asked only while somebody waits for news, by one question at a time.
 */
import type { ShardId } from "../../model/ids.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ShardLog } from "../../ports/log.ts";
import type { RecentFrames } from "../recent-frames.ts";
import type { ShardRoles } from "../shard-roles.ts";

/** Between looks: what such a feed is late at most, beside the read itself. A look is one statement, whatever the shards. */
const lookMs = 250;

export interface FarTailsOptions {
  readonly clock: Clock;
  readonly log: Pick<ShardLog, "tail">;
  readonly recent: RecentFrames;
  readonly roles: ShardRoles;
  readonly shardCount: number;
  readonly fault: (where: string, error: unknown) => void;
}

export class FarTails {
  readonly #options: FarTailsOptions;
  #cancel: () => void = () => {};
  #closed = false;

  constructor(options: FarTailsOptions) {
    this.#options = options;
    this.#soon();
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  #soon(): void {
    if (!this.#closed) this.#cancel = this.#options.clock.after(lookMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { log, recent, fault } = this.#options;
    const shards = recent.isWaitedFor ? this.#far() : [];
    try {
      if (shards.length > 0)
        for (const [index, { tail }] of (await log.tail(shards)).entries())
          recent.begin(shards[index] as ShardId, tail);
    } catch (error) {
      if (!this.#closed) fault("the tails of shards that are elsewhere", error);
    }
    this.#soon();
  }

  /** Of others frames come by themselves. */
  #far(): ShardId[] {
    const { roles, shardCount } = this.#options;
    const all = Array.from({ length: shardCount }, (_, shard) => shard);
    return all.filter((shard) => !roles.owns(shard) && !roles.follows(shard));
  }
}
