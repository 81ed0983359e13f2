/**
 * Space for the log: prepares the segment after the active one before it is needed, and takes back trimmed ones.
 *
 * Invariants:
 * 1. A file gets a segment's name only when all its space is allocated and synced.
 * 2. At most one prepared segment and one spare exist beside those in use.
 * 3. Names change one at a time, each synced before the next, so that a crash leaves no gap in the numbers.
 */
import { isHoldfastError } from "../../model/errors.ts";
import type { Disk, DiskFile } from "../../ports/disk.ts";
import { preparingName, segmentName, spareName } from "./format.ts";

export interface PreparedSegment {
  readonly number: number;
  readonly file: DiskFile;
  readonly bytes: number;
}

export interface SpaceOptions {
  readonly disk: Disk;
  readonly segmentBytes: number;
  readonly spare: boolean;
  readonly prepared: PreparedSegment | undefined;
}

export class Space {
  readonly #disk: Disk;
  readonly #segmentBytes: number;
  #spare: boolean;
  #prepared: PreparedSegment | undefined;
  #preparing: Promise<boolean> | undefined;
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: SpaceOptions) {
    this.#disk = options.disk;
    this.#segmentBytes = options.segmentBytes;
    this.#spare = options.spare;
    this.#prepared = options.prepared;
  }

  /** Makes segment `number` ready. Calls may overlap. @returns false if there is no space for it now */
  prepare(number: number): Promise<boolean> {
    if (this.#prepared !== undefined) return Promise.resolve(true);
    this.#preparing ??= this.#inTurn(() => this.#make(number)).finally(() => {
      this.#preparing = undefined;
    });
    return this.#preparing;
  }

  /** Hands the prepared segment over. */
  take(): PreparedSegment | undefined {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    return prepared;
  }

  /** Takes back a segment that nobody reads any more: keeps it as the spare, or deletes it. */
  retire(number: number, bytes: number): Promise<void> {
    return this.#inTurn(async () => {
      const name = segmentName(number);
      if (this.#spare || bytes !== this.#segmentBytes) await this.#disk.remove(name);
      else await this.#disk.rename(name, spareName);
      await this.#disk.syncDirectory();
      this.#spare ||= bytes === this.#segmentBytes;
    });
  }

  /** Waits for what runs and lets go of the prepared segment; it is found again when the log is opened. */
  async close(): Promise<void> {
    await this.#work;
    await this.take()?.file.close();
  }

  async #make(number: number): Promise<boolean> {
    const name = segmentName(number);
    try {
      if (!this.#spare) await this.#disk.create(preparingName, this.#segmentBytes);
      await this.#disk.rename(this.#spare ? spareName : preparingName, name);
      this.#spare = false;
      await this.#disk.syncDirectory();
    } catch (error) {
      if (isHoldfastError(error) && error.code === "disk-full") return false;
      throw error;
    }
    this.#prepared = { number, file: await this.#disk.open(name), bytes: this.#segmentBytes };
    return true;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#work.then(task);
    this.#work = done.catch(() => undefined); // the caller of `inTurn` sees it
    return done;
  }
}
