/**
 * What is kept of one shard outside memory: its images in the state store, its snapshots, and how far both go.
 *
 * Invariants:
 * 1. An image is stored only when every record it contains is durable, and only if its incarnation still lives.
 * 2. A stamp or a snapshot of offset S is published only when all that changed below S is stored.
 */
import { requestsBelow } from "../core/dedup.ts";
import type { Owner } from "../core/owner-state.ts";
import { assert, type HoldfastError } from "../model/errors.ts";
import { type Offset, parseRef } from "../model/ids.ts";
import type { ShardImage, StoredImage } from "../model/images.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogPosition } from "../ports/log.ts";
import { isStateDamaged } from "../ports/state-store.ts";
import { sortInSlices } from "../std/sort-in-slices.ts";
import type { ShardArchive } from "./archive.ts";
import { converterOf, planFor, sameCodes } from "./codes.ts";
import type { KeepParts, Slicing, Stamp } from "./keep-parts.ts";
import { checkTold } from "./recovery.ts";
import type { ShardHost } from "./shard-host.ts";
import type { ShardImages } from "./shard-images.ts";
import { highOf, SnapshotImport } from "./snapshot-import.ts";
import type { SnapshotPace } from "./snapshot-objects.ts";
import { loadPatiently } from "./snapshot-patience.ts";
import type { ShardSnapshots } from "./snapshots.ts";

/** The incarnation that the images were of has ended; what was stored of it stays true. */
export class Abandoned extends Error {}

/** Images of one slice while commands go on: half a millisecond of work; and when memory is more urgent: fewer transactions. */
const sliceImages = 64;
const sliceImagesHasty = 2_048;

/** Restores in a row whose images could not be read. */
const restoresMax = 4;
/** Names that are sorted in one go: about a millisecond. */
const sortSlice = 2_048;

export class Keep {
  readonly host: ShardHost;
  readonly images: ShardImages;
  readonly archive: ShardArchive | undefined;
  readonly #parts: KeepParts;
  readonly #snapshots: ShardSnapshots | undefined;
  readonly #clock: Clock;
  /** Entities that changed since the last snapshot; undefined when the state store has to be searched for them. */
  #changed: Set<string> | undefined = new Set();
  /** The newest snapshot contains everything below it. */
  #snapshotAt: Offset = 0;
  #importing: SnapshotImport | undefined;
  /** The state store is being filled for the next incarnation: the one before writes nothing more. */
  #restoring = false;
  /** The log was trimmed up to there by this incarnation; nothing below is kept for a restart. */
  trimmedAt: Offset = 1;
  /** When the last snapshot was made, by the monotonic clock. */
  snapshotMs = 0;
  /** How often in a row the log did not follow what was restored: after the first no store is used, then no snapshot. */
  #doubts = 0;
  /** The last restore counts on the archive: to be replayed from its first record. */
  #throughArchive = false;
  /** It did so, and the archive could not be read. */
  #archiveBad = false;
  /** Writes that failed, in all and until `present` was called last. */
  #failures = 0;
  #failuresBefore = 0;
  /** Of the write that was asked for last. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #report: (where: string, error: unknown) => void;
  checkpointAt: Offset = 1;
  checkpointMs = 0;
  /** The last stamp, and the last one that a snapshot was tried of. */
  stamped: Stamp | undefined;
  saved: Stamp | undefined;
  /** When the last stamp was written, by the monotonic clock; before the first one, when the shard was restored. */
  stampedMs = 0;
  /** The node's own code is broken: what is in memory is not to be believed any more. */
  halted = false;
  /** Below which the log could be trimmed, were it not for the archive. */
  trimBelow: Offset = 1;
  /** Entities that were brought in until the last checkpoint. */
  activationsBefore = 0;

  constructor(parts: KeepParts) {
    this.host = parts.host;
    this.images = parts.images;
    this.archive = parts.archive;
    this.#parts = parts;
    this.#snapshots = parts.snapshots;
    this.#clock = parts.clock;
    this.#report = parts.report;
  }

  get snapshotAt(): Offset {
    return this.#snapshotAt;
  }

  get hasSnapshots(): boolean {
    return this.#snapshots !== undefined;
  }

  /** Puts the host into the newest state that fits: the state store's, else a snapshot's, else none. */
  async restore(position: LogPosition): Promise<void> {
    // What an incarnation before has under way must have landed before the store is asked how far it goes.
    this.#restoring = true;
    await this.#turn;
    this.#endImport();
    if (this.host.damaged) await this.images.clear();
    this.host.damaged = false;
    const image = (await this.#fromStore(position)) ?? (await this.#fromSnapshot(position));
    this.#throughArchive = image === undefined && position.trimmed > 1;
    this.host.reset(position.tail, image);
    this.#restoring = false;
    this.checkpointAt = image?.at ?? 1;
    this.stampedMs = this.#clock.monotonic();
    this.activationsBefore = 0;
    this.trimmedAt = this.trimBelow = 1;
    try {
      for (const name of [...this.images.busy()]) this.host.step({ kind: "activate", entity: parseRef(name) });
    } catch (error) {
      // An image that is whole and yet none: older snapshots may do, then the log alone.
      if (!isStateDamaged(error) || ++this.#doubts > restoresMax) throw error;
      return this.restore(position);
    }
  }

  /** What `restore` gave does not go with the log. @returns false if there is nothing older to try */
  async distrust(problem: HoldfastError): Promise<boolean> {
    if (this.#throughArchive && !this.#archiveBad) {
      this.#report(`the archive of shard ${this.host.shard}`, problem);
      this.#archiveBad = true;
      return true;
    }
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
    const loaded = await loadPatiently(this.#snapshots, position.trimmed <= 1, this.#clock, (error) =>
      this.#report(`the snapshot store, for shard ${this.host.shard}`, error),
    );
    if (loaded === undefined) return undefined;
    const { snapshot, problems, told } = loaded;
    for (const { name, error } of problems) this.#report(`snapshot object ${name}`, error);
    const high = Math.max(told, snapshot === undefined ? 1 : highOf(snapshot.manifest));
    await checkTold(this.host.shard, { tail: high, epoch: snapshot?.image.epoch ?? 0 }, position, this.#parts.position);
    if (snapshot === undefined) return undefined;
    const { image, manifest } = snapshot;
    if (image.epoch > position.epoch) return undefined;
    const { trimmed, tail } = position;
    const needed = image.at < trimmed || !sameCodes(manifest.codes, this.#parts.codes);
    const begin = needed ? await this.#archiveBegin(trimmed) : trimmed;
    if (image.at < begin) return undefined;
    const past = { logWhole: trimmed <= 1, archiveWhole: begin <= 1, records: tail - 1 };
    const { definitions, replayRecordsMax } = this.#parts;
    const plan = planFor(manifest.codes, definitions, past, replayRecordsMax);
    // Log and archive tell it all again, by the code that there is now.
    if (plan === "replay") return undefined;
    const convert = plan === "take" ? (stored: StoredImage) => stored : converterOf(manifest.codes, definitions);
    const importing = new SnapshotImport({ snapshot, convert, images: this.images, lent: this.#parts.lent });
    this.#snapshotAt = image.at;
    // What other code evolved is converted before it is served: an author's `migrate` that throws refuses the start.
    if (plan === "take" && (await importing.begin())) this.#importing = importing;
    else {
      await importing.all();
      await this.images.complete(image, image.at);
    }
    return image;
  }

  /** The state store does not have all of the snapshot yet that the shard was restored from. */
  get isImporting(): boolean {
    return this.#importing !== undefined;
  }

  /** Brings the rest of the snapshot into the state store. Before that there is nothing to stamp. @throws Abandoned */
  async import(owner: Owner, rest: (busyMs: number) => Promise<void>): Promise<void> {
    const importing = this.#importing;
    if (importing === undefined) return;
    const check = () => {
      this.checkAlive(owner);
      if (this.#importing !== importing) throw new Abandoned();
    };
    const store = (slice: readonly StoredImage[]) =>
      this.#inTurn(() => {
        check();
        return this.images.import(slice);
      });
    await importing.run(store, rest, () => this.#clock.monotonic());
    check();
    this.images.imported();
    this.#endImport();
  }

  #endImport(): void {
    this.#importing = this.#importing?.end();
  }

  get isImportDue(): boolean {
    return this.#importing?.isDue(this.#clock.monotonic()) === true;
  }

  delayImport(): void {
    this.#importing?.delay(this.#clock.monotonic());
  }

  /** Where log and archive begin together. */
  async #archiveBegin(trimmed: Offset): Promise<Offset> {
    const { archived } = this.#parts;
    return archived === undefined || this.#archiveBad ? trimmed : await archived.begin(trimmed);
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
    if (this.#restoring) return { count: 0, busyMs: 0 };
    let startedMs = now();
    const images = host.collect(Math.min(count, hasty ? sliceImagesHasty : sliceImages));
    if (images.length === 0) return { count: 0, busyMs: 0 };
    let below = 0;
    for (const { touched } of images) below = Math.max(below, touched + 1);
    let busyMs = now() - startedMs;
    try {
      if (owner.durable < below) await durable(host, below);
      this.checkAlive(owner);
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
    for (const { name, touched, bytes } of images) {
      this.#changed?.add(name);
      host.step({ kind: "stored", entity: parseRef(name), touched, bytes: bytes.length });
    }
    return { count: images.length, busyMs };
  }

  /** What the shard is at its present durable offset; all that changed below is dirty or stored. */
  present(): ShardImage {
    const { owner, chain } = this.host;
    const at = owner.durable;
    this.#failuresBefore = this.#failures;
    return { at, chain, epoch: owner.epoch, timeMs: owner.timeMs, requests: requestsBelow(owner.dedup, at) };
  }

  /** Everything that changed below `image.at` is stored: says so. */
  stamp(image: ShardImage, owner: Owner): Promise<void> {
    return this.#inTurn(async () => {
      this.checkAlive(owner);
      if (this.#failures !== this.#failuresBefore) throw new Abandoned();
      await this.images.complete(image, this.#snapshotAt);
      this.stamped = { image, owner, silent: image.at === this.checkpointAt };
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
  async snapshot(image: ShardImage, owner: Owner, { rest, easy }: SnapshotPace): Promise<Offset | undefined> {
    if (this.#snapshots === undefined) return undefined;
    const changed = this.#changed;
    this.#changed = new Set();
    try {
      let taken = false;
      const images = (since: Offset) => {
        taken = true;
        return changed === undefined || since !== this.#snapshotAt
          ? this.#search(since, owner, rest)
          : this.#read(changed, owner, rest);
      };
      const input = { image, images, codes: this.#parts.codes, again: this.#snapshotAt === image.at, easy };
      const { trimBelow, problems } = await this.#snapshots.save(input);
      // There was one of this offset: what changed since is for the next.
      if (!taken) this.#keepChanged(changed);
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

  #keepChanged(changed: ReadonlySet<string> | undefined): void {
    if (changed === undefined) this.#changed = undefined;
    else for (const name of changed) this.#changed?.add(name);
  }

  async *#read(changed: ReadonlySet<string>, owner: Owner, rest: () => Promise<void>): AsyncGenerator<StoredImage> {
    const sorting = sortInSlices(changed, sortSlice);
    let sorted = sorting.next();
    for (; sorted.done !== true; sorted = sorting.next()) await rest();
    let read = 0;
    for (const name of sorted.value) {
      const image = this.images.stored(name);
      // A shard that starts over may have its store cleared meanwhile.
      this.checkAlive(owner);
      assert(image !== undefined, "an entity that was stored is in the store");
      yield image;
      if (++read % sliceImages === 0) await rest();
    }
  }

  async *#search(since: Offset, owner: Owner, rest: () => Promise<void>): AsyncGenerator<StoredImage> {
    let looked = 0;
    for (const image of this.images.since(since)) {
      this.checkAlive(owner);
      if (image !== undefined) yield image;
      if (++looked % sliceImages === 0) await rest();
    }
    this.checkAlive(owner);
  }

  /** @throws Abandoned the incarnation is over, or the node is */
  checkAlive(owner: Owner): void {
    if (this.halted || this.#restoring || this.host.owner !== owner || owner.phase === "released")
      throw new Abandoned();
  }
}
