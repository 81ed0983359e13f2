/**
 * The seeds that once failed. They stay when what they found is mended, and every test run runs them again.
 *
 * Invariant: a line is `engine seed # what it found`.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const seedsFile = fileURLToPath(new URL("seeds.txt", import.meta.url));

/** What is simulated: one node, on one of two engines, or a cluster. */
export const simKinds = ["log", "disk", "cluster"] as const;
export type SimKind = (typeof simKinds)[number];

export interface KnownSeed {
  readonly engine: SimKind;
  readonly seed: number;
}

export function readSeeds(): KnownSeed[] {
  return readFileSync(seedsFile, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [engine, seed] = line.split("#")[0]?.trim().split(/\s+/) ?? [];
      const kind = simKinds.find((each) => each === engine);
      return kind === undefined ? [] : [{ engine: kind, seed: Number(seed) }];
    });
}
