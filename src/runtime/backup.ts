/**
 * Backup of a whole service: a follower that stops. It reads snapshots and log as they are, of a service that runs or does
 * not, and copies them into another store.
 *
 *   snapshots of all shards --> cut: the tails of all shards at one moment --> frames from the snapshots to the cut --> catalogue
 *
 * Why this is one cut through all shards: a group commit writes the frames of all shards as one step, in one order, and a
 * send leaves only when its record is durable. So below the tails of one moment there is no receipt of a send that its
 * sender has not made, and what is under way at the cut is made again by a restored service, as after a crash.
 *
 * Invariants:
 * 1. A catalogue that exists was verified by reading every object back from the copy.
 * 2. Snapshots are copied before the cut is taken, so none contains a record above it.
 * 3. The live service is read and never asked for anything. What it sweeps or trims meanwhile is copied again, newer.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogPosition, LogReader } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { BackupShard, Catalogue, ExtraRef } from "../wire/backup.ts";
import { encodeManifest, type Generation, type Manifest, type ObjectRef, sha256 } from "../wire/snapshot.ts";
import { decodeRequests } from "../wire/snapshot-requests.ts";
import { BackupArea, type BackupProgress, checkBackupName } from "./backup-area.ts";
import { copyFrames, type FramesWanted } from "./backup-frames.ts";
import { type BackupReport, checkBackup, digestsOf, objectsOf } from "./backup-verify.ts";
import { takeNewest } from "./snapshot-load.ts";
import { ShardObjects, Transfers } from "./snapshot-objects.ts";

export interface BackupSource {
  readonly shardCount: number;
  /** Undefined: the service keeps none, and its log has its first records. */
  readonly snapshots: SnapshotStore | undefined;
  /** The log as it is at the moment of the call, all shards at one moment. It is closed after each use. */
  readonly look: () => Promise<LogReader>;
}

/** An object that others put into a backup under a name of their own, and get back at a restore. */
export interface BackupExtra {
  /** As a backup's. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface BackupOptions {
  /** 1 to 64 of `a-z`, `0-9`, `-`, `.`; one that is not there yet. */
  readonly name: string;
  readonly from: BackupSource;
  readonly to: SnapshotStore;
  readonly clock: Clock;
  readonly extras?: readonly BackupExtra[];
  readonly progress?: BackupProgress | undefined;
}

/** How often snapshots are copied again because the service went on to others. Each time only what is new is copied. */
const triesMax = 8;

/**
 * Copies, verifies, publishes.
 * @throws `snapshot-damaged` a shard's log was trimmed and none of its snapshots verifies, or the copy is not what was written
 * @throws `log-damaged` the log fails its checks
 * @throws `unavailable` the service makes snapshots and trims faster than they are copied
 * @throws `invalid-configuration` there is a backup of that name
 */
export async function createBackup(options: BackupOptions): Promise<BackupReport> {
  const { name, from, to, clock, progress, extras: given = [] } = options;
  for (const extra of given) checkBackupName(extra.name);
  const area = new BackupArea({ store: to, name, clock });
  await area.checkFree();
  const copied = await new Copy(from, area, clock, progress).run();
  const extras: ExtraRef[] = [];
  for (const { name: extra, bytes } of given) extras.push({ name: extra, ref: await area.put(sha256(bytes), bytes) });
  const catalogue: Catalogue = { shardCount: from.shardCount, objects: 0, bytes: 0, extras, ...copied };
  const { manifests, ...report } = await checkBackup(catalogue, area, progress);
  await area.publish({ ...catalogue, objects: report.objects, bytes: report.bytes });
  await area.keepOnly(digestsOf(catalogue, manifests));
  return { ...report, name };
}

/** Where a shard's part of the backup begins. */
interface Origin {
  readonly listed: Generation;
  readonly manifest: Manifest;
  /** The first record that a remembered request id points at; `at` if there is none below. */
  readonly oldest: Offset;
}

class Copy {
  readonly #from: BackupSource;
  readonly #area: BackupArea;
  readonly #clock: Clock;
  readonly #progress: BackupProgress | undefined;
  readonly #shards: readonly ShardId[];
  /** Undefined: the shard has no snapshot that verifies. */
  readonly #origins = new Map<ShardId, Origin | undefined>();

  constructor(from: BackupSource, area: BackupArea, clock: Clock, progress: BackupProgress | undefined) {
    this.#from = from;
    this.#area = area;
    this.#clock = clock;
    this.#progress = progress;
    this.#shards = Array.from({ length: from.shardCount }, (_, shard) => shard);
  }

  async run(): Promise<Pick<Catalogue, "madeMs" | "shards" | "frames">> {
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      for (const shard of this.#shards) {
        if (!this.#origins.has(shard)) this.#origins.set(shard, await this.#copySnapshot(shard));
      }
      const done = await this.#copyFrames();
      if (done !== undefined) return done;
    }
    const text = `The service went on to newer snapshots ${triesMax} times before its log was copied. Copy to a faster store, or try again with less load.`;
    throw new HoldfastError("unavailable", text);
  }

  async #copySnapshot(shard: ShardId): Promise<Origin | undefined> {
    const store = this.#from.snapshots;
    if (store === undefined) return undefined;
    const source = new ShardObjects({ store, shard, clock: this.#clock });
    const { taken, problems } = await takeNewest(source, {}, async ({ listed, manifest }) => {
      const transfers = new Transfers();
      let oldest = manifest.at;
      const left = objectsOf(manifest).filter((ref) => !this.#area.has(ref));
      this.#progress?.expect(left.reduce((sum, { length }) => sum + length, 0));
      for (const ref of manifest.layers.flatMap((layer) => layer.parts)) {
        if (!this.#area.has(ref)) await transfers.start(async () => this.#put(ref, await source.fetch(ref)));
      }
      for (const ref of manifest.requests)
        await transfers.start(async () => {
          const bytes = await source.fetch(ref);
          oldest = Math.min(oldest, decodeRequests(ref, bytes).offsets[0] ?? oldest);
          await this.#put(ref, bytes);
        });
      await transfers.settle();
      await this.#area.put(listed.sha256, encodeManifest(manifest));
      return { listed, manifest, oldest };
    });
    const [problem] = problems;
    if (taken !== undefined || problem === undefined) return taken;
    const [position] = await this.#positions([shard]);
    if (position === undefined || position.trimmed > 1) throw problem.error;
    return undefined;
  }

  async #put(ref: ObjectRef, bytes: Uint8Array): Promise<void> {
    const known = this.#area.has(ref);
    await this.#area.put(ref.sha256, bytes);
    if (!known) this.#progress?.advance(bytes.length);
  }

  /** @returns undefined if the log was trimmed meanwhile: a new cut is to be taken, perhaps over newer snapshots */
  async #copyFrames(): Promise<Pick<Catalogue, "madeMs" | "shards" | "frames"> | undefined> {
    const log = await this.#from.look();
    const madeMs = this.#clock.now();
    let cut: readonly LogPosition[] | undefined;
    try {
      cut = await log.tail(this.#shards);
      if (this.#dropStale(cut)) return undefined;
      const wanted = this.#shards.flatMap((shard) =>
        this.#wanted(shard, (cut as readonly LogPosition[])[shard] as LogPosition),
      );
      const { begins, frames } = await copyFrames(log, wanted, this.#area, this.#progress);
      const shards = wanted.map(({ shard, cut: end }): BackupShard => {
        const snapshot = this.#origins.get(shard);
        const from = begins.get(shard) ?? { epoch: snapshot?.manifest.epoch ?? 0, tail: end.tail };
        return { shard, snapshot: snapshot?.listed, from, cut: end };
      });
      return { madeMs, shards, frames };
    } catch (error) {
      // A trim by the service that runs may look like anything to a reader beside it.
      if (cut !== undefined && (await this.#trimmedSince(cut))) return undefined;
      throw error;
    } finally {
      await log.close();
    }
  }

  async #trimmedSince(cut: readonly LogPosition[]): Promise<boolean> {
    const now = await this.#positions(this.#shards);
    this.#dropStale(now);
    return now.some(({ trimmed }, shard) => trimmed > (cut[shard] as LogPosition).trimmed);
  }

  async #positions(shards: readonly ShardId[]): Promise<readonly LogPosition[]> {
    const log = await this.#from.look();
    try {
      return await log.tail(shards);
    } finally {
      await log.close();
    }
  }

  /** Forgets origins that the log does not reach back to. @returns whether there were any */
  #dropStale(positions: readonly LogPosition[]): boolean {
    const stale = this.#shards.filter((shard) => {
      const at = this.#origins.get(shard)?.manifest.at ?? 1;
      return at < (positions[shard] as LogPosition).trimmed;
    });
    for (const shard of stale) this.#origins.delete(shard);
    return stale.length > 0;
  }

  #wanted(shard: ShardId, position: LogPosition): FramesWanted[] {
    const snapshot = this.#origins.get(shard);
    if (position.tail === 1) return [];
    const { epoch, tail, trimmed } = position;
    const at = snapshot?.manifest.at ?? 1;
    if (at > tail) throw ahead(shard, at, tail);
    const from = Math.max(trimmed, Math.min(at, snapshot?.oldest ?? at));
    const chain = snapshot === undefined ? 0 : snapshot.manifest.chain;
    return [{ shard, from, at, chain, cut: { epoch, tail } }];
  }
}

function ahead(shard: ShardId, at: Offset, tail: Offset): HoldfastError {
  const text = `The snapshots of shard ${shard} reach offset ${at} and its log only ${tail}: they are another service's, or the log lost records.`;
  return new HoldfastError("log-damaged", text, { details: { shard, at, tail } });
}
