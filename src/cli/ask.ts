/**
 * Asks before something is destroyed.
 *
 * Invariant: without a person at a terminal, and without `--yes`, nothing happens.
 */
import { createInterface } from "node:readline/promises";
import { UsageError } from "./settings.ts";

/** @throws UsageError nobody can be asked, or the answer is no */
export async function confirm(what: string, yes: boolean | undefined): Promise<void> {
  if (yes === true) return;
  if (process.stdin.isTTY !== true) throw new UsageError(`${what} Nobody can be asked here; add --yes to do it.`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${what} Type yes to go on: `);
    if (answer.trim().toLowerCase() !== "yes") throw new UsageError("nothing was done.");
  } finally {
    lines.close();
  }
}
