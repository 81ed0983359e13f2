/**
 * What a node tells of itself: `health` for whoever decides whether it gets work, `figures` for people and their alarms.
 *
 * Invariant: telling costs what there are shards (and calls), never what there are entities, and holds no key and no
 * payload. What counts since the start is never smaller than before, also when a shard starts over.
 */
import { allWhole } from "../core/image.ts";
import type { OwnerPhase } from "../core/owner-state.ts";
import type { LogPosition, ShardLog } from "../ports/log.ts";
import { etaMs } from "../std/progress.ts";
import type { Keep } from "./keep.ts";
import type { Figures, Health, Phase } from "./service.ts";
import type { ShardHost } from "./shard-host.ts";
import type { Tally } from "./tally.ts";

/** Where it is looked. */
export interface Sources {
  readonly hosts: readonly ShardHost[];
  /** None without a state store. */
  readonly keeps: readonly Keep[];
  readonly tally: Tally;
  readonly phase: Phase;
  readonly readOnly: boolean;
  readonly progress: { readonly recovered: number; readonly toRecover: number };
  readonly recoveringMs: number;
  readonly nowMs: number;
  readonly callsRunning: number;
}

export function healthOf(sources: Sources): Health {
  const { hosts, keeps, tally, phase, readOnly, progress, recoveringMs } = sources;
  let [stored, unarchived] = [0, 0];
  for (const { images, trimBelow, trimmedAt } of keeps) {
    stored += images.count;
    unarchived += Math.max(0, trimBelow - trimmedAt);
  }
  const { overBudget } = tally;
  const health = { phase, ...progress, readOnly, stored, unarchived, overBudget, ...countEntities(hosts) };
  if (phase !== "recovering") return health;
  const leftMs = etaMs(progress.recovered, progress.toRecover, recoveringMs);
  return leftMs === undefined ? health : { ...health, etaMs: leftMs };
}

/** @param log not asked if it is undefined: a log that is closed answers nothing */
export async function figuresOf(sources: Sources, log: ShardLog | undefined): Promise<Figures> {
  const { hosts, tally, callsRunning } = sources;
  const shards = { recovering: 0, claiming: 0, serving: 0, draining: 0, released: 0 } satisfies Record<
    OwnerPhase,
    number
  >;
  for (const { owner } of hosts) shards[owner.phase]++;
  // A log that does not answer is told of by other figures; these are then left out.
  const positions = await log?.tail(hosts.map(({ shard }) => shard)).catch(() => undefined);
  return {
    ...healthOf(sources),
    commands: tally.commands,
    queries: tally.queries,
    replies: Object.fromEntries(tally.replies),
    commits: { count: tally.commits, records: tally.committedRecords, bytes: tally.committedBytes },
    shards,
    evictions: sum(hosts, ({ owner, past }) => owner.slots.evictions + past.evictions),
    ...countCalls(hosts),
    callsRunning,
    ...checkpoints(sources),
    snapshots: {
      objects: tally.snapshotObjects,
      writtenBytes: tally.snapshotWrittenBytes,
      readBytes: tally.snapshotReadBytes,
    },
    ...(positions === undefined ? {} : { log: logFigures(positions) }),
  };
}

function countEntities(
  hosts: readonly ShardHost[],
): Pick<Health, "hot" | "hotBytes" | "lookups" | "activations" | "quarantined"> {
  const activations = sum(hosts, ({ owner, past }) => owner.slots.activations + past.activations);
  return {
    hot: sum(hosts, ({ owner }) => owner.slots.size),
    hotBytes: sum(hosts, ({ owner }) => owner.slots.bytes),
    lookups: activations + sum(hosts, ({ owner, past }) => owner.slots.hits + past.hits),
    activations,
    quarantined: sum(hosts, ({ owner }) => owner.parked.size),
  };
}

function countCalls(hosts: readonly ShardHost[]): Pick<Figures, "calls" | "callsParked"> {
  let calls = 0;
  let callsParked = 0;
  for (const { owner } of hosts)
    for (const slot of owner.calling)
      for (const call of slot.calls.values()) {
        calls++;
        if (call.parked) callsParked++;
      }
  return { calls, callsParked };
}

/** The worst shard counts: it is what a recovery waits for and what holds the log back. */
function checkpoints({ keeps, nowMs }: Sources): Pick<Figures, "checkpoint" | "snapshot"> {
  const checkpoint = { lagRecords: 0, ageMs: 0, withheld: 0 };
  const snapshot = { lagRecords: 0, ageMs: 0 };
  for (const keep of keeps) {
    const { durable, phase } = keep.host.owner;
    if (phase === "recovering" || phase === "released") continue;
    if (!allWhole(keep.host.owner)) checkpoint.withheld++;
    note(checkpoint, durable - keep.checkpointAt, nowMs - keep.stampedMs);
    if (keep.hasSnapshots) note(snapshot, durable - Math.max(1, keep.snapshotAt), nowMs - keep.snapshotMs);
  }
  return { checkpoint, snapshot };
}

function note(worst: { lagRecords: number; ageMs: number }, lagRecords: number, ageMs: number): void {
  // A shard that has not changed since is as good as one that was written just now.
  if (lagRecords <= 0) return;
  worst.lagRecords = Math.max(worst.lagRecords, lagRecords);
  worst.ageMs = Math.max(worst.ageMs, Math.round(ageMs));
}

function logFigures(positions: readonly LogPosition[]): NonNullable<Figures["log"]> {
  let [records, trimmed] = [0, 0];
  for (const position of positions) {
    records += position.tail - position.trimmed;
    trimmed += position.trimmed - 1;
  }
  return { records, trimmed };
}

function sum(hosts: readonly ShardHost[], of: (host: ShardHost) => number): number {
  let total = 0;
  for (const host of hosts) total += of(host);
  return total;
}
