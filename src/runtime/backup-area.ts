/**
 * The objects of one backup in a snapshot store, and which backups a store has.
 *
 *   backups/<name>/catalogue           what it is made of; written last, by compare-and-set
 *   backups/<name>/objects/<sha256>    everything else, named by its content; behind the digest of what others put in (extras)
 *                                      stands a random number, since these are replaced and deleted (`backup-erase.ts`)
 *
 * Invariants: a backup needs nothing outside its own folder, so deleting one, or what a node sweeps and archives below
 * `shards/`, never harms another. Without a catalogue it is not a backup, whatever is in the folder.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { ObjectTag, SnapshotStore } from "../ports/snapshot-store.ts";
import { type Catalogue, decodeCatalogue, type ExtraRef, encodeCatalogue } from "../wire/backup.ts";
import type { ObjectRef } from "../wire/snapshot.ts";
import { digestInSlices, fetchChecked } from "./snapshot-objects.ts";

const prefix = "backups/";
/** With the digest behind it a name is still one of a store. */
const namePattern = /^[a-z0-9][a-z0-9.-]{0,63}$/;
const deletesMax = 500;

/** Hears how far it is, in bytes. */
export interface BackupProgress {
  expect(bytes: number): void;
  advance(bytes: number): void;
}

/** @throws `invalid-input` */
export function checkBackupName(name: string): void {
  if (namePattern.test(name) && !name.endsWith(".")) return;
  const form =
    "A backup's name is 1 to 64 of a-z, 0-9, - and ., beginning with a letter or digit and not ending with a dot";
  throw new HoldfastError("invalid-input", `${form}; ${JSON.stringify(name)} is not one.`);
}

export class BackupArea {
  readonly #store: SnapshotStore;
  readonly #backup: string;
  readonly #clock: Clock;
  /** Digests of what is there. */
  readonly #there = new Set<string>();

  constructor(options: { readonly store: SnapshotStore; readonly name: string; readonly clock: Clock }) {
    checkBackupName(options.name);
    this.#store = options.store;
    this.#backup = options.name;
    this.#clock = options.clock;
  }

  get catalogueName(): string {
    return `${prefix}${this.#backup}/catalogue`;
  }

  #objectName(digest: string): string {
    return `${prefix}${this.#backup}/objects/${digest}`;
  }

  /** True if it was put before: then it need not be fetched. */
  has({ sha256: digest }: ObjectRef): boolean {
    return this.#there.has(digest);
  }

  /** @param digest the SHA-256 of the bytes */
  async put(digest: string, bytes: Uint8Array): Promise<ObjectRef> {
    const ref = { name: this.#objectName(digest), length: bytes.length, sha256: digest };
    if (this.#there.has(digest)) return ref;
    await this.#store.put(ref.name, bytes);
    this.#there.add(digest);
    return ref;
  }

  /** An object by its digest, whatever name it had elsewhere. @throws `snapshot-damaged` */
  fetch({ length, sha256: digest }: ObjectRef): Promise<Uint8Array> {
    const ref = { name: this.#objectName(digest), length, sha256: digest };
    return fetchChecked(this.#store, ref, () => this.turn());
  }

  /** Puts an extra, under a name that no other one has. */
  async putExtra(bytes: Uint8Array, random: Random): Promise<ObjectRef> {
    const digest = await digestInSlices(bytes, () => this.turn());
    const name = `${this.#objectName(digest)}-${Buffer.from(random.bytes(8)).toString("hex")}`;
    await this.#store.put(name, bytes);
    return { name, length: bytes.length, sha256: digest };
  }

  /** As it is now: an erasure may have replaced it since the catalogue was read. @throws `snapshot-damaged` */
  async fetchExtra({ name, ref }: ExtraRef): Promise<Uint8Array> {
    const last = lastPart(ref.name);
    try {
      return await fetchChecked(this.#store, { ...ref, name: this.#objectName(last) }, () => this.turn());
    } catch (error) {
      const found = await this.#store.get(this.catalogueName);
      const extras = found === undefined ? [] : decodeCatalogue(this.catalogueName, found.bytes).extras;
      const now = extras.find((extra) => extra.name === name);
      if (now === undefined || lastPart(now.ref.name) === last) throw error;
      return await this.fetchExtra(now);
    }
  }

  /** Last parts of the names of all objects that are there. */
  async objects(): Promise<readonly string[]> {
    const found: string[] = [];
    for await (const name of this.#store.list(this.#objectName(""))) found.push(lastPart(name));
    return found;
  }

  /** @param lasts last parts of their names */
  async deleteObjects(lasts: readonly string[]): Promise<void> {
    await deleteAll(
      this.#store,
      lasts.map((last) => this.#objectName(last)),
    );
  }

  turn(): Promise<void> {
    return new Promise((done) => this.#clock.defer(done));
  }

  /** @throws `invalid-configuration` there is no such backup; `snapshot-damaged` */
  async read(): Promise<Catalogue> {
    return (await this.readTagged()).catalogue;
  }

  /** With what `replace` compares. @throws as `read` */
  async readTagged(): Promise<{ readonly catalogue: Catalogue; readonly tag: ObjectTag }> {
    const found = await this.#store.get(this.catalogueName);
    if (found !== undefined) return { catalogue: decodeCatalogue(this.catalogueName, found.bytes), tag: found.tag };
    const text = `There is no backup ${JSON.stringify(this.#backup)} in this store. \`holdfast backup list\` shows what is there.`;
    throw new HoldfastError("invalid-configuration", text);
  }

  /** @throws `invalid-configuration` there is a backup of this name */
  async checkFree(): Promise<void> {
    if ((await this.#store.get(this.catalogueName)) !== undefined) throw this.#taken();
  }

  /** Makes it a backup. @throws `invalid-configuration` somebody else made one of this name meanwhile */
  async publish(catalogue: Catalogue): Promise<void> {
    const written = await this.#store.replace(this.catalogueName, encodeCatalogue(catalogue), undefined);
    if (!written.ok) throw this.#taken();
  }

  /** @returns false if the catalogue is not the one any more that was read with this tag; nothing was changed then */
  async replace(catalogue: Catalogue, tag: ObjectTag): Promise<boolean> {
    return (await this.#store.replace(this.catalogueName, encodeCatalogue(catalogue), tag)).ok;
  }

  /** Deletes what was put and turned out not to be needed; if the store does not answer, it stays. */
  async keepOnly(needed: ReadonlySet<string>): Promise<void> {
    const spare = [...this.#there].filter((digest) => !needed.has(digest));
    try {
      await deleteAll(
        this.#store,
        spare.map((digest) => this.#objectName(digest)),
      );
    } catch (error) {
      if (!isHoldfastError(error) || !error.retryable) throw error;
    }
  }

  /** Deletes the backup, or what is left of one that was not finished. @returns how many objects */
  async remove(): Promise<number> {
    const names: string[] = [];
    for await (const name of this.#store.list(`${prefix}${this.#backup}/`)) names.push(name);
    // The catalogue first: what is deleted in part is no backup any more.
    await this.#store.delete([this.catalogueName]);
    await deleteAll(this.#store, names);
    return names.length;
  }

  #taken(): HoldfastError {
    const text = `There is a backup ${JSON.stringify(this.#backup)} already. Choose another name, or delete that one first.`;
    return new HoldfastError("invalid-configuration", text);
  }
}

/** What an object is called in the folder of its backup. */
export function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

async function deleteAll(store: SnapshotStore, names: readonly string[]): Promise<void> {
  for (let from = 0; from < names.length; from += deletesMax) await store.delete(names.slice(from, from + deletesMax));
}

/** Names of the backups of a store, and of folders of some that were not finished. */
export async function listBackups(
  store: SnapshotStore,
): Promise<readonly { readonly name: string; readonly finished: boolean }[]> {
  const found = new Map<string, boolean>();
  for await (const object of store.list(prefix)) {
    const [, name = "", area = ""] = object.split("/");
    found.set(name, area === "catalogue" || found.get(name) === true);
  }
  return [...found].map(([name, finished]) => ({ name, finished }));
}
