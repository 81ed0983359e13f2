/**
 * Owners tell their followers hashes of some states, in turns; a copy that has another state at that offset is made anew.
 *
 * Invariants: hashes are compared at equal offsets of one epoch, so that neither lag nor a change of owners looks like a divergence; a copy that
 * differed is not promoted before it was made anew. After each divergence of a shard its next checks wait longer: code that is not
 * deterministic must not have a copy made again and again.
 */
import type { ShardId } from "../../model/ids.ts";
import type { Clock } from "../../ports/clock.ts";
import type { PeerSaid } from "../../wire/peer.ts";
import type { ShardRoles } from "../shard-roles.ts";

const quietFirstMs = 10_000;
const quietMostMs = 600_000;

export interface StateChecksOptions {
  readonly clock: Clock;
  readonly roles: ShardRoles;
  /** Sends to all who follow the shard. */
  readonly tell: (shard: ShardId, said: PeerSaid) => void;
}

export class StateChecks {
  readonly #options: StateChecksOptions;
  /** Of each shard that is owned here, the slot to go on with. */
  readonly #from = new Map<ShardId, number>();
  /** Shards in which a copy differed. */
  readonly #quiet = new Map<ShardId, { readonly ms: number; readonly untilMs: number }>();
  #last = -1;
  /** Copies that differed. */
  diverged = 0;

  constructor(options: StateChecksOptions) {
    this.#options = options;
  }

  /** The next one of these, in ascending order, which are owned and followed: one shard each time, some of its states. */
  sweep(shards: readonly ShardId[]): void {
    const { roles, tell } = this.#options;
    const shard = shards.find((each) => each > this.#last) ?? shards[0];
    if (shard === undefined) return;
    this.#last = shard;
    const hashed = roles.hashSome(shard, this.#from.get(shard) ?? 0);
    if (hashed === undefined) return;
    const { epoch, at, states, next } = hashed;
    this.#from.set(shard, next);
    if (states.length > 0) tell(shard, { t: "hashed", shard, epoch, at, states });
  }

  /** @throws `state-damaged` the copy differs, and is not followed any more */
  heard({ shard, epoch, at, states }: Extract<PeerSaid, { t: "hashed" }>): void {
    const { clock, roles } = this.#options;
    if (clock.monotonic() < (this.#quiet.get(shard)?.untilMs ?? 0)) return;
    roles.expect(shard, { epoch, at, states });
  }

  /** What was expected of this shard was not so. */
  differed(shard: ShardId): void {
    this.diverged++;
    const ms = Math.min(2 * (this.#quiet.get(shard)?.ms ?? quietFirstMs / 2), quietMostMs);
    this.#quiet.set(shard, { ms, untilMs: this.#options.clock.monotonic() + ms });
  }
}
