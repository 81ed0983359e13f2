/**
 * Claims of many shards in few writes: one is under way, and what is claimed meanwhile goes together with the next.
 *
 * When a node dies another claims all that it owned in one moment; a commit for each would make the last shard wait for all others.
 * Invariant: each claim gets its own answer; a write that fails as a whole fails each of its claims.
 */
import type { Append, AppendResult, ShardLog } from "../ports/log.ts";

interface Asked {
  readonly append: Append;
  readonly told: (result: AppendResult | undefined) => void;
  readonly failed: (error: unknown) => void;
}

export class Claims {
  readonly #log: Pick<ShardLog, "claim">;
  readonly #later: (work: () => void) => void;
  #next: Asked[] = [];
  #busy = false;

  /** @param later after this turn */
  constructor(log: Pick<ShardLog, "claim">, later: (work: () => void) => void) {
    this.#log = log;
    this.#later = later;
  }

  /** @throws as `ShardLog.claim` */
  claim(append: Append): Promise<AppendResult | undefined> {
    return new Promise((told, failed) => {
      this.#next.push({ append, told, failed });
      if (this.#busy) return;
      this.#busy = true;
      this.#later(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#next.length > 0) {
      const asked = this.#next;
      this.#next = [];
      try {
        const results = await this.#log.claim(asked.map(({ append }) => append));
        for (const [index, { told }] of asked.entries()) told(results[index]);
      } catch (error) {
        for (const { failed } of asked) failed(error);
      }
    }
    this.#busy = false;
  }
}
