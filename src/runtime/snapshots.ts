/**
 * The snapshots of one shard: saved in layers, published by compare-and-set, verified by reading back.
 *
 * A save writes the images that were touched since the base (the newest listed generation) as a new layer, then a manifest,
 * then replaces the head. Between saves `merge` makes fewer, larger layers of several; the next save publishes them.
 *
 * Invariants:
 * 1. A listed generation has all its objects: they are written before it is listed, and deleted after it is not any more.
 * 2. A lower epoch never replaces the head of a higher one: an owner announces its epoch there before it publishes.
 * 3. An object that no listed generation needs is never needed again, so it may be deleted at any later time.
 * 4. A generation is a base only when this process has read back all of it. So of what stays listed when another one comes the
 *    newest is whole: what rests on an object that rotted never drives out what does not.
 * There are no timers here; work comes in slices with turns of the event loop between them.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { ShardImage } from "../model/images.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectTag, SnapshotStore } from "../ports/snapshot-store.ts";
import {
  encodeHead,
  encodeManifest,
  type Generation,
  type Head,
  type Layer,
  type Manifest,
  type ObjectRef,
  type PartRef,
  sha256,
} from "../wire/snapshot.ts";
import { sameCodes } from "./codes.ts";
import { fetchManifest, findHead, generationsMax, isDamage, problemOf, type SnapshotProblem } from "./snapshot-head.ts";
import { type Images, readLayers, writeLayers } from "./snapshot-layers.ts";
import { type LoadOptions, type LoadResult, loadSnapshot } from "./snapshot-load.ts";
import { ShardObjects, type Stamp } from "./snapshot-objects.ts";
import { RequestsWriter } from "./snapshot-requests.ts";
import { dueMerge } from "./snapshot-tiers.ts";

export interface ShardSnapshotsOptions {
  readonly store: SnapshotStore;
  readonly shard: ShardId;
  readonly clock: Clock;
}

export interface SaveInput {
  readonly image: ShardImage;
  /**
   * At least the images of all entities with a record at or above `since`; 1 asks for all entities. They contain every
   * record below `image.at` and none that is not durable. In ascending order of their names if that is cheap. Called once.
   */
  readonly images: (since: Offset) => Images;
  /**
   * Where the newest generation is of the same offset, make another one that does not share with it what came since the one
   * before: then the log, which nothing comes to any more, may be trimmed up to there.
   */
  readonly again?: boolean;
  /** Commands go on meanwhile: this work, and the merges after it, rest for them. */
  readonly easy?: boolean;
  /** Hash of the code of each entity type. If one is another than the base's, the save is whole. */
  readonly codes: Readonly<Record<string, string>>;
}

export interface SavedSnapshot {
  readonly generation: number;
  readonly at: Offset;
  /** Whether all entities were written. */
  readonly whole: boolean;
  readonly layers: number;
  /** Written by this save; merges count for themselves. */
  readonly uploadedBytes: number;
  readonly uploadedObjects: number;
  /**
   * The log may be trimmed below it: `at` of the second-newest generation whose objects were all read back and checked.
   * Undefined while there are not two.
   */
  readonly trimBelow: Offset | undefined;
  /** Objects that failed a check. What rests on them is left out by the next save. */
  readonly problems: readonly SnapshotProblem[];
}

/** What this owner knows of the store. */
interface Known {
  readonly tag: ObjectTag | undefined;
  readonly head: Head;
}

interface Base {
  readonly listed: Generation;
  readonly manifest: Manifest;
}

const announceTriesMax = 8;
const deletesMax = 500;

export class ShardSnapshots {
  readonly #objects: ShardObjects;
  readonly #requests: RequestsWriter;
  /** Of listed generations, by name. */
  readonly #manifests = new Map<string, Manifest>();
  /** Names of objects that were read back. */
  readonly #verified = new Set<string>();
  readonly #bad = new Map<string, SnapshotProblem>();
  /** The layers of one manifest after merges that are not published yet. */
  #merged: { readonly base: string; readonly layers: readonly Layer[]; readonly stamp: Stamp } | undefined;
  #newest: Base | undefined;
  #scrubbed = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ShardSnapshotsOptions) {
    this.#objects = new ShardObjects(options);
    this.#requests = new RequestsWriter(this.#objects);
  }

  /** The newest snapshot that verifies, falling back where one does not. @throws `unavailable` */
  load(options: LoadOptions = {}): Promise<LoadResult> {
    return this.#exclusive(async () => {
      this.#objects.easy = false;
      const result = await loadSnapshot(this.#objects, options);
      for (const problem of result.problems) this.#bad.set(problem.name, problem);
      if (result.snapshot !== undefined)
        for (const { name } of objectsOf(result.snapshot.manifest)) this.#verified.add(name);
      return result;
    });
  }

  /**
   * Saves and publishes one generation. Calls wait for each other.
   * @throws `fenced` a later owner was here: final
   * @throws `unavailable` no answer of the store; what was listed still is, or the new generation too. Save again later.
   * @throws `invalid-configuration` the store holds snapshots of records that this log does not have
   */
  save(input: SaveInput): Promise<SavedSnapshot> {
    return this.#exclusive(() => this.#save(input));
  }

  /**
   * Merges some layers of the newest generation, if that is due. The next save publishes it.
   * @returns whether there was something to do; then there may be more
   */
  merge(): Promise<boolean> {
    return this.#exclusive(() => this.#merge());
  }

  /**
   * Reads back one object of the newest generation, another one each time, because stores rot too.
   * @returns what is wrong with it; the next save is then whole
   */
  scrub(): Promise<SnapshotProblem | undefined> {
    return this.#exclusive(async () => {
      const names = this.#newest === undefined ? [] : objectsOf(this.#newest.manifest);
      const ref = names[this.#scrubbed++ % Math.max(1, names.length)];
      if (ref !== undefined) await this.#isGood(ref);
      return ref === undefined ? undefined : this.#bad.get(ref.name);
    });
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#turn.then(work);
    this.#turn = run.catch(() => undefined);
    return run;
  }

  async #save({ image, images, codes, again, easy = false }: SaveInput): Promise<SavedSnapshot> {
    this.#objects.easy = easy;
    const before = this.#objects.uploaded;
    const known = await this.#announce(image.epoch);
    let base = await this.#findBase(known.head, image.at, codes);
    if (base?.listed.at === image.at) {
      const twice = known.head.generations.filter((one) => one.at === image.at && this.#isUsable(one)).length > 1;
      if (again !== true || twice) return this.#result(known, base, before, false);
      base = await this.#findBase(known.head, image.at, codes, image.at - 1);
    }
    const generation = 1 + known.head.generations.reduce((most, one) => Math.max(most, one.generation), 0);
    const stamp = { epoch: image.epoch, generation };
    const added = await writeLayers(this.#objects, stamp, images(base?.listed.at ?? 1));
    const kept = base === undefined ? [] : this.#layersOf(base);
    const requests = await this.#requests.write(stamp, image.requests, base?.manifest.requests ?? []);
    const { at, chain, epoch, timeMs } = image;
    const { shard } = this.#objects;
    const layers = [...kept, ...added];
    const manifest = { shard, generation, epoch, at, chain, timeMs, codes: { ...codes }, layers, requests };
    const published = await this.#publish(known, stamp, manifest);
    this.#merged = undefined;
    const newest = { listed: published.head.generations[0] as Generation, manifest };
    return this.#result(published, newest, before, base === undefined);
  }

  /** Reads the head; puts this epoch into it if it has a lower one. */
  async #announce(epoch: Epoch): Promise<Known> {
    for (let attempt = 0; attempt < announceTriesMax; attempt++) {
      const { tag, head, problem } = await findHead(this.#objects);
      if (problem !== undefined)
        this.#bad.set(this.#objects.headName, { name: this.#objects.headName, error: problem });
      if (head.epoch > epoch) throw this.#fenced(epoch, head.epoch);
      if (head.epoch === epoch && problem === undefined) return { tag, head };
      const announced = { ...head, epoch };
      const result = await this.#objects.store.replace(this.#objects.headName, encodeHead(announced), tag);
      if (!result.ok) continue;
      this.#bad.delete(this.#objects.headName);
      return { tag: result.tag, head: announced };
    }
    throw new HoldfastError("unavailable", `The snapshot head of shard ${this.#objects.shard} changes all the time.`);
  }

  #fenced(epoch: Epoch, other: Epoch): HoldfastError {
    const { shard } = this.#objects;
    return new HoldfastError(
      "fenced",
      `Shard ${shard} has snapshots of epoch ${other}; this owner has epoch ${epoch}.`,
      {
        details: { shard, epoch, other },
      },
    );
  }

  /** The newest listed generation, not above `atMost`, on which another of offset `at` may rest. */
  async #findBase(head: Head, at: Offset, codes: SaveInput["codes"], atMost = at): Promise<Base | undefined> {
    const newest = head.generations[0];
    if (newest !== undefined && newest.at > at) throw this.#ahead(newest.at, at);
    for (const listed of head.generations) {
      if (listed.at > atMost || !(await this.#isWhole(listed))) continue;
      const manifest = (await this.#manifestOf(listed)) as Manifest;
      return sameCodes(manifest.codes, codes) ? { listed, manifest } : undefined;
    }
    return undefined;
  }

  #ahead(found: Offset, at: Offset): HoldfastError {
    const { shard } = this.#objects;
    return new HoldfastError(
      "invalid-configuration",
      `The snapshots of shard ${shard} reach offset ${found} and its log only ${at}. They are another service's, or the log lost ` +
        "records. Give this service a snapshot store of its own, or recover its log.",
      { details: { shard, found, at } },
    );
  }

  async #manifestOf(listed: Generation): Promise<Manifest | undefined> {
    const known = this.#manifests.get(listed.name);
    if (known !== undefined) return known;
    if (this.#bad.has(listed.name)) return undefined;
    try {
      const manifest = await fetchManifest(this.#objects, listed);
      this.#manifests.set(listed.name, manifest);
      return manifest;
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#bad.set(listed.name, { name: listed.name, error });
      return undefined;
    }
  }

  #layersOf({ listed, manifest }: Base): readonly Layer[] {
    return this.#merged?.base === listed.name ? this.#merged.layers : manifest.layers;
  }

  async #publish(known: Known, stamp: Stamp, manifest: Manifest): Promise<Known> {
    const bytes = encodeManifest(manifest);
    const digest = sha256(bytes);
    const name = this.#objects.nameOf("manifests", stamp, digest);
    await this.#objects.put(name, bytes);
    const listed = { ...stamp, at: manifest.at, name, length: bytes.length, sha256: digest };
    const usable = known.head.generations.filter((one) => this.#isUsable(one));
    const { shard } = this.#objects;
    const head = { shard, epoch: stamp.epoch, generations: [listed, ...usable].slice(0, generationsMax) };
    const result = await this.#objects.store.replace(this.#objects.headName, encodeHead(head), known.tag);
    if (!result.ok) {
      const other = (await findHead(this.#objects)).head.epoch;
      if (other > stamp.epoch) throw this.#fenced(stamp.epoch, other);
      throw new HoldfastError("unavailable", `The snapshot head of shard ${shard} was changed meanwhile; save again.`);
    }
    this.#manifests.set(name, manifest);
    return { tag: result.tag, head };
  }

  #isUsable(listed: Generation): boolean {
    const manifest = this.#manifests.get(listed.name);
    if (this.#bad.has(listed.name)) return false;
    return manifest === undefined || objectsOf(manifest).every(({ name }) => !this.#bad.has(name));
  }

  async #result(
    known: Known,
    base: Base,
    before: { bytes: number; objects: number },
    whole: boolean,
  ): Promise<SavedSnapshot> {
    const { bytes, objects } = this.#objects.uploaded;
    this.#newest = base;
    let trimBelow: Offset | undefined;
    try {
      trimBelow = await this.#verify(known.head);
      await this.#sweep(known.head);
    } catch (error) {
      // The generation is published; what the store did not answer is done after the next save.
      if (!isHoldfastError(error) || !error.retryable) throw error;
    }
    const problems = [...this.#bad.values()];
    return {
      generation: base.listed.generation,
      at: base.listed.at,
      whole,
      layers: base.manifest.layers.length,
      uploadedBytes: bytes - before.bytes,
      uploadedObjects: objects - before.objects,
      trimBelow,
      problems,
    };
  }

  /** Reads back what was not yet, of the newest generations, until two are whole. @returns `at` of the second */
  async #verify(head: Head): Promise<Offset | undefined> {
    let whole = 0;
    for (const listed of head.generations) {
      if (!(await this.#isWhole(listed))) continue;
      whole++;
      if (whole === 2) return listed.at;
    }
    return undefined;
  }

  async #isWhole(listed: Generation): Promise<boolean> {
    const manifest = await this.#manifestOf(listed);
    if (manifest === undefined) return false;
    for (const ref of [listed, ...objectsOf(manifest)]) {
      if (this.#bad.has(ref.name)) return false;
      if (!this.#verified.has(ref.name) && !(await this.#isGood(ref))) return false;
    }
    return true;
  }

  /** Reads an object back. */
  async #isGood(ref: ObjectRef): Promise<boolean> {
    try {
      await this.#objects.fetch(ref);
      this.#verified.add(ref.name);
      return true;
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#bad.set(ref.name, { name: ref.name, error });
      return false;
    }
  }

  /** Deletes what no listed generation needs and no other owner can be writing. */
  async #sweep(head: Head): Promise<void> {
    const needed = new Set<string>([this.#objects.headName]);
    for (const listed of head.generations) {
      needed.add(listed.name);
      const manifest = await this.#manifestOf(listed);
      if (manifest !== undefined) for (const { name } of objectsOf(manifest)) needed.add(name);
    }
    for (const layer of this.#merged?.layers ?? []) for (const { name } of layer.parts) needed.add(name);
    const dead: string[] = [];
    for await (const name of this.#objects.store.list(this.#objects.prefix)) {
      const stamp = this.#objects.stampOf(name);
      if (stamp !== undefined && stamp.epoch <= head.epoch && !needed.has(name)) dead.push(name);
    }
    for (let from = 0; from < dead.length; from += deletesMax)
      await this.#objects.store.delete(dead.slice(from, from + deletesMax));
    for (const names of [this.#manifests, this.#verified, this.#bad])
      for (const name of [...names.keys()]) if (!needed.has(name)) names.delete(name);
  }

  async #merge(): Promise<boolean> {
    const base = this.#newest;
    if (base === undefined || objectsOf(base.manifest).some(({ name }) => this.#bad.has(name))) return false;
    const layers = this.#layersOf(base);
    const due = new Set(dueMerge(layers.map(bytesOf)));
    if (due.size === 0) return false;
    // Named after the generation that will publish it; a sweep before that keeps it by name.
    const stamp = { epoch: base.listed.epoch, generation: base.listed.generation + 1 };
    const chosen = layers.filter((_, index) => due.has(index));
    try {
      const merged = await writeLayers(this.#objects, stamp, this.#readMerged(chosen));
      const rest = layers.filter((_, index) => !due.has(index));
      this.#merged = { base: base.listed.name, layers: [...rest, ...merged], stamp };
    } catch (error) {
      if (!isDamage(error)) throw error;
      const problem = problemOf(error, base.listed.name);
      this.#bad.set(problem.name, problem);
      return false;
    }
    return true;
  }

  async *#readMerged(layers: readonly Layer[]) {
    const fetch = (part: PartRef) => this.#objects.fetch(part);
    for await (const batch of readLayers(layers, fetch, () => this.#objects.turn())) yield* batch;
  }
}

function bytesOf(layer: Layer): number {
  return layer.parts.reduce((sum, part) => sum + part.length, 0);
}

/** Everything that a manifest needs beside itself. */
function objectsOf(manifest: Manifest): readonly ObjectRef[] {
  return [...manifest.layers.flatMap((layer) => layer.parts), ...manifest.requests];
}
