/**
 * Restoring a backup: its snapshots into an empty store, its frames into an empty log that begins where they do.
 *
 * Invariant: the frames stand in the log as they stood in the service's own, under the same epochs and chains, so the next
 * owner recovers and claims as after a crash at the cut. Whoever calls sees to it that nobody uses what is not finished.
 */
import { assert, HoldfastError } from "../model/errors.ts";
import type { ShardId } from "../model/ids.ts";
import type { Append, ShardLog } from "../ports/log.ts";
import type { WriteKind } from "../ports/log-fence.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { Catalogue } from "../wire/backup.ts";
import { encodeHead, type Manifest } from "../wire/snapshot.ts";
import { BackupArea } from "./backup-area.ts";
import { type Begin, storedFrames } from "./backup-frames.ts";
import { type BackupPlace, type BackupReport, manifestOf, objectsOf, readBackup, walkOf } from "./backup-verify.ts";
import { ShardObjects, Transfers } from "./snapshot-objects.ts";

/** Bytes of one append: small enough for every log. */
const appendBytes = 1024 * 1024;

export interface RestoreTarget {
  /** A store without snapshots. */
  readonly snapshots: SnapshotStore;
  /** Makes a log whose shards begin there. It is closed at the end. */
  readonly makeLog: (shardCount: number, begin: readonly Begin[]) => Promise<ShardLog>;
  /** Takes what others put into the backup, before snapshots and log. Needed if there is any: it is never left out silently. */
  readonly takeExtra?: (name: string, bytes: Uint8Array) => Promise<void>;
}

/** @throws `snapshot-damaged`, `log-damaged`; `invalid-configuration` there is no such backup */
export async function restoreBackup(place: BackupPlace & { readonly to: RestoreTarget }): Promise<BackupReport> {
  const { name, from, clock, to, progress } = place;
  const area = new BackupArea({ store: from, name, clock });
  const catalogue = await area.read();
  for (const extra of catalogue.extras) {
    if (to.takeExtra === undefined) throw nobodyTakes(extra.name);
    await to.takeExtra(extra.name, await area.fetchExtra(extra));
  }
  progress?.expect(catalogue.frames.reduce((sum, { length }) => sum + length, 0));
  const manifests = await restoreSnapshots(catalogue, area, place);
  const begin = Array.from({ length: catalogue.shardCount }, (): Begin => ({ epoch: 0, tail: 1 }));
  for (const { shard, from: first } of catalogue.shards) begin[shard] = first;
  const log = await to.makeLog(catalogue.shardCount, begin);
  try {
    const writer = new FrameWriter(log, begin);
    const walk = walkOf(catalogue, manifests);
    for await (const frame of storedFrames(area, catalogue.frames, walk, { decode: false, progress })) {
      const { shard, epoch, at, count, bytes } = frame;
      await writer.add({ shard, epoch, at, count, frame: bytes });
    }
    await writer.flush();
    await checkTails(log, catalogue);
  } finally {
    await log.close();
  }
  return await readBackup(place);
}

export function nobodyTakes(extra: string): HoldfastError {
  const text = `The backup holds ${JSON.stringify(extra)} beside the service's own, and nobody takes it.`;
  const remedy = "Give `takeExtra`, or on the command line --extras <directory>.";
  return new HoldfastError("invalid-configuration", `${text} ${remedy}`, { details: { extra } });
}

async function restoreSnapshots(
  catalogue: Catalogue,
  area: BackupArea,
  { clock, to, progress }: BackupPlace & { readonly to: RestoreTarget },
): Promise<Map<ShardId, Manifest>> {
  const manifests = new Map<ShardId, Manifest>();
  for (const one of catalogue.shards) {
    const manifest = await manifestOf(one, area);
    const { shard, snapshot } = one;
    if (manifest === undefined || snapshot === undefined) continue;
    manifests.set(shard, manifest);
    const target = new ShardObjects({ store: to.snapshots, shard, clock });
    const transfers = new Transfers();
    for (const ref of [...objectsOf(manifest), snapshot]) {
      progress?.expect(ref.length);
      await transfers.start(async () => {
        await target.put(ref.name, await area.fetch(ref));
        progress?.advance(ref.length);
      });
    }
    await transfers.settle();
    const head = encodeHead({ shard, epoch: snapshot.epoch, generations: [snapshot] });
    const { ok } = await to.snapshots.replace(target.headName, head, undefined);
    if (!ok) {
      const text = `The store has snapshots of shard ${shard} already. Restore into one of its own.`;
      throw new HoldfastError("invalid-configuration", text);
    }
  }
  return manifests;
}

/** Appends frames in their order, many shards at a time: as few writes as that order allows. */
class FrameWriter {
  readonly #log: ShardLog;
  readonly #epochs: number[];
  #batch = new Map<ShardId, Append>();
  #kind: WriteKind = "append";
  #bytes = 0;

  constructor(log: ShardLog, begin: readonly Begin[]) {
    this.#log = log;
    this.#epochs = begin.map(({ epoch }) => epoch);
  }

  async add(append: Append): Promise<void> {
    const { shard, epoch, frame } = append;
    const kind: WriteKind = epoch > (this.#epochs[shard] ?? 0) ? "claim" : "append";
    const full = this.#bytes + frame.length > appendBytes;
    if (kind !== this.#kind || this.#batch.has(shard) || full) await this.flush();
    this.#kind = kind;
    this.#epochs[shard] = epoch;
    this.#batch.set(shard, append);
    this.#bytes += frame.length;
  }

  async flush(): Promise<void> {
    if (this.#batch.size === 0) return;
    const appends = [...this.#batch.values()];
    const results = this.#kind === "claim" ? await this.#log.claim(appends) : await this.#log.append(appends);
    for (const [index, result] of results.entries()) {
      if (result.ok) continue;
      if (result.reason === "full") throw new HoldfastError("disk-full", "There is no space for the restored log.");
      const { shard, at } = appends[index] as Append;
      assert(false, `a restored log takes the frame at ${at} of shard ${shard}, not "${result.reason}"`);
    }
    this.#batch = new Map();
    this.#bytes = 0;
  }
}

async function checkTails(log: ShardLog, { shards }: Catalogue): Promise<void> {
  const positions = await log.tail(shards.map(({ shard }) => shard));
  for (const [index, { shard, cut }] of shards.entries()) {
    const found = positions[index];
    assert(found?.tail === cut.tail && found.epoch === cut.epoch, `shard ${shard} is restored up to the cut`);
  }
}
