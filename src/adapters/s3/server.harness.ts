/**
 * A real S3 server for tests: versitygw (Apache 2.0) over a directory, one process per test file, one bucket per case.
 *
 * It is found in `artefacts/bin` or on the path. Without it the tests are skipped with the command that builds it, except
 * in CI, where its absence is a failure.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { delimiter, join } from "node:path";
import { CreateBucketCommand, S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { temporaryDirectory } from "../system/temporary.ts";

export const versityCommand = 'GOBIN="$PWD/artefacts/bin" go install github.com/versity/versitygw/cmd/versitygw@v1.8.0';

const root = join(import.meta.dirname, "..", "..", "..");

function findServer(): string | undefined {
  const folders = [join(root, "artefacts", "bin"), ...(process.env["PATH"] ?? "").split(delimiter)];
  return folders.map((folder) => join(folder, "versitygw")).find((path) => existsSync(path));
}

/** Why the tests cannot run here; undefined if they can, or must. */
export function s3SkipReason(): string | undefined {
  if (findServer() !== undefined || process.env["CI"] === "true") return undefined;
  return `no S3 server is here; build one: ${versityCommand}`;
}

export interface S3Server {
  readonly client: S3ClientConfig;
  readonly port: number;
  /** Makes a new bucket. */
  bucket(): Promise<string>;
  stop(): Promise<void>;
}

const credentials = { accessKeyId: "holdfast", secretAccessKey: "holdfast-test-secret" };

export async function startS3Server(): Promise<S3Server> {
  const path = findServer();
  if (path === undefined) throw new Error(`versitygw is missing; build it: ${versityCommand}`);
  const directory = temporaryDirectory();
  const port = await freePort();
  for (const name of ["data", "meta"]) mkdirSync(join(directory.path, name));
  // Metadata in files: extended attributes are missing on some file systems that tests run on.
  const backend = ["posix", "--sidecar", join(directory.path, "meta"), join(directory.path, "data")];
  const flags = ["--port", `127.0.0.1:${port}`, "--access", credentials.accessKeyId, "--quiet"];
  const child = spawn(path, [...flags, "--secret", credentials.secretAccessKey, ...backend], { stdio: "ignore" });
  await untilListening(port, child);
  const client = configFor(port);
  const admin = new S3Client(client);
  let buckets = 0;
  return {
    client,
    port,
    async bucket() {
      const Bucket = `bucket-${++buckets}`;
      await admin.send(new CreateBucketCommand({ Bucket }));
      return Bucket;
    },
    async stop() {
      admin.destroy();
      const gone = new Promise((done) => child.once("exit", done));
      child.kill("SIGKILL");
      await gone;
      directory.remove();
    },
  };
}

export function configFor(port: number): S3ClientConfig {
  return { endpoint: `http://127.0.0.1:${port}`, region: "us-east-1", forcePathStyle: true, credentials };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

async function untilListening(port: number, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`versitygw ended with ${child.exitCode}`);
    const open = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => done(true));
      socket.on("connect", () => socket.destroy()).on("error", () => done(false));
    });
    if (open) return;
    await new Promise((done) => setTimeout(done, 20));
  }
}
