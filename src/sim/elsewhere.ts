/**
 * What another node does with a shard that it has claimed: it serves a command, in worlds with feeds. Whoever reads the log learns
 * of it before the node that was the owner does.
 *
 * Invariant: it draws chance of its own.
 */
import { type ShardId, shardOf } from "../model/ids.ts";
import type { StepRecord } from "../model/records.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { parseUuidV7 } from "../std/uuid-bytes.ts";
import type { Swarm } from "./swarm.ts";

export class Elsewhere {
  readonly #swarm: Swarm;
  readonly #prng: Prng;

  constructor(swarm: Swarm) {
    this.#swarm = swarm;
    this.#prng = new Prng(swarm.seed ^ 0x656c7365);
  }

  /** A record of a command; undefined if it does nothing, or has nothing to do it with. */
  step(shard: ShardId, time: number): StepRecord | undefined {
    const { feeds, counters, shardCount } = this.#swarm;
    if (feeds.followers === 0 || this.#prng.chance(0.3)) return undefined;
    const keys = Array.from({ length: counters }, (_, index) => `c${index}`);
    const key = keys.find((one) => shardOf("counter", one, shardCount) === shard);
    if (key === undefined) return undefined;
    const requestId = makeUuidV7(time, this.#prng.bytes(16));
    const payload = { amount: 1, dice: this.#prng.integer(1_000_000), atMs: time };
    return {
      kind: "step",
      time,
      entity: { type: "counter", key },
      command: "add",
      cause: { kind: "request", requestId, idBytes: parseUuidV7(requestId) as Uint8Array },
      // the sum is not known here, and nobody waits for an answer
      outcome: { ok: false, code: "rejected", reason: "elsewhere", details: null },
      events: [{ name: "added", version: 1, payload }],
      sends: [],
      timers: [],
      calls: [],
    };
  }
}
