/**
 * Loading a shard's newest snapshot that verifies.
 *
 * Invariant: nothing of a generation is handed out before all of it was fetched and checked, so a recovery that began with
 * one does not have to start over. Small ones are kept in memory meanwhile; of large ones each object is fetched, and checked,
 * a second time when it is its turn.
 */
import type { Offset } from "../model/ids.ts";
import type { ShardImage, StoredImage } from "../model/images.ts";
import type { Generation, Manifest, ObjectRef, PartRef } from "../wire/snapshot.ts";
import { readPart } from "../wire/snapshot-part.ts";
import type { Lent } from "../wire/snapshot-part-lookup.ts";
import { decodeRequests, joinRequests } from "../wire/snapshot-requests.ts";
import { type FoundHead, fetchManifest, findHead, isDamage, problemOf, type SnapshotProblem } from "./snapshot-head.ts";
import { readLayers } from "./snapshot-layers.ts";
import { SnapshotLookup } from "./snapshot-lookup.ts";
import { type ShardObjects, Transfers } from "./snapshot-objects.ts";

/** Of one shard, compressed, while it is loaded; what is held until it is imported is lent by the node. */
const heldBytesMax = 64 * 1024 * 1024;

export interface LoadResult {
  /** Undefined if there is none, or none that verifies: then the log alone can tell the state. */
  readonly snapshot: LoadedSnapshot | undefined;
  /** What was bad, the newest generation first. */
  readonly problems: readonly SnapshotProblem[];
  /** The log once had every record below it: the shard's head lists a snapshot of that offset, be it damaged. */
  readonly told: Offset;
}

export interface LoadOptions {
  /** Takes the newest generation whose `at` is not above this: for a state of the past. */
  readonly atMost?: Offset;
}

/** How often it starts over because generations were saved and deleted while it read. */
const startsMax = 3;

export async function loadSnapshot(objects: ShardObjects, options: LoadOptions = {}): Promise<LoadResult> {
  const open = ({ manifest }: Candidate) => LoadedSnapshot.open(objects, manifest);
  const { taken: snapshot, ...rest } = await takeNewest(objects, options, open);
  return { snapshot, ...rest };
}

/** A generation that is listed and may be whole. */
export interface Candidate {
  readonly listed: Generation;
  readonly manifest: Manifest;
}

export interface Taken<T> extends Omit<LoadResult, "snapshot"> {
  readonly taken: T | undefined;
}

/** What `take` makes of the newest generation; of an older one where it throws `snapshot-damaged`. */
export async function takeNewest<T>(
  objects: ShardObjects,
  options: LoadOptions,
  take: (candidate: Candidate) => Promise<T>,
): Promise<Taken<T>> {
  for (let start = 1; ; start++) {
    const found = await findHead(objects);
    const result = await takeFrom({ objects, found, options, take });
    if (result.taken !== undefined || result.problems.length === 0 || start === startsMax) return result;
    if ((await findHead(objects)).tag === found.tag) return result;
  }
}

interface TakeFrom<T> {
  readonly objects: ShardObjects;
  readonly found: FoundHead;
  readonly options: LoadOptions;
  readonly take: (candidate: Candidate) => Promise<T>;
}

async function takeFrom<T>({ objects, found, options, take }: TakeFrom<T>): Promise<Taken<T>> {
  const { head, problem } = found;
  const problems: SnapshotProblem[] = [];
  if (problem !== undefined) problems.push({ name: objects.headName, error: problem });
  const told = head.generations.reduce((most, { at }) => Math.max(most, at), 1);
  for (const listed of head.generations) {
    if (options.atMost !== undefined && listed.at > options.atMost) continue;
    try {
      const manifest = await fetchManifest(objects, listed);
      return { taken: await take({ listed, manifest }), problems, told };
    } catch (error) {
      if (!isDamage(error)) throw error;
      problems.push(problemOf(error, listed.name));
    }
  }
  return { taken: undefined, problems, told };
}

export class LoadedSnapshot {
  readonly manifest: Manifest;
  readonly image: ShardImage;
  readonly #objects: ShardObjects;
  readonly #held: ReadonlyMap<string, Uint8Array>;

  private constructor(objects: ShardObjects, manifest: Manifest, image: ShardImage, held: Map<string, Uint8Array>) {
    this.#objects = objects;
    this.manifest = manifest;
    this.image = image;
    this.#held = held;
  }

  /** @throws `snapshot-damaged` if any object of it is missing or other than it was written */
  static async open(objects: ShardObjects, manifest: Manifest): Promise<LoadedSnapshot> {
    const parts = manifest.layers.flatMap((layer) => layer.parts);
    const total = parts.reduce((sum, part) => sum + part.length, 0);
    const held = new Map<string, Uint8Array>();
    const requests = new Map<string, Uint8Array>();
    const transfers = new Transfers();
    const take = (refs: readonly ObjectRef[], into: Map<string, Uint8Array> | undefined) =>
      refs.map((ref) => async () => {
        const bytes = await objects.fetch(ref);
        into?.set(ref.name, bytes);
      });
    const work = [...take(manifest.requests, requests), ...take(parts, total <= heldBytesMax ? held : undefined)];
    for (const one of work) await transfers.start(one);
    await transfers.settle();
    const chunks = manifest.requests.map((ref) => decodeRequests(ref, requests.get(ref.name) as Uint8Array));
    const { at, chain, epoch, timeMs } = manifest;
    const image = { at, chain, epoch, timeMs, requests: joinRequests(chunks) };
    return new LoadedSnapshot(objects, manifest, image, held);
  }

  get generation(): number {
    return this.manifest.generation;
  }

  /** Entities, at most: those in several layers count several times. */
  get imagesAtMost(): number {
    return this.manifest.layers.reduce(
      (sum, { parts }) => sum + parts.reduce((count, part) => count + part.images, 0),
      0,
    );
  }

  /** Answers for single entities at once; undefined if the snapshot is too large to be held in memory. */
  lookup(lent: Lent): SnapshotLookup | undefined {
    const { layers } = this.manifest;
    if (!layers.every(({ parts }) => parts.every(({ name }) => this.#held.has(name)))) return undefined;
    return new SnapshotLookup(layers, ({ name }) => this.#held.get(name) as Uint8Array, lent);
  }

  /** What it takes in memory. */
  get heldBytes(): number {
    let bytes = 0;
    for (const part of this.#held.values()) bytes += part.length;
    return bytes;
  }

  turn(): Promise<void> {
    return this.#objects.turn();
  }

  /** All entities in ascending order of their names. Bytes share larger buffers: copy those that are kept. */
  batches(): AsyncGenerator<StoredImage[]> {
    return readLayers(
      this.manifest.layers,
      (part) => this.#fetch(part),
      () => this.#objects.turn(),
    );
  }

  async *images(): AsyncGenerator<StoredImage> {
    for await (const batch of this.batches()) yield* batch;
  }

  /** One entity by its name, reading only the parts that may have it. */
  async find(name: string): Promise<StoredImage | undefined> {
    let found: StoredImage | undefined;
    for (const part of this.manifest.layers.flatMap((layer) => layer.parts)) {
      if (name < part.first || name > part.last) continue;
      for (const images of readPart(part, await this.#fetch(part))) {
        const image = images.find((one) => one.name === name);
        if (image !== undefined && (found === undefined || image.touched > found.touched)) found = image;
        await this.#objects.turn();
      }
    }
    return found;
  }

  async #fetch(part: PartRef): Promise<Uint8Array> {
    return this.#held.get(part.name) ?? (await this.#objects.fetch(part));
  }
}
