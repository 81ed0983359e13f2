/**
 * What is kept of one shard outside memory: its images in the state store, its snapshots, and how far both go.
 *
 * Invariants:
 * 1. An image is stored only when every record it contains is durable, and only if its incarnation still lives.
 * 2. A stamp or a snapshot of offset S is published only when all that changed below S is stored.
 */
import { backoff } from "../core/alarms.ts";
import { requestsOf } from "../core/dedup.ts";
import type { Owner } from "../core/owner-state.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { assert, HoldfastError, isHoldfastError } from "../model/errors.ts";
import { type Offset, parseRef } from "../model/ids.ts";
import type { RequestsImage, ShardImage, StoredImage } from "../model/images.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogPosition } from "../ports/log.ts";
import { type Codes, converterOf, sameCodes } from "./codes.ts";
import type { ShardHost } from "./shard-host.ts";
import type { ShardImages } from "./shard-images.ts";
import type { LoadResult } from "./snapshot-load.ts";
import type { ShardSnapshots } from "./snapshots.ts";

/** The incarnation that the images were of has ended; what was stored of it stays true. */
export class Abandoned extends Error {}

/** Images of one slice while commands go on: one or two milliseconds of work. */
const sliceImages = 256;
/** Images of one slice when memory is more urgent than latency: fewer transactions. */
const sliceImagesHasty = 2_048;

/** Tries of a snapshot store that does not answer, where the log alone will do. */
const loadTriesMax = 3;
const loadPauseMostMs = 5_000;

export interface KeepParts {
  readonly host: ShardHost;
  readonly images: ShardImages;
  readonly snapshots: ShardSnapshots | undefined;
  readonly codes: Codes;
  readonly clock: Clock;
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  /** Something outside is damaged; the work went on without it. */
  readonly report: (where: string, error: unknown) => void;
}

export interface Slicing {
  readonly durable: (host: ShardHost, below: Offset) => Promise<void>;
  readonly now: () => number;
  readonly hasty: boolean;
}

export class Keep {
  readonly host: ShardHost;
  readonly images: ShardImages;
  readonly #snapshots: ShardSnapshots | undefined;
  readonly #codes: Codes;
  readonly #clock: Clock;
  readonly #definitions: ReadonlyMap<string, EntityDefinition>;
  /** Entities that changed since the last snapshot; undefined when the state store has to be searched for them. */
  #changed: Set<string> | undefined = new Set();
  #snapshotAt: Offset = 0;
  /** When the last snapshot was made, by the monotonic clock. */
  snapshotMs = 0;
  /** How often in a row the log did not follow what was restored: after the first no store is used, then no snapshot. */
  #doubts = 0;
  /** Writes that failed, in all and until `present` was called last. */
  #failures = 0;
  #failuresBefore = 0;
  /** Ends with the write that was asked for last. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #report: (where: string, error: unknown) => void;
  checkpointAt: Offset = 1;
  checkpointMs = 0;
  /** When the last stamp was written, by the monotonic clock; before the first one, when the shard was restored. */
  stampedMs = 0;
  /** The node's own code is broken: what is in memory is not to be believed any more. */
  halted = false;
  /** Entities that were brought in until the last checkpoint. */
  activationsBefore = 0;

  constructor(parts: KeepParts) {
    this.host = parts.host;
    this.images = parts.images;
    this.#snapshots = parts.snapshots;
    this.#codes = parts.codes;
    this.#definitions = parts.definitions;
    this.#clock = parts.clock;
    this.#report = parts.report;
  }

  /** The newest snapshot contains everything below it. */
  get snapshotAt(): Offset {
    return this.#snapshotAt;
  }

  get hasSnapshots(): boolean {
    return this.#snapshots !== undefined;
  }

  /** Puts the host into the newest state that fits: the state store's, else a snapshot's, else none. */
  async restore(position: LogPosition): Promise<void> {
    // What an incarnation before has under way must have landed before the store is asked how far it goes.
    await this.#turn;
    if (this.host.damaged) await this.images.clear();
    this.host.damaged = false;
    const image = (await this.#fromStore(position)) ?? (await this.#fromSnapshot(position));
    this.host.reset(position.tail, image);
    this.checkpointAt = image?.at ?? 1;
    this.stampedMs = this.#clock.monotonic();
    this.activationsBefore = 0;
    try {
      for (const name of [...this.images.busy()]) this.host.step({ kind: "activate", entity: parseRef(name) });
    } catch (error) {
      if (!isStateDamaged(error)) throw error;
      return this.restore(position);
    }
  }

  /** What `restore` gave does not go with the log. @returns false if there is nothing older to try */
  async distrust(): Promise<boolean> {
    if (this.host.owner.replay.from === undefined) return false;
    this.#doubts++;
    await this.images.clear();
    return true;
  }

  async #fromStore(position: LogPosition): Promise<ShardImage | undefined> {
    const opened = await this.images.open(position).catch(async (error: unknown) => {
      if (!isStateDamaged(error)) throw error;
      await this.images.clear();
      return undefined;
    });
    if (opened === undefined) return undefined;
    this.#snapshotAt = opened.snapshotAt;
    // Images that are newer than the snapshot are in no list, nor does a replay of what they contain name them.
    if (opened.snapshotAt < opened.high) this.#changed = undefined;
    return opened.image;
  }

  async #fromSnapshot(position: LogPosition): Promise<ShardImage | undefined> {
    this.#changed = new Set();
    this.#snapshotAt = 0;
    if (this.#snapshots === undefined || this.#doubts > 1) return undefined;
    const loaded = await this.#load(this.#snapshots, position.trimmed <= 1 ? loadTriesMax : Number.POSITIVE_INFINITY);
    if (loaded === undefined) return undefined;
    const { snapshot, problems } = loaded;
    for (const { name, error } of problems) this.#report(`snapshot object ${name}`, error);
    if (snapshot === undefined || snapshot.image.at < position.trimmed) return undefined;
    const { image, manifest } = snapshot;
    if (image.at > position.tail) {
      const detail = `The log of shard ${this.host.shard} ends at ${position.tail}; a snapshot has records up to ${image.at}. The log has lost records, or is another one.`;
      throw new HoldfastError("log-damaged", detail);
    }
    if (image.epoch > position.epoch) return undefined;
    const same = sameCodes(manifest.codes, this.#codes);
    // The log tells it all again, by the code that there is now.
    if (!same && position.trimmed <= 1) return undefined;
    const convert = converterOf(manifest.codes, this.#definitions);
    let slice: StoredImage[] = [];
    for await (const stored of snapshot.images()) {
      if (slice.push(convert(stored)) < sliceImagesHasty) continue;
      await this.images.write(slice, slice.length);
      slice = [];
    }
    await this.images.write(slice, slice.length);
    this.#snapshotAt = image.at;
    await this.images.complete(image, image.at);
    return image;
  }

  /** Asks a store that does not answer again. What the log can tell alone it tells after some tries. */
  async #load(snapshots: ShardSnapshots, triesMax: number): Promise<LoadResult | undefined> {
    for (let tries = 1; ; tries++) {
      try {
        return await snapshots.load();
      } catch (error) {
        if (!isHoldfastError(error) || error.code !== "unavailable") throw error;
        this.#report(`the snapshot store, for shard ${this.host.shard}`, error);
        if (tries >= triesMax) return undefined;
        await new Promise<void>((resolve) => this.#clock.after(Math.min(backoff(tries), loadPauseMostMs), resolve));
      }
    }
  }

  /**
   * Stores the images of up to `count` entities that changed first.
   * @param slicing `durable` resolves when the host's records below an offset are durable, `now` tells the time,
   *                `hasty`: in large slices
   * @returns how many it were, and for how long they kept the event loop busy
   * @throws Abandoned
   */
  writeBack(count: number, slicing: Slicing): Promise<{ count: number; busyMs: number }> {
    return this.#inTurn(() => this.#writeBack(count, slicing));
  }

  /** One after the other: an image that waits for its records must not be written after a newer one of its entity. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #writeBack(count: number, { durable, now, hasty }: Slicing): Promise<{ count: number; busyMs: number }> {
    const { host } = this;
    const { owner } = host;
    let startedMs = now();
    const images = host.collect(Math.min(count, hasty ? sliceImagesHasty : sliceImages));
    if (images.length === 0) return { count: 0, busyMs: 0 };
    let below = 0;
    for (const { touched } of images) below = Math.max(below, touched + 1);
    let busyMs = now() - startedMs;
    try {
      if (owner.durable < below) await durable(host, below);
      this.#checkAlive(owner);
      if (owner.durable < below) throw new Abandoned();
      startedMs = now();
      const fresh = images.filter(({ name }) => owner.slots.peek(parseRef(name))?.stored === 0).length;
      const written = this.images.write(images, fresh);
      busyMs += now() - startedMs;
      await written;
    } catch (error) {
      this.#failures++;
      if (host.owner === owner) for (const { name } of images) host.step({ kind: "unstored", entity: parseRef(name) });
      throw error;
    }
    if (host.owner !== owner) throw new Abandoned();
    for (const { name, touched } of images) {
      this.#changed?.add(name);
      host.step({ kind: "stored", entity: parseRef(name), touched });
    }
    return { count: images.length, busyMs };
  }

  /** What the shard is at its present durable offset; all that changed below is dirty or stored. */
  present(): ShardImage {
    const { owner, chain } = this.host;
    const at = owner.durable;
    this.#failuresBefore = this.#failures;
    return { at, chain, epoch: owner.epoch, timeMs: owner.timeMs, requests: below(requestsOf(owner.dedup), at) };
  }

  /** Everything that changed below `image.at` is stored: says so. */
  stamp(image: ShardImage, owner: Owner): Promise<void> {
    return this.#inTurn(async () => {
      this.#checkAlive(owner);
      if (this.#failures !== this.#failuresBefore) throw new Abandoned();
      await this.images.complete(image, this.#snapshotAt);
      this.checkpointAt = image.at;
      this.stampedMs = this.#clock.monotonic();
      this.activationsBefore = owner.slots.activations;
      this.#doubts = 0;
    });
  }

  /**
   * Publishes a snapshot of what the state store has.
   * @returns below which the log may be trimmed, if anywhere
   */
  async snapshot(image: ShardImage, owner: Owner, rest: () => Promise<void>): Promise<Offset | undefined> {
    if (this.#snapshots === undefined) return undefined;
    const changed = this.#changed;
    this.#changed = new Set();
    try {
      const images = (since: Offset) =>
        changed === undefined || since !== this.#snapshotAt
          ? this.#search(since, owner, rest)
          : this.#read(changed, owner, rest);
      const { trimBelow, problems } = await this.#snapshots.save({ image, images, codes: this.#codes });
      for (const { name, error } of problems) this.#report(`snapshot object ${name}`, error);
      this.#snapshotAt = image.at;
      this.snapshotMs = this.#clock.monotonic();
      await this.#inTurn(() => this.images.noteSnapshot(image.at));
      while (await this.#snapshots.merge()) await rest();
      return trimBelow;
    } catch (error) {
      // What changed meanwhile comes on top; without the list the store is searched.
      this.#changed = undefined;
      throw error;
    }
  }

  async *#read(changed: ReadonlySet<string>, owner: Owner, rest: () => Promise<void>): AsyncGenerator<StoredImage> {
    let read = 0;
    for (const name of [...changed].sort()) {
      const image = this.images.stored(name);
      // A shard that starts over may have its store cleared meanwhile.
      this.#checkAlive(owner);
      assert(image !== undefined, "an entity that was stored is in the store");
      yield image;
      if (++read % sliceImages === 0) await rest();
    }
  }

  async *#search(since: Offset, owner: Owner, rest: () => Promise<void>): AsyncGenerator<StoredImage> {
    let looked = 0;
    for (const image of this.images.since(since)) {
      this.#checkAlive(owner);
      if (image !== undefined) yield image;
      if (++looked % sliceImages === 0) await rest();
    }
    this.#checkAlive(owner);
  }

  #checkAlive(owner: Owner): void {
    if (this.halted || this.host.owner !== owner || owner.phase === "released") throw new Abandoned();
  }
}

/** What a state store throws for an image that is not what was written. */
export function isStateDamaged(error: unknown): boolean {
  return isHoldfastError(error) && error.code === "state-damaged";
}

/** Without the ids of records that may yet be lost. Offsets of a generation only grow. */
function below(requests: readonly RequestsImage[], at: Offset): RequestsImage[] {
  return requests.map(({ startMs, ids, offsets }) => {
    let count = offsets.length;
    while (count > 0 && (offsets[count - 1] as number) >= at) count--;
    return { startMs, ids: ids.subarray(0, count * 16), offsets: offsets.subarray(0, count) };
  });
}
