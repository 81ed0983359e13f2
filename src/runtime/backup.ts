/**
 * Backup: the newest snapshots of all shards of a service, copied to another snapshot store, verified there, and put back.
 *
 *   backups/<name>/catalogue                what the backup is made of, sealed; written last
 *   shards/<n>/manifests, shards/<n>/objects  under the names they had
 *
 * Invariants: a catalogue that exists was verified by reading every object back from the copy. A backup is one cut through all
 * shards: it is refused unless each snapshot reaches its log's tail and no tail moved meanwhile. (Snapshots of different
 * moments would not fit together: a receiver would know a send that its sender has not made yet, and refuse the next one as
 * a repetition.) So the service saves all shards while it takes no commands. A restore writes into a store without snapshots only, so that it overwrites nobody.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { damaged, encodeHead, encodeManifest, type Generation, Row, seal, sha256, unseal } from "../wire/snapshot.ts";
import { fetchManifest } from "./snapshot-head.ts";
import { type LoadedSnapshot, loadSnapshot } from "./snapshot-load.ts";
import { ShardObjects, Transfers } from "./snapshot-objects.ts";

export interface BackupOptions {
  /** Of `a-z`, `0-9`, `-`, `.`; one that is not there yet. */
  readonly name: string;
  readonly from: SnapshotStore;
  readonly to: SnapshotStore;
  readonly shardCount: number;
  /** Tails of the log's shards, as they are now. A shard that is left out has no records. */
  readonly tails: () => Promise<ReadonlyMap<ShardId, Offset>>;
  readonly clock: Clock;
}

export interface BackupReport {
  readonly objects: number;
  readonly bytes: number;
  /** Shards that have a snapshot; the others had no records. */
  readonly shards: readonly { readonly shard: ShardId; readonly at: Offset }[];
}

interface Catalogue {
  readonly shardCount: number;
  readonly madeMs: number;
  readonly shards: readonly { readonly shard: ShardId; readonly listed: Generation }[];
}

function catalogueName(name: string): string {
  return `backups/${name}/catalogue`;
}

/**
 * Copies and verifies.
 * @throws `snapshot-damaged` a shard has snapshots and none of them verifies, or the copy is not what was written
 * @throws `unavailable` a shard has records above its newest snapshot, or got some meanwhile: save all shards at rest, try again
 * @throws `invalid-configuration` there is a backup of that name
 */
export async function backUp({ name, from, to, shardCount, tails, clock }: BackupOptions): Promise<BackupReport> {
  const before = await tails();
  const shards: { shard: ShardId; listed: Generation }[] = [];
  for (let shard = 0; shard < shardCount; shard++) {
    const source = new ShardObjects({ store: from, shard, clock });
    const { snapshot, problems } = await loadSnapshot(source);
    if (snapshot === undefined && problems[0] !== undefined) throw problems[0].error;
    checkReaches(shard, snapshot?.image.at ?? 1, before);
    if (snapshot === undefined) continue;
    const target = new ShardObjects({ store: to, shard, clock });
    shards.push({ shard, listed: await copyShard(snapshot, source, target) });
  }
  const after = await tails();
  for (let shard = 0; shard < shardCount; shard++) checkReaches(shard, before.get(shard) ?? 1, after);
  const catalogue = { shardCount, madeMs: clock.now(), shards };
  const report = await checkCatalogue(catalogue, to, clock);
  const written = await to.replace(catalogueName(name), encodeCatalogue(catalogue), undefined);
  if (!written.ok) {
    const remedy = "Choose another name.";
    throw new HoldfastError("invalid-configuration", `There is a backup ${JSON.stringify(name)} already. ${remedy}`);
  }
  return report;
}

function checkReaches(shard: ShardId, at: Offset, tails: ReadonlyMap<ShardId, Offset>): void {
  const tail = tails.get(shard) ?? 1;
  if (tail === at) return;
  const what = `Shard ${shard} has records from offset ${at} to ${tail} that its newest snapshot does not contain.`;
  const remedy =
    "A backup is one cut through all shards: save all of them while no commands are taken, then begin again.";
  throw new HoldfastError("unavailable", `${what} ${remedy}`, { details: { shard, at, tail } });
}

/** Copies all objects of a generation. @returns it, as a head lists it */
async function copyShard(snapshot: LoadedSnapshot, source: ShardObjects, target: ShardObjects): Promise<Generation> {
  const { manifest } = snapshot;
  const transfers = new Transfers();
  for (const ref of [...manifest.layers.flatMap((layer) => layer.parts), ...manifest.requests]) {
    await transfers.start(async () => target.put(ref.name, await source.fetch(ref)));
  }
  await transfers.settle();
  const bytes = encodeManifest(manifest);
  const { epoch, generation, at } = manifest;
  const digest = sha256(bytes);
  const name = target.nameOf("manifests", { epoch, generation }, digest);
  await target.put(name, bytes);
  return { epoch, generation, at, name, length: bytes.length, sha256: digest };
}

/** Reads every object of a backup and compares it with what was written. @throws `snapshot-damaged` */
export async function verifyBackup(
  options: Omit<BackupOptions, "from" | "shardCount" | "tails">,
): Promise<BackupReport> {
  return await checkCatalogue(await readCatalogue(options.name, options.to), options.to, options.clock);
}

async function checkCatalogue(catalogue: Catalogue, store: SnapshotStore, clock: Clock): Promise<BackupReport> {
  let [objects, bytes] = [0, 0];
  for (const { shard, listed } of catalogue.shards) {
    const target = new ShardObjects({ store, shard, clock });
    const manifest = await fetchManifest(target, listed);
    const refs = [...manifest.layers.flatMap((layer) => layer.parts), ...manifest.requests];
    const transfers = new Transfers();
    for (const ref of refs)
      await transfers.start(async () => {
        await target.fetch(ref);
      });
    await transfers.settle();
    objects += 1 + refs.length;
    bytes += refs.reduce((sum, ref) => sum + ref.length, listed.length);
  }
  return { objects, bytes, shards: catalogue.shards.map(({ shard, listed }) => ({ shard, at: listed.at })) };
}

export interface RestoreOptions {
  readonly name: string;
  /** Where the backup is. */
  readonly from: SnapshotStore;
  /** A store without snapshots. */
  readonly to: SnapshotStore;
  readonly shardCount: number;
  readonly clock: Clock;
}

/**
 * Puts a backup's snapshots into a store from which a service can recover. Heads are written last, so that a shard is there
 * whole or not at all; a restore that was ended is begun again on an empty store.
 * @throws `snapshot-damaged`, `invalid-configuration` (no such backup, another number of shards, or the store has snapshots)
 */
export async function restoreBackup({ name, from, to, shardCount, clock }: RestoreOptions): Promise<BackupReport> {
  const catalogue = await readCatalogue(name, from);
  if (catalogue.shardCount !== shardCount) {
    const given = `The backup has ${catalogue.shardCount} shards and this service ${shardCount}.`;
    throw new HoldfastError("invalid-configuration", `${given} Restore it into a service with as many.`);
  }
  for await (const there of to.list("shards/")) {
    const remedy = "Restore into a store of its own.";
    throw new HoldfastError("invalid-configuration", `The store has snapshots already (${there}). ${remedy}`);
  }
  const restored: Catalogue["shards"][number][] = [];
  for (const { shard, listed } of catalogue.shards) {
    const source = new ShardObjects({ store: from, shard, clock });
    const target = new ShardObjects({ store: to, shard, clock });
    const manifest = await fetchManifest(source, listed);
    for (const ref of [...manifest.layers.flatMap((layer) => layer.parts), ...manifest.requests])
      await target.put(ref.name, await source.fetch(ref));
    await target.put(listed.name, await source.fetch(listed));
    restored.push({ shard, listed });
  }
  const report = await checkCatalogue({ ...catalogue, shards: restored }, to, clock);
  for (const { shard, listed } of restored) {
    const { headName } = new ShardObjects({ store: to, shard, clock });
    const head = encodeHead({ shard, epoch: listed.epoch, generations: [listed] });
    const result = await to.replace(headName, head, undefined);
    if (!result.ok)
      throw new HoldfastError("invalid-configuration", `Somebody else writes to the store (${headName}).`);
  }
  return report;
}

function encodeCatalogue({ shardCount, madeMs, shards }: Catalogue): Uint8Array {
  const rows = shards.map(({ shard, listed }) => {
    const { generation, epoch, at, name, length } = listed;
    return [shard, generation, epoch, at, name, length, listed.sha256];
  });
  return seal("catalogue", [shardCount, madeMs, rows]);
}

async function readCatalogue(backup: string, store: SnapshotStore): Promise<Catalogue> {
  const name = catalogueName(backup);
  const found = await store.get(name);
  if (found === undefined) {
    throw new HoldfastError("invalid-configuration", `There is no backup ${JSON.stringify(backup)} in this store.`);
  }
  const reader = new Row(name, unseal("catalogue", name, found.bytes));
  const catalogue = {
    shardCount: reader.number(),
    madeMs: reader.number(),
    shards: reader.rows((row) => ({
      shard: row.number(),
      listed: { generation: row.number(), epoch: row.number(), at: row.number(), ...row.ref() },
    })),
  };
  if (catalogue.shards.some(({ shard }) => shard >= catalogue.shardCount)) throw damaged(name, "has a shard too many");
  return catalogue;
}
