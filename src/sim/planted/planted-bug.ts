/**
 * What a planted bug is: changes of our own source, made while it is loaded.
 *
 * Invariant: `find` stands exactly once in its file (checked when it is planted).
 */

import type { SimKind } from "../seeds.ts";

export interface Edit {
  /** Below `src/`. */
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export interface PlantedBug {
  readonly name: string;
  readonly what: string;
  readonly engine: SimKind;
  readonly edits: readonly Edit[];
  /** First seed of its hunt. Default 1. */
  readonly from?: number;
}

/** Makes bugs that are looked for in that kind of simulation. */
export const bugIn =
  (engine: SimKind) =>
  (name: string, what: string, ...edits: Edit[]): PlantedBug => ({ name, what, engine, edits });
export const bug = bugIn("log");
export const onDisk = bugIn("disk");
export const edit = (file: string, find: string, put: string): Edit => ({ file, find, put });
