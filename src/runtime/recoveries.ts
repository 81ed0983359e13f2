/**
 * The recoveries of a node: of all shards at its start, of one when its incarnation has ended.
 *
 * Invariants: what cannot be mended by waiting refuses a start, and ends a node that serves; a log without space only makes a
 * shard wait that starts over, as it makes commands wait. After `close` has resolved no recovery uses the log, unless one
 * does not end.
 */
import { isHoldfastError } from "../model/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { ShardLog } from "../ports/log.ts";
import { drained } from "./drained.ts";
import { type RecoveryFacts, recoverShards } from "./recovery.ts";
import type { ShardHost } from "./shard-host.ts";

/** Between attempts of a shard that found no space for its claim. */
const fullRetryMs = 500;

export interface RecoveriesOptions extends Omit<RecoveryFacts, "progress"> {
  readonly log: ShardLog;
  readonly clock: Clock;
}

export class Recoveries {
  readonly progress = { recovered: 0, toRecover: 0 };
  readonly #options: RecoveriesOptions;
  readonly #waiting = new Set<ShardHost>();
  #startedMs = 0;
  #closed = false;
  /** Settles when none of those that have begun is under way. */
  #underway: Promise<unknown> = Promise.resolve();

  constructor(options: RecoveriesOptions) {
    this.#options = options;
  }

  /** Since the start's recovery began. */
  get elapsedMs(): number {
    return this.#options.clock.monotonic() - this.#startedMs;
  }

  /** @throws as `recoverShards` */
  all(hosts: readonly ShardHost[]): Promise<void> {
    this.#startedMs = this.#options.clock.monotonic();
    return this.#track(this.#recover(hosts));
  }

  /** False if this host waits for it already. */
  expect(host: ShardHost): boolean {
    if (this.#waiting.has(host)) return false;
    this.#waiting.add(host);
    return true;
  }

  /** @param landed what the incarnation before had in flight has been answered */
  async one(host: ShardHost, landed: Promise<void>): Promise<void> {
    await landed;
    this.#waiting.delete(host);
    if (!this.#closed) await this.#track(this.#untilSpace(host));
  }

  /** Begins no more, and waits for those under way, for so long at most. */
  async close(mostMs: number): Promise<void> {
    this.#closed = true;
    await drained(
      this.#options.clock,
      mostMs,
      this.#underway.then(() => {}),
    );
  }

  async #untilSpace(host: ShardHost): Promise<void> {
    while (!this.#closed) {
      try {
        return await this.#recover([host]);
      } catch (error) {
        if (!isHoldfastError(error) || error.code !== "disk-full") throw error;
      }
      await new Promise<void>((resolve) => this.#options.clock.after(fullRetryMs, resolve));
    }
  }

  #recover(hosts: readonly ShardHost[]): Promise<void> {
    const { log, now, node, origins } = this.#options;
    return recoverShards(log, hosts, { now, node, origins, progress: this.progress });
  }

  #track(work: Promise<void>): Promise<void> {
    this.#underway = Promise.allSettled([this.#underway, work]);
    return work;
  }
}
