/**
 * What a keep is made of, and what passes between it and the checkpointer.
 *
 * Invariant: a stamp names the incarnation that it is of; it is worth nothing for another.
 */
import type { Owner } from "../core/owner-state.ts";
import type { EntityDefinition } from "../model/entity.ts";
import type { Offset } from "../model/ids.ts";
import type { ShardImage } from "../model/images.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogPosition } from "../ports/log.ts";
import type { Lent } from "../wire/snapshot-part-lookup.ts";
import type { ShardArchive } from "./archive.ts";
import type { ShardArchiveReader } from "./archive-reader.ts";
import type { Codes } from "./codes.ts";
import type { ShardHost } from "./shard-host.ts";
import type { ShardImages } from "./shard-images.ts";
import type { ShardSnapshots } from "./snapshots.ts";

export interface KeepParts {
  readonly host: ShardHost;
  readonly images: ShardImages;
  readonly snapshots: ShardSnapshots | undefined;
  /** Where trimmed ranges go; and where those that are there are read, in a recovery. */
  readonly archive: ShardArchive | undefined;
  readonly archived: ShardArchiveReader | undefined;
  readonly codes: Codes;
  readonly clock: Clock;
  /** The log's position of this shard now. */
  readonly position: () => Promise<LogPosition>;
  /** `archiveReplayRecordsMax` */
  readonly replayRecordsMax: number;
  /** What the node may hold of snapshots in memory, `snapshotHeldBytesMax`. */
  readonly lent: Lent;
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  /** Something outside is damaged; the work went on without it. */
  readonly report: (where: string, error: unknown) => void;
}

export interface Slicing {
  readonly durable: (host: ShardHost, below: Offset) => Promise<void>;
  readonly now: () => number;
  readonly hasty: boolean;
}

export interface Stamp {
  readonly image: ShardImage;
  /** Whose stamp it is. */
  readonly owner: Owner;
  /** Nothing had come since the one before. */
  readonly silent: boolean;
}
