/**
 * Erasures in backups: the object with the keys is replaced by one without, everything else stays as it is.
 *
 *   read the catalogue --> put the new keys --> replace the catalogue if it is still the same --> delete the old keys
 *     --> begin again, until there is nothing to do
 *
 * Invariants:
 * 1. The catalogue always refers to keys that are there: they are put before it and deleted after it, under a name that nobody
 *    uses twice. So a backup can be restored whatever cuts this short.
 * 2. What no catalogue refers to is deleted only after the catalogue was replaced: whoever else has put new keys meanwhile fails
 *    to replace it, and begins again. So what a crash left behind goes at the next erasure, and what others do is not harmed.
 *    One that would do nothing else lets such an erasure end first, or two would keep each other from it.
 * 3. It has ended when a reading found nothing to do: that is the verification.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { BackupArea, lastPart, listBackups } from "./backup-area.ts";
import { keysExtra } from "./backup-sealed.ts";
import { manifestOf, objectNamesOf } from "./backup-verify.ts";

/** More than erasures that run at the same time. */
const triesMax = 32;
/** What nothing refers to may be another erasure's, which is about to refer to it: it is given so much time, and more later. */
const patienceMs = 50;

export interface BackupKeys {
  readonly from: SnapshotStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Exported keys without those that are to go; the same object if there is none. */
  readonly change: (keys: Uint8Array) => Uint8Array;
}

/** What became of a backup. */
export type ErasedBackup =
  | {
      readonly name: string;
      /** `unfinished`: it is being made, or was never finished; what is in its folder was left as it is. */
      readonly outcome: "erased" | "nothing-to-erase" | "no-keys" | "unfinished";
    }
  | { readonly name: string; readonly outcome: "failed"; readonly error: HoldfastError };

/** Changes the keys of every backup of a store. One that fails does not keep the others from it. */
export async function changeAllKeys(request: BackupKeys): Promise<readonly ErasedBackup[]> {
  const results: ErasedBackup[] = [];
  for (const { name, finished } of await listBackups(request.from)) {
    if (!finished) {
      results.push({ name, outcome: "unfinished" });
      continue;
    }
    try {
      results.push({ name, outcome: await changeKeys({ ...request, name }) });
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      results.push({ name, outcome: "failed", error });
    }
  }
  return results;
}

/**
 * @returns `erased` also if only what an erasure that was cut short had left was to be deleted
 * @throws `snapshot-damaged`, `keys-damaged`, `unavailable`; `invalid-configuration` there is no such backup
 */
export async function changeKeys(
  request: BackupKeys & { readonly name: string },
): Promise<"erased" | "nothing-to-erase" | "no-keys"> {
  const { name, from, clock, random, change } = request;
  let erased = false;
  let before: { readonly tag: string; readonly spare: readonly string[] } = { tag: "", spare: [] };
  for (let attempt = 1; attempt <= triesMax; attempt++) {
    const area = new BackupArea({ store: from, name, clock });
    const { catalogue, tag } = await area.readTagged();
    const there = await area.objects();
    const old = catalogue.extras.find((extra) => extra.name === keysExtra);
    if (old === undefined) return "no-keys";
    const keys = await area.fetchExtra(old);
    const changed = change(keys);
    const manifests = await Promise.all(catalogue.shards.map((shard) => manifestOf(shard, area)));
    const needed = objectNamesOf(
      catalogue,
      manifests.filter((manifest) => manifest !== undefined),
    );
    const spare = there.filter((last) => !needed.has(last));
    if (changed === keys) {
      if (spare.length === 0) return erased ? "erased" : "nothing-to-erase";
      const isNew = before.tag !== tag || !spare.some((last) => before.spare.includes(last));
      before = { tag, spare };
      if (isNew) {
        await pause(clock, patienceMs * attempt * (1 + (random.bytes(1)[0] as number) / 256));
        continue;
      }
    }
    const ref = await area.putExtra(changed, random);
    const extras = catalogue.extras.map((extra) => (extra.name === keysExtra ? { ...extra, ref } : extra));
    const bytes = catalogue.bytes - old.ref.length + ref.length;
    if (!(await area.replace({ ...catalogue, bytes, extras }, tag))) continue;
    erased = true;
    await area.deleteObjects([...spare, lastPart(old.ref.name)]);
  }
  const text = `Others changed the keys of backup ${name} ${triesMax} times meanwhile. Ask again; an erasure may be repeated.`;
  throw new HoldfastError("unavailable", text);
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((done) => void clock.after(ms, done));
}
