/**
 * The past of a log whose beginning was trimmed: replays start from the snapshots that stand for it.
 *
 * Invariant: a log that still has its first record is replayed from there, so that what is shown is what this code makes of
 * the events; a snapshot is what earlier code made of them.
 */
import { openSegmentLogToRead } from "../adapters/segments/reader.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { type HistorySource, logSource, type Moment, type Start } from "../history/source.ts";
import { HoldfastError } from "../model/errors.ts";
import type { ShardId } from "../model/ids.ts";
import type { EntityImage, StoredImage } from "../model/images.ts";
import type { Clock } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { LoadedSnapshot } from "../runtime/snapshot-load.ts";
import { ShardSnapshots } from "../runtime/snapshots.ts";
import { decodeImage } from "../wire/image.ts";
import { openSnapshotsToRead } from "./kept.ts";

/** The past of a data directory as `embedded` makes it: the log, and the snapshots beside it if there are any. */
export async function openPast(directory: string): Promise<HistorySource & { readonly bytes: number }> {
  const log = await openSegmentLogToRead({ directory });
  const source = { ...logSource(log, log.shardCount), bytes: log.bytes };
  const store = openSnapshotsToRead(directory);
  if (store === undefined) return source;
  return { ...withSnapshots(source, store, systemClock), bytes: log.bytes };
}

export function withSnapshots(source: HistorySource, store: SnapshotStore, clock: Clock): HistorySource {
  return {
    ...source,
    async start(shard, until) {
      const [position] = await source.positions([shard]);
      if (position === undefined || position.trimmed === 1) return undefined;
      const snapshot = await findBefore(new ShardSnapshots({ store, shard, clock }), until);
      return snapshot === undefined ? undefined : startOf(snapshot, shard);
    },
  };
}

/** The newest snapshot that contains nothing after the moment. */
async function findBefore(snapshots: ShardSnapshots, until: Moment | undefined): Promise<LoadedSnapshot | undefined> {
  let options = until !== undefined && "offset" in until ? { atMost: until.offset + 1 } : {};
  for (;;) {
    const { snapshot } = await snapshots.load(options);
    if (snapshot === undefined || until === undefined || "offset" in until) return snapshot;
    if (snapshot.image.timeMs <= until.timeMs) return snapshot;
    options = { atMost: snapshot.image.at - 1 };
  }
}

function startOf(snapshot: LoadedSnapshot, shard: ShardId): Start {
  return {
    shard: snapshot.image,
    async entity(name) {
      const stored = await snapshot.find(name);
      return stored === undefined ? undefined : decode(stored, shard);
    },
    async *entities() {
      for await (const stored of snapshot.images()) yield decode(stored, shard);
    },
  };
}

function decode({ name, bytes }: StoredImage, shard: ShardId): EntityImage {
  const image = decodeImage(bytes);
  if (image !== undefined) return image;
  const text = `The image of ${name} in a snapshot of shard ${shard} has a form that this version does not know.`;
  throw new HoldfastError("log-damaged", `${text} Run the version that wrote it.`);
}
