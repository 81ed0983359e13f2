/**
 * A small store to damage: its file as a killed process and as a close leave it, and what it shows.
 */
import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf, image, ModelStore } from "../../ports/state-store.contract.kit.ts";
import type { StateStore, StateWrite } from "../../ports/state-store.ts";
import { openLmdbStateStore } from "./open.ts";
import { bootId, identityOf, type Seal, writeSeal } from "./seal.ts";

export const shards: readonly number[] = [0, 9];

/** Several transactions, so that there are old pages, free pages, a branch, and data in pages of its own. */
export function writesOf(round: number): StateWrite[] {
  return shards.map((shard) => ({
    shard,
    images: Array.from({ length: 14 }, (_, index) =>
      image(`w/${index}`, round * 100 + index, {
        length: shard === 9 && index === 3 ? 4_200 : 90,
        busy: index % 5 === 0,
      }),
    ),
    stamp: bytesOf(shard + round, 40),
  }));
}

export interface Sample {
  /** As a kill leaves it. */
  readonly open: Buffer;
  /** As a close leaves it. */
  readonly closed: Buffer;
  readonly model: ModelStore;
  /** What it showed before its last write. */
  readonly before: ModelStore;
}

export async function makeSample(directory: string): Promise<Sample> {
  const store = await openLmdbStateStore({ directory, bytesMax: 1 << 24 });
  const [model, before] = [new ModelStore(), new ModelStore()];
  for (let round = 0; round < 3; round++) {
    model.write(writesOf(round));
    if (round < 2) before.write(writesOf(round));
    await store.write(writesOf(round));
  }
  const path = join(directory, "state.mdb");
  const sample = readFileSync(path);
  await store.close();
  return { open: sample, closed: readFileSync(path), model, before };
}

/** Puts a data file with a seal that fits it into the directory. */
export async function place(directory: string, bytes: Buffer, closed: Seal["closed"]): Promise<void> {
  const path = join(directory, "state.mdb");
  const file = await open(path, "w");
  await file.writeFile(bytes);
  await file.close();
  await writeSeal(directory, { identity: identityOf(directory, path), boot: bootId(), closed });
}

/**
 * What a store shows of a damaged file: `same`, `empty`, or `holes` (something is undefined and was told as damaged).
 * Anything else throws: that would be wrong state.
 */
export async function look(directory: string, model: ModelStore): Promise<"same" | "empty" | "holes"> {
  let emptied = false;
  const told = new Set<string>();
  const store = await openLmdbStateStore({
    directory,
    bytesMax: 1 << 24,
    emptied: () => {
      emptied = true;
    },
    damaged: (shard, name) => told.add(`${shard} ${name}`),
  });
  try {
    if (emptied) new ModelStore().assertShownBy(store, shards);
    else if (!(await shows(store, model, told))) return "holes";
    // It must also be possible to go on writing.
    await store.write(writesOf(7));
    const after = new ModelStore();
    after.write(writesOf(7));
    after.assertShownBy(store, shards);
    return emptied ? "empty" : "same";
  } finally {
    await store.close();
  }
}

async function shows(store: StateStore, model: ModelStore, told: ReadonlySet<string>): Promise<boolean> {
  try {
    model.assertShownBy(store, shards);
    return true;
  } catch (cause) {
    if (told.size > 0) return false;
    throw cause;
  }
}
