/**
 * The seeds that once failed. They stay when what they found is mended, and every test run runs them again.
 *
 * Invariant: a line is `engine seed # what it found`.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const seedsFile = fileURLToPath(new URL("seeds.txt", import.meta.url));

export interface KnownSeed {
  readonly engine: "log" | "disk";
  readonly seed: number;
}

export function readSeeds(): KnownSeed[] {
  return readFileSync(seedsFile, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [engine, seed] = line.split("#")[0]?.trim().split(/\s+/) ?? [];
      return engine === "log" || engine === "disk" ? [{ engine, seed: Number(seed) }] : [];
    });
}
