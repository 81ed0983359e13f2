/**
 * A whole service in one process: the segment log in a directory, a node, and its door.
 *
 * Invariant: what is opened is closed in the opposite order, also when a later step of the start fails; after a crash of
 * the node nothing is answered and the process is told to end.
 */
import { openSegmentLog, type SegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { limitHeapGrowth, systemHeap } from "../adapters/system/heap.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { type AdminOptions, type AdminPort, type AdminSource, startAdmin } from "../admin/server.ts";
import type { Gateway, GatewayOptions } from "../gateway/options.ts";
import { startGateway } from "../gateway/server.ts";
import type { AnyEntity } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { shardCountEmbedded } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { ProjectionDefinition } from "../model/projection.ts";
import { checkRetention, type Retention } from "../model/retention.ts";
import type { SubscriberDeclaration } from "../model/subscribers.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { LogReader, ShardLog } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { type OpenFeeds, openFeeds } from "../propagation/feeds.ts";
import type { Projections } from "../propagation/projections.ts";
import type { SinkMaker } from "../propagation/subscriber-run.ts";
import { Subscribers } from "../propagation/subscribers.ts";
import type { BackupSource } from "../runtime/backup.ts";
import type { BackupReport } from "../runtime/backup-verify.ts";
import { type HoldfastNode, type NodeOptions, prepareNode } from "../runtime/node.ts";
import type { Figures } from "../runtime/service.ts";
import type { BackupRequest } from "./backup.ts";
import { backUpWithKeys } from "./backup-keys.ts";
import { type GivenStores, openKept } from "./kept.ts";
import { openKeys } from "./keys.ts";
import type { ProgressStream } from "./progress-bar.ts";
import { makeProjections } from "./projections.ts";
import { recoverVisibly } from "./recovery-progress.ts";

type DoorOptions = Pick<
  GatewayOptions,
  "authenticate" | "host" | "port" | "doors" | "allowedOrigins" | "staticDirectory" | "title" | "version" | "report"
>;

export interface EmbeddedOptions extends DoorOptions {
  readonly entities: readonly AnyEntity[];
  /** Where the log lives. Made if it is missing; one process at a time. */
  readonly directory: string;
  /** Fixed when the directory is made. Default 16. */
  readonly shardCount?: number;
  /** Size of one file of the log. Default 16 MiB. */
  readonly segmentBytes?: number;
  readonly limits?: Partial<Limits>;
  /**
   * How much the heap of this process may grow beyond what lives before V8 collects all of it, in percent. Default 70. False
   * leaves V8 its own choice: fewer and longer collections.
   */
  readonly heapGrowthPercent?: number | false;
  /** How long records are kept that are trimmed from the log. Default: for ever, in `<directory>/archive`. */
  readonly retention?: Retention;
  /**
   * Once, where personal data is declared for the first time in a directory whose log was trimmed: makes a key store. Never to
   * get past a lost one: what its keys sealed can be read by nobody then.
   */
  readonly newKeys?: boolean;
  /** Where to show how far a recovery is. Default: the error stream, if it is a terminal. False: nowhere. */
  readonly progress?: ProgressStream | false;
  /** A port for monitoring and operators: `/metrics` and status. Left out there is none. */
  readonly admin?: AdminOptions;
  /** Documents that are folded from what happens, served under `/v1/projections`; see `docs/patterns/projections.md`. */
  readonly projections?: readonly ProjectionDefinition[];
  /** Name of the service: the `source` of its CloudEvents. Letters, digits, dots, `_` and `-`. Default "holdfast". */
  readonly serviceName?: string;
  /** Where durable subscribers may deliver to, by the names they give: `{ analytics: () => postgresSink({ … }) }`. */
  readonly sinks?: Readonly<Record<string, SinkMaker>>;
  /** Subscribers that are made at the start if they are not there, and changed if this was changed. */
  readonly subscribers?: readonly SubscriberDeclaration[];
  readonly onFault?: (where: string, error: unknown) => void;
  /** The node has stopped answering. Default: print it and end the process with code 70, so that a supervisor restarts it. */
  readonly onCrash?: (error: unknown) => void;
}

export interface EmbeddedService {
  readonly node: HoldfastNode;
  readonly gateway: Gateway;
  readonly url: string;
  readonly admin: AdminPort | undefined;
  /** What happened in the service, for who consumes it in this process. */
  readonly feeds: OpenFeeds;
  /** What is folded from it. Who asks in this process is not asked who it is. */
  readonly projections: Projections;
  /** Those who follow it durably. */
  readonly subscribers: Subscribers;
  /**
   * Backs the service up while it serves: one cut through all shards, copied and verified.
   * @throws `unavailable`, `invalid-configuration`, `snapshot-damaged`, `log-damaged`; see `docs/patterns/backup.md`
   */
  backup(request: BackupRequest): Promise<BackupReport>;
  /** Where the keys of personal data are, if the service has any: a backup takes what `export` gives. */
  readonly keys: KeyStore | undefined;
  /** Takes no new work, answers what was accepted, closes door, node and log. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Opens the log, opens the door (health endpoints answer from now on), recovers, serves.
 * @throws `directory-in-use`, `log-damaged`, `disk-full`, `invalid-configuration`, `invalid-definition`, `unknown-event`
 */
export async function embedded(options: EmbeddedOptions): Promise<EmbeddedService> {
  const { directory, segmentBytes, shardCount = shardCountEmbedded } = options;
  return serveOver(
    () => openSegmentLog({ directory, shardCount, ...(segmentBytes === undefined ? {} : { segmentBytes }) }),
    options,
  );
}

/** A log of any engine that knows how many shards it has. */
export type ServedLog = ShardLog & Pick<SegmentLog, "shardCount">;

/** What a preset gives beside its log. */
export type ServeOptions = Omit<EmbeddedOptions, "shardCount" | "segmentBytes"> & GivenStores;

/** What a preset makes otherwise. */
export interface ServeParts {
  /** Default: a node that has every shard. */
  readonly prepare?: (options: NodeOptions) => HoldfastNode & { recover(): Promise<void> };
  /** The door is open; nothing is recovered yet. */
  readonly opened?: (gateway: Gateway) => void;
}

/** The service over a log: what every preset is made of. */
export async function serveOver(
  openLog: () => Promise<ServedLog>,
  options: ServeOptions,
  { prepare = prepareNode, opened }: ServeParts = {},
): Promise<EmbeddedService> {
  const { directory, entities, retention, onFault } = options;
  // Before anything is opened, so that nothing has to be closed again.
  checkRetention(retention ?? {});
  if (options.heapGrowthPercent !== false) limitHeapGrowth(options.heapGrowthPercent);
  const log = await openLog();
  const { shardCount } = log;
  const kept = await openKept(directory, options).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  const { keys: given, newKeys = false } = options;
  const keys = await openKeys({ directory, entities, log, shardCount, given, newKeys }).catch(
    async (error: unknown) => {
      for (const store of [kept.state, kept.snapshots, kept.archive]) await store.close();
      await log.close();
      throw error;
    },
  );
  let subscribers: Subscribers | undefined;
  const node = prepare({
    entities,
    held: (shard) => (subscribers === undefined ? 1 : subscribers.held(shard)),
    ...(keys === undefined ? {} : { keys }),
    log,
    ...kept,
    shardCount,
    ...surroundingsOf(options),
  });
  const feeds = openFeeds(node.source, options.serviceName === undefined ? {} : { service: options.serviceName });
  let projections: Projections | undefined;
  let gateway: Gateway | undefined;
  let admin: AdminPort | undefined;
  try {
    subscribers = makeSubscribers(options, node, feeds);
    projections = makeProjections(options.projections ?? [], { node, feeds, store: kept.snapshots, onFault });
    const figures = figuresWith(node, projections);
    if (options.admin !== undefined) admin = await startAdmin(shownOf(node, figures), options.admin, subscribers);
    const parts = { service: node, clock: systemClock, random: systemRandom, feeds, projections, subscribers, figures };
    gateway = await startGateway({ ...options, ...parts });
    opened?.(gateway);
    await recoverVisibly(node, progressStream(options.progress), systemClock);
    subscribers.start();
  } catch (error) {
    await gateway?.close();
    await projections?.close();
    await subscribers?.stop();
    feeds.close();
    await node.stop();
    await admin?.close();
    throw error;
  }
  projections.start();
  const stop = stopInOrder({ node, gateway, admin, feeds, projections, subscribers });
  const backup = (request: BackupRequest) => {
    if (stop.begun) throw new HoldfastError("unavailable", "The service stops; back up its directory.");
    return backUpWithKeys({ ...request, from: liveSource(log, kept.snapshots) }, async () => keys?.export());
  };
  const { url } = gateway;
  const parts = { node, gateway, url, admin, feeds, projections, subscribers, keys };
  return { ...parts, backup: async (request) => backup(request), stop: stop.all };
}

/** What every node of this process gets. */
function surroundingsOf({ onCrash = endProcess, limits, retention, onFault }: ServeOptions) {
  return {
    ...{ clock: systemClock, random: systemRandom, heap: systemHeap, onCrash },
    ...(limits === undefined ? {} : { limits }),
    ...(retention === undefined ? {} : { retention }),
    ...(onFault === undefined ? {} : { onFault }),
  };
}

type Heard = Parameters<HoldfastNode["onCommit"]>[0];

function shownOf(node: HoldfastNode, figures: AdminSource["figures"]): AdminSource {
  const { limits, cluster } = node;
  const onCommit = (heard: Heard) => node.onCommit(heard);
  return { limits, figures, health: () => node.health(), onCommit, ...(cluster && { cluster }) };
}

function figuresWith(node: HoldfastNode, projections: Projections): () => Promise<Figures> {
  if (projections.definitions.length === 0) return () => node.figures();
  return async () => ({ ...(await node.figures()), projections: projections.status() });
}

function makeSubscribers(
  { sinks = {}, subscribers = [], onFault }: EmbeddedOptions,
  node: HoldfastNode,
  feeds: OpenFeeds,
): Subscribers {
  return new Subscribers({
    service: node,
    feeds,
    source: node.source,
    random: systemRandom,
    sinks,
    declared: subscribers,
    ...(node.served === undefined ? {} : { served: node.served }),
    ...(onFault === undefined ? {} : { report: onFault }),
  });
}

type Parts = Pick<EmbeddedService, "node" | "gateway" | "admin" | "feeds" | "projections" | "subscribers">;

/** The admin port last: how the rest stops can be watched. */
function stopInOrder(parts: Parts): { readonly begun: boolean; readonly all: () => Promise<void> } {
  let stopping: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    await parts.gateway.close();
    await parts.projections.close();
    await parts.subscribers.stop();
    parts.feeds.close();
    await parts.node.stop();
    await parts.admin?.close();
  };
  return {
    get begun() {
      return stopping !== undefined;
    },
    all: () => (stopping ??= run()),
  };
}

function liveSource(log: ServedLog, snapshots: SnapshotStore): BackupSource {
  const reader: LogReader = {
    tail: (shards) => log.tail(shards),
    read: (from) => log.read(from),
    close: async () => {},
  };
  return { shardCount: log.shardCount, snapshots, look: async () => reader };
}

function progressStream(given: ProgressStream | false | undefined): ProgressStream | undefined {
  if (given !== undefined) return given === false ? undefined : given;
  return process.stderr.isTTY ? process.stderr : undefined;
}

function endProcess(error: unknown): void {
  console.error(
    "Holdfast stops: an invariant or the disk is broken. What was acknowledged is in the log; start again.",
    error,
  );
  process.exit(70);
}
