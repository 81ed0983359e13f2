/**
 * The shards of a node and what is kept of them outside memory.
 *
 * Invariant: every host has a keep exactly if there is a state store; without one every entity stays in memory and a restart
 * replays the whole log.
 */
import type { OwnerOptions } from "../core/owner-state.ts";
import { HoldfastError } from "../model/errors.ts";
import type { EntityRef } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { ShardLog } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import { Checkpointer } from "./checkpointer.ts";
import { codesOf } from "./codes.ts";
import { Keep } from "./keep.ts";
import { type HostSurroundings, ShardHost } from "./shard-host.ts";
import { ShardImages } from "./shard-images.ts";
import { ShardSnapshots } from "./snapshots.ts";

export interface ShardsOptions {
  readonly count: number;
  readonly owner: Omit<OwnerOptions, "shard" | "cold">;
  readonly log: ShardLog;
  readonly state: StateStore | undefined;
  readonly snapshots: SnapshotStore | undefined;
  readonly clock: Clock;
  readonly report: (where: string, error: unknown) => void;
}

export interface Shards {
  readonly hosts: readonly ShardHost[];
  /** None without a state store. */
  readonly keeps: readonly Keep[];
  readonly checkpointer: Checkpointer | undefined;
}

/** @throws `invalid-configuration` snapshots are made of what a state store holds, so they need one */
export function makeShards(options: ShardsOptions, around: HostSurroundings): Shards {
  const { count, owner, log, state, snapshots: store, clock, report } = options;
  if (state === undefined && store !== undefined)
    throw new HoldfastError(
      "invalid-configuration",
      "Snapshots need a state store; give the node one, in memory if need be.",
    );
  const codes = codesOf(owner.definitions);
  const hosts: ShardHost[] = [];
  const keeps: Keep[] = [];
  for (let shard = 0; shard < count; shard++) {
    if (state === undefined) {
      hosts.push(new ShardHost({ ...owner, shard }, around));
      continue;
    }
    const images = new ShardImages(state, shard, codes);
    const host = new ShardHost({ ...owner, shard, cold: (ref: EntityRef) => images.read(ref) }, around);
    const snapshots = store && new ShardSnapshots({ store, shard, clock });
    hosts.push(host);
    keeps.push(new Keep({ host, images, snapshots, codes, clock, definitions: owner.definitions, report }));
  }
  if (state === undefined) return { hosts, keeps, checkpointer: undefined };
  return { hosts, keeps, checkpointer: new Checkpointer({ keeps, log, clock, limits: owner.limits, report }) };
}
