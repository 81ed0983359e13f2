/**
 * The shards of a node and what is kept of them outside memory.
 *
 * Invariant: every host has a keep exactly if there is a state store; without one every entity stays in memory and a restart
 * replays the whole log.
 */
import { backoff } from "../core/alarms.ts";
import type { OwnerOptions } from "../core/owner-state.ts";
import { HoldfastError } from "../model/errors.ts";
import type { EntityRef, Offset, ShardId } from "../model/ids.ts";
import { checkRetention, type Retention } from "../model/retention.ts";
import type { Clock } from "../ports/clock.ts";
import type { HeapGauge } from "../ports/heap.ts";
import type { LogPosition, LogReader, ShardLog } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import { ShardArchive } from "./archive.ts";
import { ArchivedLog, ShardArchiveReader } from "./archive-reader.ts";
import { Checkpointer } from "./checkpointer.ts";
import { codesOf } from "./codes.ts";
import { Keep } from "./keep.ts";
import { Residents } from "./residents.ts";
import { type HostSurroundings, ShardHost } from "./shard-host.ts";
import { ShardImages } from "./shard-images.ts";
import { ShardSnapshots } from "./snapshots.ts";

const patienceMostMs = 5_000;

export interface ShardsOptions {
  readonly count: number;
  readonly owner: Omit<OwnerOptions, "shard" | "cold">;
  readonly log: ShardLog;
  readonly state: StateStore | undefined;
  readonly snapshots: SnapshotStore | undefined;
  /** Where trimmed ranges go, if not to the snapshots. */
  readonly archive: SnapshotStore | undefined;
  readonly retention: Retention | undefined;
  /** From where on subscribers have not read. */
  readonly held: ((shard: ShardId) => Offset | undefined) | undefined;
  readonly clock: Clock;
  readonly heap: HeapGauge | undefined;
  readonly report: (where: string, error: unknown) => void;
}

export interface Shards {
  readonly hosts: readonly ShardHost[];
  /** None without a state store. */
  readonly keeps: readonly Keep[];
  readonly checkpointer: Checkpointer | undefined;
  /** The log with what was trimmed of it; what does not answer is told, not waited for. */
  readonly past: LogReader;
}

/** @throws `invalid-configuration` snapshots are made of what a state store holds, so they need one */
export function makeShards(options: ShardsOptions, around: HostSurroundings): Shards {
  const { count, owner, log, state, snapshots: store, clock, report } = options;
  if (state === undefined && store !== undefined)
    throw new HoldfastError(
      "invalid-configuration",
      "Snapshots need a state store; give the node one, in memory if need be.",
    );
  const retention = checkRetention(options.retention ?? {});
  if (state === undefined) {
    const hosts = Array.from({ length: count }, (_, shard) => new ShardHost({ ...owner, shard }, around));
    return { hosts, keeps: [], checkpointer: undefined, past: log };
  }
  const place = options.archive ?? store;
  const patient = place && new ArchivedLog(log, { store: place, clock, patience: patienceOf(options) });
  const past = place === undefined ? log : new ArchivedLog(log, { store: place, clock });
  const { definitions, limits } = owner;
  const lent = { bytes: limits.snapshotHeldBytesMax };
  const common = { lent, codes: codesOf(definitions), clock, definitions, report };
  const hosts: ShardHost[] = [];
  const keeps: Keep[] = [];
  for (let shard = 0; shard < count; shard++) {
    const images = new ShardImages(state, shard, common.codes);
    const host = new ShardHost({ ...owner, shard, cold: (ref: EntityRef) => images.read(ref) }, around);
    hosts.push(host);
    keeps.push(
      new Keep({
        ...common,
        host,
        images,
        snapshots: store && new ShardSnapshots({ store, shard, clock }),
        archive: place && makeArchive(options, place, shard, retention),
        archived: patient?.shard(shard),
        position: async () => (await log.tail([shard]))[0] as LogPosition,
        replayRecordsMax: limits.archiveReplayRecordsMax,
      }),
    );
  }
  const residents = new Residents(hosts, limits, options.heap);
  const checkpointer = new Checkpointer({ keeps, log, past: patient, clock, limits, residents, report });
  return { hosts, keeps, checkpointer, past };
}

function makeArchive(
  { log, clock, owner, report, held }: ShardsOptions,
  store: SnapshotStore,
  shard: ShardId,
  retention: Required<Retention>,
): ShardArchive {
  const { archiveRecordsMin, archiveWaitMs } = owner.limits;
  // Without patience: a trim that cannot be archived is tried again with the next checkpoint.
  const reader = new ShardArchiveReader(shard, { store, clock });
  return new ShardArchive({
    reader,
    store,
    log,
    clock,
    retention,
    held: () => held?.(shard),
    recordsMin: archiveRecordsMin,
    waitMs: archiveWaitMs,
    report,
  });
}

/** A recovery that needs the archive waits for it. */
function patienceOf({ clock, report }: ShardsOptions) {
  return (tries: number, error: HoldfastError) => {
    report("the archive, which a recovery needs", error);
    return new Promise<void>((resolve) => clock.after(Math.min(backoff(tries), patienceMostMs), resolve));
  };
}
