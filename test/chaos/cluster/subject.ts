/**
 * What is put under chaos: how a node is started, and what keeps the service going when one is lost. All else here knows nothing of it.
 *
 * - `cluster`: all nodes run, and agree among themselves who serves what.
 * - `takeover`: a node serves everything by itself. When it is lost another is started in its place; it claims every shard, and the lost
 *   one, should it come back, is fenced.
 */
import { cpSync, mkdirSync } from "node:fs";
import { basename } from "node:path";
import { entities as game } from "../../../examples/teen-patti/src/entities.ts";
import { openKeyFiles } from "../../../src/adapters/keys/files.ts";
import { openDirectory } from "../../../src/adapters/system/disk.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../../src/gateway/auth.ts";
import { startCluster } from "../../../src/presets/cluster.ts";
import { type ServeOptions, serveOver } from "../../../src/presets/embedded.ts";
import { keysDirectory } from "../../../src/presets/keys.ts";
import { migratePostgres, openPostgresLog, startPostgres } from "../../../src/presets/postgres.ts";
import { answersEarly } from "./early-log.ts";
import { purse, register, staleRegister } from "./entities.ts";

export type Arrangement = "cluster" | "takeover";

/** As JSON, the argument of `node.ts`. */
export interface NodeSettings {
  readonly arrangement: Arrangement;
  readonly node: string;
  readonly zone: string;
  readonly postgres: string;
  /** The node's own. What is in it may be lost, but for the keys of personal data. */
  readonly directory: string;
  /** What all nodes see: snapshots and the archive. */
  readonly shared: string;
  readonly leaseMs: number;
  /** Address of this node for nodes and clients. */
  readonly host: string;
  readonly peer: { readonly port: number; readonly secret: string };
  readonly door: { readonly port: number };
  /** A fault of the service that the checks must find. `early`: its log answers before it has written. `stale`: reads are. */
  readonly planted?: "early" | "stale";
}

/**
 * Before any node starts: the schema, and in each node's directory the same keys for the same players, since keys are a directory's own.
 * @param players whose names are personal data
 */
export async function prepareSubject(
  settings: readonly NodeSettings[],
  of: { readonly connection: string; readonly shardCount: number; readonly players: readonly string[] },
): Promise<void> {
  await migratePostgres(of);
  let first: string | undefined;
  for (const { directory } of settings) {
    const place = keysDirectory(directory);
    mkdirSync(directory, { recursive: true });
    if (first !== undefined)
      cpSync(first, place, { recursive: true, filter: (path) => !basename(path).startsWith("lock") });
    else {
      const keys = await openKeyFiles({ disk: openDirectory(place), random: systemRandom });
      for (const player of of.players) keys.current(`player/${player}`);
      await keys.sync();
      await keys.close();
    }
    first ??= place;
  }
}

/** The token with which the harness opens the tables. */
export const operatorToken = "chaos-operator";

/**
 * Whether a node may end so by itself: in a cluster one whose shards went elsewhere ends to be started again; in a takeover one that is
 * back finds that another claims what it claims.
 */
export function mayEnd(arrangement: Arrangement, code: number | null, said: string): boolean {
  return arrangement === "cluster" ? code === 75 : said.includes("code: 'fenced'");
}

/** Resolves when it serves. @returns where its door is */
export async function startSubject(settings: NodeSettings): Promise<string> {
  const { arrangement, node, zone, leaseMs, shared, host, peer, door, directory, planted } = settings;
  const asUser = developmentAuthentication({ warn: () => {} });
  const postgres = { connection: settings.postgres };
  const options: ServeOptions = {
    entities: [...game, planted === "stale" ? staleRegister : register, purse],
    directory,
    host,
    port: door.port,
    authenticate: async (token, caller) =>
      token === operatorToken ? { principal: { kind: "operator", id: "chaos" } } : await asUser(token, caller),
    onFault: (where, error) => console.error(`fault in ${where}`, error),
  };
  if (arrangement === "cluster") {
    const peers = { host, port: peer.port, secrets: [peer.secret] };
    const service = await startCluster({ ...options, postgres, shared, name: node, zone, leaseMs, peer: peers });
    return service.url;
  }
  if (planted !== "early") return (await startPostgres({ ...options, postgres })).url;
  return (await serveOver(async () => answersEarly(await openPostgresLog(postgres)), options)).url;
}
