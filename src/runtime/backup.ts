/**
 * Backup of a whole service: a follower that stops. It reads snapshots and log as they are, of a service that runs or does
 * not, and copies them into another store.
 *
 *   snapshots of all shards --> cut: the tails of all shards at one moment --> frames from the snapshots to the cut
 *     --> extras, such as keys --> catalogue
 *
 * Why this is one cut through all shards: a group commit writes the frames of all shards as one step, in one order, and a
 * send leaves only when its record is durable. So below the tails of one moment there is no receipt of a send that its
 * sender has not made, and what is under way at the cut is made again by a restored service, as after a crash.
 *
 * Invariants:
 * 1. A catalogue that exists was verified by reading every object back from the copy.
 * 2. Snapshots are copied before the cut is taken, so none contains a record above it.
 * 3. Extras are asked for after the cut. A key is durable before a record that rests on it, so keys that are read later than
 *    the cut are all that it needs.
 * 4. The live service is read and never asked for anything. What it sweeps or trims meanwhile is copied again, newer.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { LogPosition, LogReader } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { BackupShard, Catalogue, ExtraRef } from "../wire/backup.ts";
import { encodeManifest, type Generation, type Manifest, type ObjectRef } from "../wire/snapshot.ts";
import { decodeRequests } from "../wire/snapshot-requests.ts";
import { BackupArea, type BackupProgress, checkBackupName, lastPart } from "./backup-area.ts";
import { copyFrames, type FramesWanted } from "./backup-frames.ts";
import { type BackupReport, checkBackup, objectNamesOf, objectsOf } from "./backup-verify.ts";
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
  /** As a backup's, and no other extra's. `keys` is the one that holds a service's keys. */
  readonly name: string;
  /** What gives them is asked when the frames were copied; undefined: there is nothing, and it is left out. */
  readonly bytes: Uint8Array | (() => Promise<Uint8Array | undefined>);
}

export interface BackupOptions {
  /** 1 to 64 of `a-z`, `0-9`, `-`, `.`; one that is not there yet. */
  readonly name: string;
  readonly from: BackupSource;
  readonly to: SnapshotStore;
  readonly clock: Clock;
  readonly random: Random;
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
 * @throws `keys-damaged` it has sealed values and would have no keys
 * @throws `invalid-configuration` there is a backup of that name, or are two extras of one
 */
export async function createBackup(options: BackupOptions): Promise<BackupReport> {
  const { name, from, to, clock, random, progress, extras: given = [] } = options;
  checkExtras(given);
  const area = new BackupArea({ store: to, name, clock });
  await area.checkFree();
  const copied = await new Copy(from, area, clock, progress).run();
  const extras: ExtraRef[] = [];
  for (const { name: extra, bytes: source } of given) {
    const bytes = typeof source === "function" ? await source() : source;
    if (bytes !== undefined) extras.push({ name: extra, ref: await area.putExtra(bytes, random) });
  }
  const catalogue: Catalogue = { shardCount: from.shardCount, objects: 0, bytes: 0, extras, ...copied };
  const { manifests, ...report } = await checkBackup(catalogue, area, progress);
  await publish({ ...catalogue, objects: report.objects, bytes: report.bytes }, area);
  await area.keepOnly(objectNamesOf(catalogue, manifests));
  return { ...report, name };
}

function checkExtras(extras: readonly BackupExtra[]): void {
  const names = extras.map(({ name }) => name);
  for (const [index, name] of names.entries()) {
    checkBackupName(name);
    if (names.indexOf(name) === index) continue;
    const text = `Two extras of a backup are called ${JSON.stringify(name)}. Keys are put in without being asked for.`;
    throw new HoldfastError("invalid-configuration", text);
  }
}

/** Of two backups of one name the second leaves no keys in the first one's folder. */
async function publish(catalogue: Catalogue, area: BackupArea): Promise<void> {
  try {
    await area.publish(catalogue);
  } catch (error) {
    if (!isHoldfastError(error) || error.code !== "invalid-configuration") throw error;
    const theirs = new Set((await area.read()).extras.map(({ ref }) => lastPart(ref.name)));
    await area.deleteObjects(catalogue.extras.map(({ ref }) => lastPart(ref.name)).filter((last) => !theirs.has(last)));
    throw error;
  }
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
