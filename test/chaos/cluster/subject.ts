/**
 * What is put under chaos: how a node is started, and what keeps the service going when one is lost. All else here knows nothing of it.
 *
 * `takeover`: a node serves everything by itself. When it is lost another is started in its place; it claims every shard, and the lost
 * one, should it come back, is fenced.
 */
import { cpSync, existsSync, rmSync } from "node:fs";
import { basename } from "node:path";
import { entities as game } from "../../../examples/teen-patti/src/entities.ts";
import { developmentAuthentication } from "../../../src/gateway/auth.ts";
import { serveOver } from "../../../src/presets/embedded.ts";
import { keysDirectory } from "../../../src/presets/keys.ts";
import {
  migratePostgres,
  openPostgresLog,
  type PostgresServiceOptions,
  startPostgres,
} from "../../../src/presets/postgres.ts";
import { answersEarly } from "./early-log.ts";
import { purse, register, staleRegister } from "./entities.ts";

/** `takeover`: one node at a time is meant to serve. `cluster`: all of them, and they agree among themselves. */
export type Arrangement = "takeover" | "cluster";

export const arrangement = "takeover" as Arrangement;

/** As JSON, the argument of `node.ts`. */
export interface NodeSettings {
  readonly node: string;
  readonly zone: string;
  readonly postgres: string;
  /** The node's own; what is in it may be lost. */
  readonly directory: string;
  readonly leaseMs: number;
  /** Address of this node for nodes and clients. */
  readonly host: string;
  readonly peer: { readonly port: number; readonly secret: string };
  readonly door: { readonly port: number };
  /** A fault of the service that the checks must find. `early`: its log answers before it has written. `stale`: reads are. */
  readonly planted?: "early" | "stale";
}

/** Before any node starts. */
export async function prepareSubject(connection: string, shardCount: number): Promise<void> {
  await migratePostgres({ connection, shardCount });
}

/**
 * In a takeover: what the next node needs of the lost one beside the log. The keys of personal data are a directory's own, so whoever
 * takes over brings them along, as an operator would.
 */
export function handOver(lost: NodeSettings, next: NodeSettings): void {
  const [from, to] = [keysDirectory(lost.directory), keysDirectory(next.directory)];
  if (!existsSync(from)) return;
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true, filter: (path) => basename(path) !== "lock" });
}

/**
 * Whether a node may end so by itself: in a takeover one that is back finds that another claims what it claims, says so, and ends.
 */
export function mayEnd(said: string): boolean {
  return arrangement === "takeover" && said.includes("code: 'fenced'");
}

/** The token with which the harness opens the tables. */
export const operatorToken = "chaos-operator";

/** Resolves when it serves. @returns where its door is */
export async function startSubject(settings: NodeSettings): Promise<string> {
  const asUser = developmentAuthentication({ warn: () => {} });
  const log = { connection: settings.postgres };
  const options = {
    entities: [...game, settings.planted === "stale" ? staleRegister : register, purse],
    directory: settings.directory,
    host: settings.host,
    port: settings.door.port,
    authenticate: async (token, caller) =>
      token === operatorToken ? { principal: { kind: "operator", id: "chaos" } } : await asUser(token, caller),
    onFault: (where, error) => console.error(`fault in ${where}`, error),
  } satisfies Omit<PostgresServiceOptions, "postgres">;
  const service =
    settings.planted === "early"
      ? await serveOver(async () => answersEarly(await openPostgresLog(log)), options)
      : await startPostgres({ ...options, postgres: log });
  return service.url;
}
