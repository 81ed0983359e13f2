/**
 * A whole service in one process: the segment log in a directory, a node, and its door.
 *
 * Invariant: what is opened is closed in the opposite order, also when a later step of the start fails; after a crash of
 * the node nothing is answered and the process is told to end.
 */
import { join } from "node:path";
import { openFileSnapshots } from "../adapters/files/snapshot-store.ts";
import { openLmdbStateStore } from "../adapters/lmdb/open.ts";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { openDirectory } from "../adapters/system/disk.ts";
import { systemRandom } from "../adapters/system/random.ts";
import type { Gateway, GatewayOptions } from "../gateway/options.ts";
import { startGateway } from "../gateway/server.ts";
import type { AnyEntity } from "../model/entity.ts";
import { shardCountEmbedded } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import { type HoldfastNode, prepareNode } from "../runtime/node.ts";
import { openKeys } from "./keys.ts";
import type { ProgressStream } from "./progress-bar.ts";
import { recoverVisibly } from "./recovery-progress.ts";

type DoorOptions = Pick<
  GatewayOptions,
  "authenticate" | "host" | "port" | "allowedOrigins" | "staticDirectory" | "title" | "version" | "report"
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
   * Once, where personal data is declared for the first time in a directory whose log was trimmed: makes a key store. Never to
   * get past a lost one: what its keys sealed can be read by nobody then.
   */
  readonly newKeys?: boolean;
  /** Where to show how far a recovery is. Default: the error stream, if it is a terminal. False: nowhere. */
  readonly progress?: ProgressStream | false;
  readonly onFault?: (where: string, error: unknown) => void;
  /** The node has stopped answering. Default: print it and end the process with code 70, so that a supervisor restarts it. */
  readonly onCrash?: (error: unknown) => void;
}

export interface EmbeddedService {
  readonly node: HoldfastNode;
  readonly gateway: Gateway;
  readonly url: string;
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
  const shardCount = options.shardCount ?? shardCountEmbedded;
  const { directory, entities, segmentBytes, limits, onFault } = options;
  const log = await openSegmentLog({ directory, shardCount, ...(segmentBytes === undefined ? {} : { segmentBytes }) });
  const kept = await openKept(directory).catch(async (error: unknown) => {
    await log.close();
    throw error;
  });
  const keys = await openKeys({ directory, entities, log, shardCount, newKeys: options.newKeys === true }).catch(
    async (error: unknown) => {
      await kept.state.close();
      await kept.snapshots.close();
      await log.close();
      throw error;
    },
  );
  const node = prepareNode({
    entities,
    ...(keys === undefined ? {} : { keys }),
    log,
    ...kept,
    clock: systemClock,
    random: systemRandom,
    shardCount,
    onCrash: options.onCrash ?? endProcess,
    ...(limits === undefined ? {} : { limits }),
    ...(onFault === undefined ? {} : { onFault }),
  });
  let gateway: Gateway | undefined;
  try {
    gateway = await startGateway({ ...options, service: node, clock: systemClock, random: systemRandom });
    await recoverVisibly(node, progressStream(options.progress), systemClock);
  } catch (error) {
    await gateway?.close();
    await node.stop();
    throw error;
  }
  const door = gateway;
  let stopping: Promise<void> | undefined;
  const stop = () => (stopping ??= door.close().then(() => node.stop()));
  return { node, gateway: door, url: door.url, keys, stop };
}

function progressStream(given: ProgressStream | false | undefined): ProgressStream | undefined {
  if (given !== undefined) return given === false ? undefined : given;
  return process.stderr.isTTY ? process.stderr : undefined;
}

/** State store and snapshots stand beside the log's files. */
async function openKept(directory: string): Promise<{ state: StateStore; snapshots: SnapshotStore }> {
  const snapshots = await openFileSnapshots({
    disk: openDirectory(join(directory, "snapshots")),
    clock: systemClock,
    random: systemRandom,
  });
  return { snapshots, state: await openLmdbStateStore({ directory: join(directory, "state") }) };
}

function endProcess(error: unknown): void {
  console.error(
    "Holdfast stops: an invariant or the disk is broken. What was acknowledged is in the log; start again.",
    error,
  );
  process.exit(70);
}
