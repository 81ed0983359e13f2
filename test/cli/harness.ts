/**
 * What the tests of the command line share: a data directory with the kitchen sink in it, and the program as a child
 * process.
 *
 * Invariant: what is made below the system's temporary directory goes with the process.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSegmentLog, type SegmentLog } from "../../src/adapters/segments/open.ts";
import { recordSink, sinkShards } from "../golden/record-sink.ts";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const service = "test/golden/kitchen-sink.ts";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let compiled: string | undefined;

/** Runs `holdfast` from source. */
export function holdfast(...args: readonly string[]): Promise<Ran> {
  // the programs of a test run share what is compiled: it halves their start
  const env = { ...process.env, NO_COLOR: "1", NODE_COMPILE_CACHE: (compiled ??= temporaryDirectory()) };
  const program = ["--conditions=source", join(root, "src/cli/bin.ts"), ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, program, { cwd: root, env }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 99;
      resolve({ code, out, err });
    });
  });
}

const made: string[] = [];
process.on("exit", () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-cli-"));
  made.push(directory);
  return directory;
}

export function openSink(directory: string): Promise<SegmentLog> {
  return openSegmentLog({ directory, shardCount: sinkShards, segmentBytes: 64 * 1024 });
}

/** A data directory in which three generations of the kitchen sink have run. */
export async function sinkDirectory(): Promise<string> {
  const directory = temporaryDirectory();
  await recordSink(() => openSink(directory));
  return directory;
}

/** Names and bytes of a directory, as one text; without the segment that a running log prepares by itself. */
export function fingerprint(directory: string): string {
  const hash = createHash("sha256");
  const names = readdirSync(directory).filter((name) => name !== "preparing" && name !== "0000000002.segment");
  for (const name of names.sort()) hash.update(name).update(readFileSync(join(directory, name)));
  return hash.digest("hex");
}
