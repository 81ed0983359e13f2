/**
 * A restore drill: proves that a service can be started from a backup, in a temporary directory, and leaves nothing behind.
 *
 *   restore --> replay with the given code: state hashes at the cut --> a node recovers and claims --> its states compared
 *   live log, where it is at hand: replayed up to the same cut --> state hashes compared
 *
 * Invariants: the live service is read at most. The node of a drill makes no outside call: every handler is replaced by one that
 * waits for its end. It has no door, so nobody can mistake it for the service.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { type CutPosition, upTo } from "../history/cut.ts";
import { hashState, type StateHashes } from "../history/hash.ts";
import type { Definitions } from "../history/source.ts";
import { type Divergence, verifyHistory } from "../history/verify.ts";
import type { CallAttempt, EntityDefinition } from "../model/entity.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { BackupProgress } from "../runtime/backup-area.ts";
import { keysExtra } from "../runtime/backup-sealed.ts";
import { type BackupReport, readBackup, verifyBackup } from "../runtime/backup-verify.ts";
import { startNode } from "../runtime/node.ts";
import { ShardSnapshots } from "../runtime/snapshots.ts";
import { decodeImage } from "../wire/image.ts";
import { restoreDirectory } from "./backup.ts";
import { openKept, openSnapshotsToRead } from "./kept.ts";
import { openKeys } from "./keys.ts";
import { openPast } from "./snapshot-source.ts";

export interface DrillRequest {
  readonly name: string;
  readonly from: SnapshotStore;
  /** The code to recover with. */
  readonly definitions: Definitions;
  /** The data directory of the service the backup is of, if it is at hand. */
  readonly live?: string | undefined;
  /** Where the temporary directory is made; it takes as much space as the service. Default: the system's. */
  readonly scratch?: string | undefined;
  readonly progress?: BackupProgress;
}

/** A state that is not what it should be. */
export interface DrillDifference {
  readonly entity: string;
  readonly where: "node" | "live";
  readonly detail: string;
}

export interface DrillReport {
  readonly backup: BackupReport;
  readonly entities: number;
  /** Records that were replayed behind the snapshots. */
  readonly records: number;
  readonly verifyMs: number;
  readonly restoreMs: number;
  /** From the start of a node on the restored directory until it serves. */
  readonly serveMs: number;
  /** States of the recovered node that were compared with those of the replay. */
  readonly comparedNode: number;
  /** States that were compared with the live log's at the cut; undefined if it was not at hand, and why. */
  readonly comparedLive: number | undefined;
  readonly notCompared: string | undefined;
  /** What of the backup the code cannot replay. */
  readonly divergences: readonly Divergence[];
  readonly differences: readonly DrillDifference[];
}

/** For what is being written when the node is stopped; its calls would wait for ever. */
const drainMs = 1_000;
/** Differences that are told; more of them say nothing more. */
const differencesKept = 1_000;

/** @throws what verifying, restoring and recovering throw; then the drill has failed */
export async function drill(request: DrillRequest): Promise<DrillReport> {
  const { name, from, definitions, progress } = request;
  const optional = progress === undefined ? {} : { progress };
  const clock = systemClock;
  const scratch = mkdtempSync(join(request.scratch ?? tmpdir(), "holdfast-drill-"));
  const directory = join(scratch, "restored");
  try {
    // The live log first: with each snapshot that the service makes it reaches back less far.
    const live = await replayLive(request, await readBackup({ name, from, clock }));
    const began = clock.monotonic();
    const backup = await verifyBackup({ name, from, clock, ...optional });
    const verified = clock.monotonic();
    // What others put in was verified; a node without a door has no use for it. Keys go into the directory.
    await restoreDirectory({ name, from, directory, takeExtra: async () => {}, ...optional });
    const restored = clock.monotonic();
    const replayed = await verifyHistory(await openPast(directory), definitions);
    const differences: DrillDifference[] = [];
    const note = (difference: DrillDifference) => {
      if (differences.length < differencesKept) differences.push(difference);
    };
    const node = await recoverNode(directory, backup, definitions);
    const comparedNode = await compareNode(directory, replayed.hashes, note);
    const comparedLive = compareLive(live, replayed.hashes, note);
    return {
      backup,
      entities: replayed.entities,
      records: replayed.records,
      verifyMs: verified - began,
      restoreMs: restored - verified,
      serveMs: node.serveMs,
      comparedNode,
      comparedLive,
      notCompared: live.why,
      divergences: replayed.divergences,
      differences,
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Starts a node, waits until it serves, and stops it: its states are then in its snapshots. */
async function recoverNode(directory: string, { shardCount, extras }: BackupReport, definitions: Definitions) {
  const began = systemClock.monotonic();
  const log = await openSegmentLog({ directory, shardCount });
  const kept = await openKept(directory).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  const entities = [...definitions.values()].map(withoutOutside);
  // A backup without keys was verified to hold nothing that is sealed.
  const newKeys = !extras.includes(keysExtra);
  const keys = await openKeys({ directory, entities, log, shardCount, newKeys });
  const options = { log, ...kept, clock: systemClock, random: systemRandom, shardCount, limits: { drainMs } };
  const node = await startNode({ ...options, entities, ...(keys === undefined ? {} : { keys }) });
  const serveMs = systemClock.monotonic() - began;
  await node.stop();
  return { serveMs };
}

/** The same entity, whose calls reach nobody: an attempt goes on until it is aborted. */
function withoutOutside(definition: EntityDefinition): EntityDefinition {
  const calls = new Map([...definition.calls.keys()].map((name) => [name, waitForTheEnd]));
  return { ...definition, calls };
}

function waitForTheEnd(_input: unknown, { signal }: CallAttempt): Promise<null> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null)));
}

/** Compares what the node kept, of entities that it did not change since, with the replay. */
async function compareNode(
  directory: string,
  { tails, entities, shardCount }: StateHashes,
  note: (difference: DrillDifference) => void,
): Promise<number> {
  const store = openSnapshotsToRead(directory);
  let compared = 0;
  for (let shard = 0; store !== undefined && shard < shardCount; shard++) {
    const { snapshot } = await new ShardSnapshots({ store, shard, clock: systemClock }).load();
    for await (const { name, bytes } of snapshot?.images() ?? []) {
      const image = decodeImage(bytes);
      const expected = entities[name];
      if (image === undefined || expected === undefined || image.touched >= (tails[shard] ?? 1)) continue;
      compared++;
      const hash = hashState(image.state);
      if (hash !== expected.hash) note({ entity: name, where: "node", detail: `${hash}, replayed ${expected.hash}` });
    }
  }
  return compared;
}

interface Live {
  readonly hashes: StateHashes | undefined;
  /** Why there are none. */
  readonly why: string | undefined;
  /** It ends before the cut. */
  readonly shorter: boolean;
}

/** The states of the live log at the cut. */
async function replayLive({ live, definitions }: DrillRequest, backup: BackupReport): Promise<Live> {
  const without = (why: string, shorter = false): Live => ({ hashes: undefined, why, shorter });
  if (live === undefined) return without("no live log was named");
  const cut: CutPosition[] = Array.from({ length: backup.shardCount }, () => ({ epoch: 0, tail: 1 }));
  for (const { shard, epoch, tail } of backup.shards) cut[shard] = { epoch, tail };
  try {
    const source = await openPast(live);
    if (source.shardCount !== backup.shardCount) return without("the live log has other shards");
    const { hashes } = await verifyHistory(upTo(source, cut), definitions);
    return { hashes, why: undefined, shorter: false };
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return without(error.message, error.code === "invalid-input");
  }
}

/** @returns how many states were compared; undefined if the live ones are not known */
function compareLive(
  { hashes, why, shorter }: Live,
  expected: StateHashes,
  note: (difference: DrillDifference) => void,
): number | undefined {
  // A live log that ends before the cut has lost records, or is another service's: no reason to be content.
  if (shorter) note({ entity: "all", where: "live", detail: why ?? "" });
  if (hashes === undefined) return undefined;
  const names = new Set([...Object.keys(expected.entities), ...Object.keys(hashes.entities)]);
  for (const entity of names) {
    const [one, other] = [expected.entities[entity], hashes.entities[entity]];
    if (one?.hash === other?.hash && one?.version === other?.version) continue;
    const detail = `${other?.hash ?? "not there"}, in the backup ${one?.hash ?? "not there"}`;
    note({ entity, where: "live", detail });
  }
  return names.size;
}
