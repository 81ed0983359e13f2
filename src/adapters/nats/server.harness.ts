/**
 * A real nats-server with JetStream for tests, one process per test file, one stream per case.
 *
 * It is found in `artefacts/bin` or on the path. Without it the tests are skipped with the command that builds it, except
 * in CI, where its absence is a failure.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Plain } from "../../std/plain.ts";
import { findProgram, freePorts, type Program, startProgram } from "../system/program.harness.ts";
import { type FaultProxy, startFaultProxy } from "../system/proxy.harness.ts";
import { temporaryDirectory } from "../system/temporary.ts";

export const natsCommand = 'GOBIN="$PWD/artefacts/bin" go install github.com/nats-io/nats-server/v2@v2.15.2';

/** One that takes atomic batches: Debian's is older. */
function findServer(): string | undefined {
  const path = findProgram("nats-server");
  if (path === undefined) return undefined;
  const told = spawnSync(path, ["--version"], { encoding: "utf8" }).stdout;
  const [, major = 0, minor = 0] = /v(\d+)\.(\d+)/.exec(told) ?? [];
  return Number(major) * 1_000 + Number(minor) >= 2_012 ? path : undefined;
}

/** Why the tests cannot run here; undefined if they can, or must. */
export function natsSkipReason(): string | undefined {
  if (findServer() !== undefined || process.env["CI"] === "true") return undefined;
  return `no nats-server of 2.12 or later is here; build one: ${natsCommand}`;
}

export interface NatsMessage {
  readonly subject: string;
  readonly id: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: Plain;
}

export interface NatsServer {
  readonly port: number;
  readonly proxy: FaultProxy;
  /** Makes a stream that takes `<name>.>`. */
  readonly stream: (name: string, settings?: Readonly<Record<string, unknown>>) => Promise<void>;
  /** All messages of a stream's subjects, in order. */
  readonly messages: (stream: string, subjects: string) => Promise<NatsMessage[]>;
  /** SIGKILL. */
  readonly crash: () => Promise<void>;
  /** After a crash: on the same port, over the same files. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A server with two users: one who may do everything, and one who may only read. */
export const authorization = `authorization { users: [
  { user: admin, password: a }
  { user: reader, password: r, permissions: { publish: ["$JS.API.STREAM.INFO.>", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.>"] } }
] }`;

export interface NatsServerOptions {
  /** More of the server's configuration. */
  readonly authorization?: string;
}

export async function startNats(options: NatsServerOptions = {}): Promise<NatsServer> {
  const path = findServer();
  if (path === undefined) throw new Error(`nats-server is missing; build it: ${natsCommand}`);
  const directory = temporaryDirectory();
  const [port = 0] = await freePorts(1);
  const args = ["--addr", "127.0.0.1", "--port", String(port), "--jetstream", "--store_dir", directory.path];
  if (options.authorization !== undefined) {
    const file = join(directory.path, "nats.conf");
    writeFileSync(file, options.authorization);
    args.push("--config", file);
  }
  const user = options.authorization === undefined ? {} : { user: "admin", pass: "a" };
  let program: Program = await startProgram(path, args, port);
  const proxy = await startFaultProxy(port, () => ({
    isCommit: (chunk) => chunk.includes("Nats-Batch-Commit"),
    isAnswer: (chunk) => chunk.includes('"batch"'),
  }));
  const connected = () => connect({ servers: `127.0.0.1:${port}`, ...user });
  return {
    port,
    proxy,
    async stream(name, settings) {
      await using client = await disposable(connected());
      const manager = await jetstreamManager(client.connection);
      const usual = { subjects: [`${name}.>`], allow_atomic: true, allow_rollup_hdrs: true };
      await manager.streams.add({ name, ...usual, ...settings });
    },
    async messages(stream, subjects) {
      await using client = await disposable(connected());
      return await readAll(client.connection, stream, subjects);
    },
    crash: () => program.kill(),
    async start() {
      program = await startProgram(path, args, port);
    },
    async stop() {
      await proxy.stop();
      await program.kill();
      directory.remove();
    },
  };
}

/** Removes all messages of a subject, as the retention of a stream does in the end. */
export async function purge(port: number, stream: string, filter: string): Promise<void> {
  await using client = await disposable(connect({ servers: `127.0.0.1:${port}` }));
  await (await jetstreamManager(client.connection)).streams.purge(stream, { filter });
}

/** Writes a message that no sink wrote. */
export async function publish(port: number, subject: string, data: string): Promise<void> {
  await using client = await disposable(connect({ servers: `127.0.0.1:${port}` }));
  await jetstream(client.connection).publish(subject, data);
}

async function disposable(opening: Promise<NatsConnection>) {
  const connection = await opening;
  return { connection, [Symbol.asyncDispose]: () => connection.close() };
}

async function readAll(connection: NatsConnection, stream: string, subjects: string): Promise<NatsMessage[]> {
  const manager = await jetstreamManager(connection);
  const consumer = await manager.jetstream().consumers.get(stream, { filter_subjects: subjects });
  const found: NatsMessage[] = [];
  let { num_pending: pending } = await consumer.info();
  while (pending > 0) {
    for await (const message of await consumer.fetch({ max_messages: Math.min(pending, 1_000) })) {
      const headers = Object.fromEntries([...(message.headers ?? [])].map(([name, [value]]) => [name, value ?? ""]));
      found.push({ subject: message.subject, id: headers["ce-id"] ?? "", headers, data: message.json<Plain>() });
      pending = message.info.pending;
    }
  }
  return found;
}
