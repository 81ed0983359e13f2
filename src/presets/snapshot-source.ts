/**
 * The past of a log whose beginning was trimmed: it goes on in the archive, and snapshots stand for what is in neither.
 *
 * Invariant: what is shown is what this code makes of the events, wherever all of them can be read; a snapshot saves the long
 * read only if the same code made it. Where they cannot be read, a snapshot is what earlier code made of them.
 */
import { openSegmentLogToRead } from "../adapters/segments/reader.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { type HistorySource, logSource, type Moment, type Start } from "../history/source.ts";
import { HoldfastError } from "../model/errors.ts";
import type { ShardId } from "../model/ids.ts";
import type { EntityImage, StoredImage } from "../model/images.ts";
import type { Clock } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { ArchivedLog } from "../runtime/archive-reader.ts";
import { codesOf, sameCodes } from "../runtime/codes.ts";
import type { LoadedSnapshot } from "../runtime/snapshot-load.ts";
import { ShardSnapshots } from "../runtime/snapshots.ts";
import { decodeImage } from "../wire/image.ts";
import { openArchiveToRead, openSnapshotsToRead } from "./kept.ts";

/** The past of a data directory as `embedded` makes it: the log, and the snapshots beside it if there are any. */
export async function openPast(directory: string): Promise<HistorySource & { readonly bytes: number }> {
  const log = await openSegmentLogToRead({ directory });
  const [snapshots, archive] = [openSnapshotsToRead(directory), openArchiveToRead(directory)];
  // Listed after the log's beginning was looked at: what the log had trimmed by then is there.
  const reader = archive === undefined ? log : new ArchivedLog(log, { store: archive, clock: systemClock });
  const source = logSource(reader, log.shardCount);
  return { ...(snapshots === undefined ? source : withSnapshots(source, snapshots, systemClock)), bytes: log.bytes };
}

export function withSnapshots(source: HistorySource, store: SnapshotStore, clock: Clock): HistorySource {
  return {
    ...source,
    async start(shard, until, definitions) {
      const [position] = await source.positions([shard]);
      if (position === undefined || (position.logBegins ?? position.trimmed) <= 1) return undefined;
      const whole = position.trimmed <= 1;
      if (whole && definitions === undefined) return undefined;
      const snapshot = await findBefore(new ShardSnapshots({ store, shard, clock }), until);
      if (snapshot === undefined || snapshot.image.at < position.trimmed) return undefined;
      const same = definitions !== undefined && sameCodes(snapshot.manifest.codes, codesOf(definitions));
      return whole && !same ? undefined : startOf(snapshot, shard);
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
