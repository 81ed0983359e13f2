/**
 * Verification of a backup: every object is read again and compared with what was written, every frame is decoded, and its
 * chain followed from the snapshot to the cut. A backup without keys is searched for values that need them.
 */
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { BackupShard, Catalogue } from "../wire/backup.ts";
import { damaged, decodeManifest, type Manifest, type ObjectRef, type PartRef } from "../wire/snapshot.ts";
import { BackupArea, type BackupProgress, lastPart } from "./backup-area.ts";
import { FramesWalk, storedFrames } from "./backup-frames.ts";
import { keysExtra, refuseSealedFrame, refuseSealedPart } from "./backup-sealed.ts";
import { Transfers } from "./snapshot-objects.ts";

export interface BackupReport {
  readonly name: string;
  /** When the cut was made. */
  readonly madeMs: number;
  readonly shardCount: number;
  readonly objects: number;
  readonly bytes: number;
  /** In frames; what is in snapshots alone is not counted. */
  readonly records: number;
  /** Names of what others put in. */
  readonly extras: readonly string[];
  /** Those with records. The snapshot, if there is one, ends at `at`; everything below `tail` is in the backup. */
  readonly shards: readonly {
    readonly shard: ShardId;
    readonly at: Offset | undefined;
    readonly epoch: Epoch;
    readonly tail: Offset;
  }[];
}

/** What is asked for of a backup that is there. */
export interface BackupPlace {
  readonly name: string;
  readonly from: SnapshotStore;
  readonly clock: Clock;
  readonly progress?: BackupProgress | undefined;
}

/** @throws `snapshot-damaged`, `log-damaged`; `invalid-configuration` there is no such backup */
export async function verifyBackup({ name, from, clock, progress }: BackupPlace): Promise<BackupReport> {
  const area = new BackupArea({ store: from, name, clock });
  const { manifests: _manifests, ...report } = await checkBackup(await area.read(), area, progress);
  return { ...report, name };
}

/** What the catalogue says; nothing else is read. */
export async function readBackup({ name, from, clock }: BackupPlace): Promise<BackupReport> {
  const catalogue = await new BackupArea({ store: from, name, clock }).read();
  return { ...reportOf(catalogue), name };
}

interface Checked extends Omit<BackupReport, "name"> {
  readonly manifests: readonly Manifest[];
}

export async function checkBackup(catalogue: Catalogue, area: BackupArea, progress?: BackupProgress): Promise<Checked> {
  const manifests = new Map<ShardId, Manifest>();
  for (const one of catalogue.shards) {
    const manifest = await manifestOf(one, area);
    if (manifest !== undefined) manifests.set(one.shard, manifest);
  }
  const hasKeys = catalogue.extras.some(({ name }) => name === keysExtra);
  const parts = new Set<ObjectRef>([...manifests.values()].flatMap(partsOf));
  const refs = [...manifests.values()].flatMap(objectsOf);
  const extras = catalogue.extras.map(({ ref }) => ref);
  const total = [...refs, ...extras, ...catalogue.frames];
  progress?.expect(total.reduce((sum, { length }) => sum + length, 0));
  const transfers = new Transfers();
  for (const ref of refs) {
    await transfers.start(async () => {
      const bytes = await area.fetch(ref);
      if (!hasKeys && parts.has(ref)) await refuseSealedPart(ref as PartRef, bytes, () => area.turn());
      progress?.advance(ref.length);
    });
  }
  for (const extra of catalogue.extras) {
    await transfers.start(async () => {
      await area.fetchExtra(extra);
      progress?.advance(extra.ref.length);
    });
  }
  await transfers.settle();
  const walk = walkOf(catalogue, manifests);
  for await (const frame of storedFrames(area, catalogue.frames, walk, { decode: true, progress })) {
    if (!hasKeys) refuseSealedFrame(frame);
  }
  const kept = [...manifests.values()];
  const needed = [...total, ...snapshotsOf(catalogue)];
  const bytes = needed.reduce((sum, { length }) => sum + length, 0);
  return { ...reportOf({ ...catalogue, objects: needed.length, bytes }), manifests: kept };
}

/** The manifest of a shard's snapshot. @throws `snapshot-damaged` */
export async function manifestOf({ shard, snapshot }: BackupShard, area: BackupArea): Promise<Manifest | undefined> {
  if (snapshot === undefined) return undefined;
  const manifest = decodeManifest(await area.fetch(snapshot), snapshot.name, shard);
  if (manifest.at !== snapshot.at || manifest.generation !== snapshot.generation)
    throw damaged(snapshot.name, "is another generation's");
  return manifest;
}

export function objectsOf(manifest: Manifest): readonly ObjectRef[] {
  return [...partsOf(manifest), ...manifest.requests];
}

function partsOf({ layers }: Manifest): readonly PartRef[] {
  return layers.flatMap((layer) => layer.parts);
}

export function walkOf({ shards }: Catalogue, manifests: ReadonlyMap<ShardId, Manifest>): FramesWalk {
  const wanted = shards.map(({ shard, from, cut }) => {
    const manifest = manifests.get(shard);
    const chain = manifest === undefined ? 0 : manifest.chain;
    return { shard, from: from.tail, at: manifest?.at ?? 1, chain, cut };
  });
  return new FramesWalk(wanted);
}

/** What all objects that a backup needs are called in its folder. */
export function objectNamesOf(catalogue: Catalogue, manifests: readonly Manifest[]): Set<string> {
  const own = [...snapshotsOf(catalogue), ...manifests.flatMap(objectsOf), ...catalogue.frames];
  return new Set([...own.map(({ sha256 }) => sha256), ...catalogue.extras.map(({ ref }) => lastPart(ref.name))]);
}

function snapshotsOf({ shards }: Catalogue): readonly ObjectRef[] {
  return shards.flatMap(({ snapshot }) => (snapshot === undefined ? [] : [snapshot]));
}

function reportOf(catalogue: Catalogue): Omit<BackupReport, "name"> {
  const { shardCount, madeMs, objects, bytes, shards, frames, extras } = catalogue;
  return {
    madeMs,
    shardCount,
    objects,
    bytes,
    records: frames.reduce((sum, { records }) => sum + records, 0),
    extras: extras.map(({ name }) => name),
    shards: shards.map(({ shard, snapshot, cut }) => ({ shard, at: snapshot?.at, epoch: cut.epoch, tail: cut.tail })),
  };
}
