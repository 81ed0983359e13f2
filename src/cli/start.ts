/**
 * `holdfast start`: runs a service whose code is a module, alone on its directory or as a node of a cluster over PostgreSQL.
 *
 * Invariants: settings come from flags, else from the environment, and a secret only from a file or the environment; what is missing is said
 * before anything is opened; SIGTERM and SIGINT end it in order, and what was acknowledged is in the log.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { type Command, Option } from "commander";
import type { AdminOptions } from "../admin/server.ts";
import { developmentAuthentication } from "../gateway/auth.ts";
import type { AnyEntity } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { ClusterServiceOptions } from "../presets/cluster.ts";
import { type EmbeddedOptions, type EmbeddedService, embedded, type ServeOptions } from "../presets/embedded.ts";
import { print, printJson } from "./print.ts";
import { loadModule, UsageError } from "./settings.ts";

/** What the export `options` of a service's module may hold, or what it gives if it is a function: flags come before it. */
type ModuleOptions = Partial<Omit<ServeOptions, "entities">> & Partial<Pick<ClusterServiceOptions, "peer" | "version">>;

interface StartOptions {
  readonly module?: string;
  readonly engine: "embedded" | "postgres";
  readonly data: string;
  readonly host: string;
  readonly port: string;
  readonly advertise?: string;
  readonly adminPort?: string;
  readonly adminHost?: string;
  readonly development?: boolean;
  readonly json?: boolean;
  readonly databaseUrl?: string;
  readonly schema: string;
  readonly name?: string;
  readonly shared?: string;
  readonly peerHost?: string;
  readonly peerPort: string;
  readonly peerAdvertise?: string;
  readonly secretFile?: string;
  readonly keysSecretFile?: string;
  readonly zone?: string;
  readonly weight?: string;
  readonly leaseMs?: string;
  readonly standbys?: string;
  readonly tellDoors: boolean;
}

export function addStart(program: Command): void {
  const command = program
    .command("start")
    .description("runs a service: alone, or as a node of a cluster over PostgreSQL");
  const add = (flags: string, text: string, variable: string, fallback?: string) =>
    command.addOption(new Option(flags, text).env(variable).default(fallback));
  add("--module <file>", "exports the entities of the service, and `options`", "HOLDFAST_MODULE");
  command.addOption(
    new Option("--engine <engine>", "where the log is")
      .env("HOLDFAST_ENGINE")
      .choices(["embedded", "postgres"])
      .default("embedded"),
  );
  add("--data <directory>", "of this node", "HOLDFAST_DATA", ".data");
  add("--host <address>", "where the door listens", "HOLDFAST_HOST", "127.0.0.1");
  add("--port <n>", "of the door; 0 takes a free one", "HOLDFAST_PORT", "4600");
  add("--advertise <url>", "where clients reach this door, if not there", "HOLDFAST_ADVERTISE");
  add("--admin-port <n>", "for monitoring; its token is the variable HOLDFAST_ADMIN_TOKEN", "HOLDFAST_ADMIN_PORT");
  add("--admin-host <address>", "where that listens", "HOLDFAST_ADMIN_HOST");
  command.option("--development", "lets anybody be anybody (token dev:<name>), where the module has no `authenticate`");
  command.option("--json", "prints JSON for programs");
  command.optionsGroup("Of --engine postgres:");
  add("--database-url <url>", "postgres://…; better in the variable", "DATABASE_URL");
  add("--schema <name>", "of the service in the database", "HOLDFAST_SCHEMA", "holdfast");
  add("--name <name>", "of this node, the same in every running of it; default: the host's", "HOLDFAST_NAME");
  add("--shared <directory>", "that all nodes see: snapshots and the archive", "HOLDFAST_SHARED");
  add("--peer-host <address>", "where it listens for other nodes; default 127.0.0.1", "HOLDFAST_PEER_HOST");
  add("--peer-port <n>", "the port of that", "HOLDFAST_PEER_PORT", "0");
  add("--peer-advertise <host:port>", "where other nodes dial it, if not there", "HOLDFAST_PEER_ADVERTISE");
  add(
    "--secret-file <file>",
    "the secret of all nodes, one a line; default: the variable HOLDFAST_SECRET",
    "HOLDFAST_SECRET_FILE",
  );
  add(
    "--keys-secret-file <file>",
    "keys of personal data follow from this secret; they cannot be erased",
    "HOLDFAST_KEYS_SECRET_FILE",
  );
  add("--zone <zone>", "standbys stand in other zones than owners", "HOLDFAST_ZONE");
  add("--weight <n>", "share of the shards relative to other nodes; default 1", "HOLDFAST_WEIGHT");
  add("--lease-ms <n>", "after so long without a sign it is taken for dead; default 2000", "HOLDFAST_LEASE_MS");
  add("--standbys <n>", "of each shard; default 1", "HOLDFAST_STANDBYS");
  command.option("--no-tell-doors", "clients are not told of the other doors: behind a load balancer");
  command.action(start);
}

async function start(options: StartOptions): Promise<void> {
  const { module } = options;
  if (module === undefined) throw new UsageError("give --module <file>: a module that exports the service's entities.");
  const own = await loadModule("--module", module);
  const serve = serveOptions(options, own.entities, (await given(own.module["options"])) as ModuleOptions);
  const service = options.engine === "embedded" ? await embedded(serve) : await startNode(options, serve);
  stopOnSignals(service);
  const { url, admin } = service;
  if (options.json === true) return printJson({ url, ...(admin === undefined ? {} : { admin: admin.url }) }, 0);
  print(`Serving on ${url}${admin === undefined ? "" : `, metrics on ${admin.url}/metrics`}`);
}

async function given(value: unknown): Promise<object> {
  const options: unknown = typeof value === "function" ? await value() : (value ?? {});
  if (typeof options === "object" && options !== null) return options;
  throw new UsageError("the module's export `options` is an object, or a function that gives one.");
}

function serveOptions(
  options: StartOptions,
  entities: readonly AnyEntity[],
  own: ModuleOptions,
): EmbeddedOptions & ModuleOptions {
  const authenticate =
    own.authenticate ??
    (options.development === true ? developmentAuthentication({ warn: (text) => console.error(text) }) : undefined);
  if (authenticate === undefined)
    throw new UsageError(
      "the module's `options` have no `authenticate`, so nobody could be let in. --development lets anybody be anybody.",
    );
  const token = process.env["HOLDFAST_ADMIN_TOKEN"];
  const admin: AdminOptions | undefined =
    options.adminPort === undefined
      ? own.admin
      : {
          port: numberOf("--admin-port", options.adminPort, 0, 65_535),
          ...(options.adminHost === undefined ? {} : { host: options.adminHost }),
          ...(token === undefined ? {} : { token }),
        };
  return {
    onFault: (where, error) => console.error(`A fault in ${where}:`, error),
    ...own,
    entities,
    authenticate,
    directory: options.data,
    host: options.host,
    port: numberOf("--port", options.port, 0, 65_535),
    ...(admin === undefined ? {} : { admin }),
  };
}

async function startNode(options: StartOptions, serve: EmbeddedOptions & ModuleOptions): Promise<EmbeddedService> {
  const { databaseUrl: connection, schema, shared, name = hostname().replaceAll(/[^A-Za-z0-9_-]/g, "-") } = options;
  if (connection === undefined || connection === "")
    throw new UsageError("--engine postgres needs the database: --database-url <url>, or the variable DATABASE_URL.");
  if (shared === undefined && (serve.snapshots === undefined || serve.archive === undefined))
    throw new UsageError(
      "--engine postgres needs --shared <directory>, which all nodes see, for snapshots and the archive.",
    );
  const secrets = secretsOf(options) ?? serve.peer?.secrets;
  if (secrets === undefined && serve.peer?.tls === undefined)
    throw new UsageError(
      "nodes know each other by a secret: give --secret-file <file>, or the variable HOLDFAST_SECRET.",
    );
  const { startClusterNode } = await loadCluster();
  const { keysSecretFile, zone, advertise, weight, leaseMs, standbys } = options;
  return await startClusterNode({
    ...serve,
    connection,
    schema,
    name,
    tellDoors: options.tellDoors,
    peer: {
      ...serve.peer,
      port: numberOf("--peer-port", options.peerPort, 0, 65_535),
      ...(secrets === undefined ? {} : { secrets }),
      ...(options.peerHost === undefined ? {} : { host: options.peerHost }),
      ...(options.peerAdvertise === undefined ? {} : { advertise: options.peerAdvertise }),
    },
    ...(shared === undefined ? {} : { shared }),
    ...(keysSecretFile === undefined ? {} : { keysSecret: readSecret("--keys-secret-file", keysSecretFile) }),
    ...(zone === undefined ? {} : { zone }),
    ...(advertise === undefined ? {} : { advertiseDoor: advertise }),
    ...(weight === undefined ? {} : { weight: numberOf("--weight", weight, 1, 1_000) }),
    ...(leaseMs === undefined ? {} : { leaseMs: numberOf("--lease-ms", leaseMs, 500, 60_000) }),
    ...(standbys === undefined ? {} : { standbys: numberOf("--standbys", standbys, 0, 8) }),
  });
}

/** The driver is optional: loaded only where it is used. */
async function loadCluster() {
  try {
    return await import("../presets/start.ts");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const text = "The driver of PostgreSQL is not installed. Run `npm install pg`.";
    throw new HoldfastError("invalid-configuration", text, { cause: error });
  }
}

function secretsOf({ secretFile }: StartOptions): readonly string[] | undefined {
  const text = secretFile === undefined ? process.env["HOLDFAST_SECRET"] : readSecret("--secret-file", secretFile);
  const secrets = (text ?? "").split("\n").map((line) => line.trim());
  const some = secrets.filter((secret) => secret !== "");
  return some.length === 0 ? undefined : some;
}

function readSecret(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new UsageError(`${option} cannot be read: ${(error as Error).message}.`);
  }
}

function numberOf(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${option} is a number from ${least} to ${most}, not "${text}".`);
}

function stopOnSignals(service: EmbeddedService): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1);
    stopping = true;
    console.error(`${signal}: stopping; once more ends it at once.`);
    service.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error("Could not stop cleanly; nothing that was acknowledged is lost.", error);
        process.exit(1);
      },
    );
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}
