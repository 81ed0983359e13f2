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

export const bug = (name: string, what: string, ...edits: Edit[]): PlantedBug => ({ name, what, engine: "log", edits });
export const onDisk = (name: string, what: string, ...edits: Edit[]): PlantedBug => ({
  name,
  what,
  engine: "disk",
  edits,
});
export const edit = (file: string, find: string, put: string): Edit => ({ file, find, put });
