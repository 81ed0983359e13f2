/**
 * Where one projection is saved: an object per version of its code, `projections/<name>/<version>`.
 *
 * Invariants: documents and cursor are one object, replaced as a whole, so what is loaded is always what the changes before that
 * cursor make. Two that save at once may each win: both are true. Work between two turns of the event loop is one slice.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { ProjectionVersion } from "../model/projection-version.ts";
import type { Clock } from "../ports/clock.ts";
import type { ObjectTag, SnapshotStore } from "../ports/snapshot-store.ts";
import { decodeProjection, encodeProjection, type ProjectionHead, type ProjectionRow } from "../wire/projection.ts";

export interface LoadedProjection {
  readonly head: ProjectionHead;
  readonly rows: readonly ProjectionRow[];
}

export interface ProjectionStoreParts {
  readonly store: SnapshotStore;
  readonly clock: Clock;
  readonly report: (where: string, error: unknown) => void;
}

/** Others that saved in between are given this many chances. */
const triesMax = 5;

export class ProjectionStore {
  readonly #parts: ProjectionStoreParts;
  readonly #name: string;
  #tag: ObjectTag | undefined;

  constructor(name: string, parts: ProjectionStoreParts) {
    this.#name = name;
    this.#parts = parts;
  }

  /** What was saved under this version; undefined if nothing was, or it is damaged. */
  async load(version: ProjectionVersion): Promise<LoadedProjection | undefined> {
    return await this.#read(this.#objectOf(version), true);
  }

  /** The newest of the other versions that had caught up: to be served until this one has. */
  async loadOther(version: ProjectionVersion): Promise<LoadedProjection | undefined> {
    let newest: LoadedProjection | undefined;
    for (const object of await this.#others(version)) {
      const found = await this.#read(object, false);
      if (found?.head.caughtUp === true && found.head.savedMs > (newest?.head.savedMs ?? -1)) newest = found;
    }
    return newest;
  }

  /** Resolved means durable. @throws as the store does */
  async save(head: ProjectionHead, rows: readonly ProjectionRow[]): Promise<void> {
    const making = encodeProjection(head, rows);
    let step = making.next();
    while (step.done !== true) {
      await this.#turn();
      step = making.next();
    }
    const object = this.#objectOf(head.version);
    for (let tries = 0; tries < triesMax; tries++) {
      const put = await this.#parts.store.replace(object, step.value, this.#tag);
      if (put.ok) {
        this.#tag = put.tag;
        return;
      }
      this.#tag = (await this.#parts.store.get(object))?.tag;
    }
    throw new HoldfastError("unavailable", `Others keep saving ${object}; run one node on this store.`);
  }

  /** Deletes what other versions left. */
  async deleteOthers(version: ProjectionVersion): Promise<void> {
    const others = await this.#others(version);
    if (others.length > 0) await this.#parts.store.delete(others);
  }

  async #others(version: ProjectionVersion): Promise<string[]> {
    const own = this.#objectOf(version);
    const others: string[] = [];
    for await (const object of this.#parts.store.list(this.#objectOf(""))) if (object !== own) others.push(object);
    return others;
  }

  async #read(object: string, own: boolean): Promise<LoadedProjection | undefined> {
    const found = await this.#parts.store.get(object);
    if (own) this.#tag = found?.tag;
    if (found === undefined) return undefined;
    try {
      const { head, rows: chunks } = decodeProjection(found.bytes, object);
      const rows: ProjectionRow[] = [];
      for (const chunk of chunks) {
        for (const row of chunk) rows.push(row);
        await this.#turn();
      }
      return head.name === this.#name && object === this.#objectOf(head.version) ? { head, rows } : undefined;
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "snapshot-damaged") throw error;
      this.#parts.report(`projection ${this.#name}, which is built again`, error);
      return undefined;
    }
  }

  #objectOf(version: ProjectionVersion): string {
    return `projections/${this.#name}/${version}`;
  }

  #turn(): Promise<void> {
    return new Promise((done) => this.#parts.clock.defer(done));
  }
}
