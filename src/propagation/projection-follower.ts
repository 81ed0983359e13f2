/**
 * Keeps one projection: follows the changes it is of, folds them, saves, and has the documents served.
 *
 *   loading -> building -> serving; from each -> failed (final until the next start), -> stopped
 *
 * Invariants: documents are those of the cursor (`core/changefeed/projection.ts`), in memory and in what is saved, so each
 * change counts once, after a restart too. Readers get a version whole: another one's documents until this one has caught up
 * and is saved, then this one's; only after that the other one's are deleted.
 */
import { Documents } from "../core/changefeed/projection.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { FeedLag, FeedStart } from "../model/feeds.ts";
import type { Limits } from "../model/limits.ts";
import type { ProjectionDefinition } from "../model/projection.ts";
import type { ProjectionPhase, ProjectionStatus } from "../model/projection-status.ts";
import { type ProjectionVersion, projectionVersionOf } from "../model/projection-version.ts";
import type { Clock } from "../ports/clock.ts";
import type { Feed, Feeds } from "./feed.ts";
import type { LoadedProjection, ProjectionStore } from "./projection-store.ts";
import { type DocumentSet, Shelf } from "./shelf.ts";

export interface FollowerParts {
  readonly feeds: Feeds;
  /** Without one nothing is saved: it is built again at each start. */
  readonly store: ProjectionStore | undefined;
  /** It is this node that saves. */
  readonly saves: () => boolean;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly report: (where: string, error: unknown) => void;
  /** Readers get something else than before. */
  readonly published: () => void;
}

/** Waits between attempts at a log or store that does not answer, ms. */
const retryFirstMs = 100;
const retryMostMs = 5_000;
/** How long a feed waits for a change before it says how far it is. */
const waitMs = 5_000;
const buildingWaitMs = 50;
/** Changes that are folded between two turns of the event loop: a few ms of work. */
const foldItemsMax = 1_024;
/** As good as caught up: a service that is written to all the time is never at its end. */
const nearSeconds = 1;
/** A save costs a share of the time: this many times what the one before took passes between two. */
const saveShare = 20;
/** Times `projectionSaveMs` that a cursor may be older than it could be where no document changed. */
const idleSaves = 30;

export class ProjectionFollower {
  readonly definition: ProjectionDefinition;
  readonly version: ProjectionVersion;
  readonly #parts: FollowerParts;
  #phase: ProjectionPhase = "loading";
  #documents: Documents;
  #shelf: Shelf | undefined;
  #feed: Feed | undefined;
  #cursor: string | undefined;
  /** Its documents were served once: another version's are not needed any more. */
  #caughtUp = false;
  #changes = 0;
  #unsaved = 0;
  #savedCursor: string | undefined;
  #savedMs: number | undefined;
  #nextSaveMs = 0;
  #lag: FeedLag | undefined;
  #error: ProjectionStatus["error"];
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;

  constructor(definition: ProjectionDefinition, parts: FollowerParts) {
    this.definition = definition;
    this.version = projectionVersionOf(definition);
    this.#parts = parts;
    this.#documents = new Documents(definition, parts.limits);
  }

  /** What readers get; undefined until there is something. */
  get shelf(): Shelf | undefined {
    return this.#shelf;
  }

  get status(): ProjectionStatus {
    const { size, bytes } = this.#documents;
    return {
      name: this.definition.name,
      phase: this.#phase,
      version: this.version,
      ...(this.#shelf === undefined ? {} : { served: this.#shelf.version }),
      documents: size,
      bytes,
      changes: this.#changes,
      ...(this.#lag === undefined ? {} : { lag: this.#lag }),
      ...(this.#savedMs === undefined ? {} : { savedMs: this.#savedMs }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Saves what is not saved, and lets go. Idempotent. */
  async close(): Promise<void> {
    const failed = this.#phase === "failed";
    this.#phase = "stopped";
    this.#feed?.close();
    this.#wake();
    await this.#running;
    if (failed || this.#unsaved === 0 || (!this.#caughtUp && this.#shelf?.version === this.version)) return;
    try {
      await this.#save();
    } catch (error) {
      // The next start folds these changes once more.
      this.#parts.report(`projection ${this.definition.name}, which could not be saved`, error);
    }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    let waitMs = retryFirstMs;
    while (!this.#over()) {
      try {
        if (this.#phase === "loading") await this.#load();
        else if (this.#feed === undefined) this.#feed = await this.#open();
        else await this.#follow(this.#feed);
        this.#error = undefined;
        waitMs = retryFirstMs;
      } catch (error) {
        await this.#failed(error, waitMs);
        waitMs = Math.min(waitMs * 2, retryMostMs);
      }
    }
    this.#feed?.close();
  }

  /** Asked anew after each wait. */
  #over(): boolean {
    return this.#phase === "failed" || this.#phase === "stopped";
  }

  async #load(): Promise<void> {
    const { store } = this.#parts;
    const own = await store?.load(this.version);
    if (own !== undefined) await this.#takeIn(own);
    if (!this.#caughtUp) {
      const other = await store?.loadOther(this.version);
      if (other !== undefined) this.#show(await this.#shelfOf(other.head.version, new Map(other.rows)));
    }
    if (this.#phase === "loading") this.#phase = this.#caughtUp ? "serving" : "building";
  }

  async #takeIn({ head, rows }: LoadedProjection): Promise<void> {
    this.#documents = new Documents(this.definition, this.#parts.limits);
    for (const [key, document] of rows) this.#documents.load(key, document);
    this.#cursor = this.#savedCursor = head.cursor;
    if (!head.caughtUp) return;
    this.#caughtUp = true;
    this.#show(await this.#shelfOf(this.version, this.#documents));
  }

  async #open(): Promise<Feed> {
    const { name, on } = this.definition;
    const start: FeedStart = this.#cursor === undefined ? "beginning" : { cursor: this.#cursor };
    const events = [...new Set([...on.values()].flatMap((folds) => [...folds.keys()]))];
    const feed = await this.#parts.feeds.open({
      form: "changes",
      filter: { types: [...on.keys()], events },
      start,
      principal: { kind: "system", id: `projection/${name}` },
    });
    if (this.#over()) feed.close();
    return feed;
  }

  /** One batch. */
  async #follow(feed: Feed): Promise<void> {
    const { limits } = this.#parts;
    const itemsMax = Math.min(foldItemsMax, limits.feedBatchItemsMax);
    const { items, cursor, lag } = await feed.next(
      this.#phase === "serving"
        ? { itemsMax, waitMs, lingerMs: limits.projectionLingerMs }
        : { itemsMax, waitMs: buildingWaitMs },
    );
    const touched = this.#documents.fold(items);
    this.#cursor = cursor;
    this.#lag = lag;
    this.#changes += items.length;
    this.#unsaved += items.length;
    if (this.#phase === "serving" && touched.size > 0) {
      this.#shelf?.touch(touched);
      this.#parts.published();
    }
    const near = lag.records === 0 || (lag.seconds < nearSeconds && items.length < itemsMax);
    if (this.#phase === "building" && near) await this.#swap();
    else if (this.#saveDue()) await this.#saveAndClean();
    if (items.length > 0) await this.#turn();
  }

  /** Serves this version from now on. Saved first, so that no crash finds neither. */
  async #swap(): Promise<void> {
    this.#caughtUp = true;
    const shelf = await this.#shelfOf(this.version, this.#documents);
    await this.#saveAndClean();
    if (this.#over()) return;
    this.#phase = "serving";
    this.#show(shelf);
  }

  async #shelfOf(version: ProjectionVersion, documents: DocumentSet): Promise<Shelf> {
    const shelf = new Shelf(this.definition, version, documents);
    for (const _ of shelf.fill()) await this.#turn();
    return shelf;
  }

  #turn(): Promise<void> {
    return new Promise((done) => this.#parts.clock.defer(done));
  }

  #show(shelf: Shelf): void {
    this.#shelf = shelf;
    this.#parts.published();
  }

  #saveDue(): boolean {
    const { clock, limits } = this.#parts;
    // What is saved is served while this version is built once more: half of it must not take its place.
    if (this.#phase === "building" && this.#shelf?.version === this.version) return false;
    if (this.#unsaved >= limits.projectionSaveRecordsMax) return true;
    const sinceMs = clock.monotonic() - this.#nextSaveMs;
    if (this.#unsaved > 0) return sinceMs >= 0;
    return this.#cursor !== this.#savedCursor && sinceMs >= limits.projectionSaveMs * idleSaves;
  }

  /** A store that does not answer costs a restart more work, and nothing else. */
  async #saveAndClean(): Promise<void> {
    const { store, clock, limits, report } = this.#parts;
    const startMs = clock.monotonic();
    try {
      await this.#save();
      if (this.#caughtUp && this.#parts.saves()) await store?.deleteOthers(this.version);
    } catch (error) {
      report(`projection ${this.definition.name}, which could not be saved`, error);
    }
    const tookMs = clock.monotonic() - startMs;
    this.#nextSaveMs = clock.monotonic() + Math.max(limits.projectionSaveMs, tookMs * saveShare);
  }

  /** Nothing is folded meanwhile, and a document that was given out never changes: it is all of one cursor. */
  async #save(): Promise<void> {
    const { store, clock } = this.#parts;
    const cursor = this.#cursor;
    if (store === undefined || cursor === undefined || !this.#parts.saves()) return;
    const rows = this.#documents.entries();
    const savedMs = clock.now();
    const { name } = this.definition;
    const { version } = this;
    await store.save({ name, version, cursor, caughtUp: this.#caughtUp, savedMs, documents: rows.length }, rows);
    this.#savedCursor = cursor;
    this.#savedMs = savedMs;
    this.#unsaved = 0;
  }

  async #failed(thrown: unknown, waitMs: number): Promise<void> {
    const { name } = this.definition;
    const known = isHoldfastError(thrown);
    const code = known ? thrown.code : "internal";
    this.#error = { code, detail: known ? thrown.message : "Something went wrong here." };
    if (this.#phase === "stopped") return;
    if (code === "cursor-lost" || code === "invalid-cursor") return this.#startOver(thrown);
    if (known && thrown.retryable) {
      this.#feed?.close();
      this.#feed = undefined;
      return await this.#rest(waitMs);
    }
    this.#phase = "failed";
    this.#parts.report(`projection ${name}`, thrown);
  }

  /** The log before the cursor is gone or another one: what is kept is folded anew, and the documents there are, are served until then. */
  async #startOver(thrown: unknown): Promise<void> {
    this.#parts.report(`projection ${this.definition.name}, which is built again`, thrown);
    this.#feed?.close();
    this.#feed = undefined;
    const again = this.#cursor === undefined;
    this.#cursor = undefined;
    this.#caughtUp = false;
    this.#documents = new Documents(this.definition, this.#parts.limits);
    this.#phase = "building";
    if (again) await this.#rest(retryMostMs);
  }

  #rest(ms: number): Promise<void> {
    return new Promise((done) => {
      const cancel = this.#parts.clock.after(ms, done);
      this.#wake = () => {
        cancel();
        done();
      };
    });
  }
}
