/**
 * What a node is made of, and what it can be asked for.
 *
 * Invariant: of each entity name there is one definition; those of Holdfast's own types are always there, since the log may hold them.
 */
import { ownTypes } from "../core/changefeed/own-types.ts";
import type { Input } from "../core/effects.ts";
import type { AnyEntity, EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { EntityRef, Offset, ShardId } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { Retention } from "../model/retention.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { HeapGauge } from "../ports/heap.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { ShardLog } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import type { PeerRoute } from "../wire/peer.ts";
import type { FeedSource } from "./feed-source.ts";
import type { Served } from "./served.ts";
import type { Service } from "./service.ts";
import type { ClusterHooks, ShardRoles } from "./shard-roles.ts";
import type { Commit } from "./tally.ts";

export interface NodeOptions {
  readonly entities: readonly AnyEntity[];
  /** The node closes it when it stops. */
  readonly log: ShardLog;
  /**
   * Where entities go that are not in memory, and what a restart begins with. Left out, every entity stays in memory and
   * a restart replays the whole log. The node closes it when it stops.
   */
  readonly state?: StateStore;
  /** Where snapshots go; the log is trimmed behind them. Needs `state`. The node closes it when it stops. */
  readonly snapshots?: SnapshotStore;
  /** Where what is trimmed goes. Default: to the snapshots. The node closes it when it stops. */
  readonly archive?: SnapshotStore;
  /** How long what is trimmed is kept. Default: for ever. */
  readonly retention?: Retention;
  /**
   * Of a shard, the first record that somebody beside the node still needs: from there on nothing is given up that is trimmed or
   * whose retention is over. Undefined: nobody needs any.
   */
  readonly held?: (shard: ShardId) => Offset | undefined;
  /** Where the keys of personal data are. Entity types that declare `personal` need it. The node closes it when it stops. */
  readonly keys?: KeyStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Left out, only counts and bytes bound what is in memory. */
  readonly heap?: HeapGauge;
  /** Must be the one the log was made with. Default 256. */
  readonly shardCount?: number;
  readonly limits?: Partial<Limits>;
  /** For the log's claim records. */
  readonly name?: string;
  /** The node is one of several: it begins with no shard, and `roles` says what it does with each. */
  readonly cluster?: ClusterHooks & {
    /** Takes an input for the owner of an entity that is not owned here. */
    route(entity: EntityRef, input: Input): void;
  };
  /** User code failed; the caller was told. No payload in either argument unless the author put it there. */
  readonly onFault?: (where: string, error: unknown) => void;
  /** An invariant or the disk is broken. The node has stopped answering; the process should end. */
  readonly onCrash?: (error: unknown) => void;
}

/** A running node. */
export interface HoldfastNode extends Service {
  /** Tells of every append of the log from now on. @returns ends it */
  onCommit(listener: (commit: Commit) => void): () => void;
  /** What feeds stand on: `openFeeds` of `propagation`. */
  readonly source: FeedSource;
  /** Only where it is one of several. */
  readonly roles: ShardRoles | undefined;
  /** The same: of the whole cluster, once it has joined. */
  readonly served?: Served;
  /** An input from another node for an entity that is owned here; what is not, is handed to `cluster.route`. */
  take(entity: EntityRef, input: PeerRoute): void;
  /** Takes no new work, waits for what was accepted to be durable (at most `drainMs`), and closes the log. Idempotent. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export function indexDefinitions(entities: readonly AnyEntity[]): Map<string, EntityDefinition> {
  const own = new Map<string, EntityDefinition>(ownTypes.map((type) => [type.name, type]));
  const definitions = new Map(own);
  for (const entity of entities) {
    if (own.has(entity.name)) continue;
    if (definitions.has(entity.name))
      throw new HoldfastError("invalid-definition", `Two entities are named "${entity.name}"; rename one.`);
    definitions.set(entity.name, entity);
  }
  return definitions;
}
