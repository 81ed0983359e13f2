/**
 * Kills a service with a projection at random moments, with versions that change, and has it compare after each start.
 *
 * Invariant: after every start each document is what the change log adds up to.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Prng } from "../../src/std/prng.ts";

const script = fileURLToPath(new URL("service.ts", import.meta.url));

export interface KillReport {
  readonly rounds: number;
  /** Events in the log at the end. */
  readonly changes: number;
  /** Changes that all processes folded together before they compared: what restarts cost. */
  readonly folded: number;
  /** Rounds whose process was of another version than the one before. */
  readonly versions: number;
}

/** @throws Error documents differed, or the service did not start */
export async function killRounds(rounds: number, seed: number): Promise<KillReport> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-projection-kill-"));
  const chance = new Prng(seed);
  const report = { rounds: 0, changes: 0, folded: 0, versions: 0 };
  let version = 1;
  try {
    for (; report.rounds < rounds; report.rounds++) {
      const next = chance.next() % 4 === 0 ? version + 1 : version;
      if (next !== version) report.versions++;
      version = next;
      // Some are killed before they have caught up, most while they write.
      const early = chance.next() % 5 === 0;
      const told = await oneRound(
        [directory, String(version)],
        early ? chance.next() % 400 : undefined,
        50 + (chance.next() % 600),
      );
      report.changes = Math.max(report.changes, told?.changes ?? 0);
      report.folded += told?.folded ?? 0;
    }
    return report;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Told {
  readonly changes: number;
  readonly folded: number;
}

/** Undefined if it was killed before it compared. */
async function oneRound(
  args: readonly string[],
  earlyMs: number | undefined,
  writesMs: number,
): Promise<Told | undefined> {
  const child = spawn(process.execPath, ["--conditions=source", script, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  let errors = "";
  child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
  if (earlyMs !== undefined) {
    await pause(earlyMs);
    await kill(child, exited);
    return undefined;
  }
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, "line"), exited.then(() => undefined)]);
  if (first === undefined) throw new Error(`the service ended:\n${errors}`);
  const line = String(first[0]);
  await pause(writesMs);
  await kill(child, exited);
  if (!line.startsWith("equal ")) throw new Error(`after a kill the documents were ${line}`);
  return JSON.parse(line.slice("equal ".length)) as Told;
}

async function kill(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill("SIGKILL");
  await exited;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
