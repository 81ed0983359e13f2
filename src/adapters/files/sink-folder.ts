/**
 * The folder of one subscriber's files: lines that were answered for, and the position that says how far.
 *
 *   000000001-2026-11-25.ndjson        finished: never changed again, may be taken away
 *   000000002-2026-11-25.ndjson.open   being written; counts up to `bytes` of the position
 *   position.json                      replaced as a whole
 *
 * Invariant: a batch is first on stable storage behind the lines that count, under a name that is there too; then the position moves,
 * in one step, over all of it. What lies behind the position is of a batch that was never answered for, and is cut off before
 * anything else is written. Only who holds the directory's lock changes anything.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Disk, DiskEntry, DiskFile } from "../../ports/disk.ts";

export interface Position {
  readonly service: string;
  readonly subscriber: string;
  /** Of the last running that was here. */
  readonly epoch: number;
  readonly cursor: string | null;
  /** The file that lines go to; undefined before the first. */
  readonly file: OpenFile | null;
}

export interface OpenFile {
  /** Counts the files of the folder from 1. */
  readonly number: number;
  /** In UTC: `2026-11-25`. */
  readonly day: string;
  readonly openedMs: number;
  readonly bytes: number;
}

const positionName = "position.json";
const temporaryName = "position.new";
const copyName = "cut.new";
const ending = ".ndjson";
const openEnding = `${ending}.open`;
const copyBytes = 1024 * 1024;
/** A position is some hundred bytes. */
const positionBytesMax = 16 * 1024;
const numberDigits = 9;

export class SinkFolder {
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Runs `work` while nobody else changes the folder. @throws `directory-in-use` somebody does at this moment */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    const lock = await this.#disk.lock();
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  /** @throws `invalid-configuration` it is damaged, or files are there without it */
  async position(): Promise<Position | undefined> {
    const file = await this.#openPosition();
    if (file === undefined) return undefined;
    try {
      const bytes = new Uint8Array(positionBytesMax);
      const text = Buffer.from(bytes.buffer, 0, await file.read(bytes, 0)).toString();
      return this.#parsed(text);
    } finally {
      await file.close();
    }
  }

  /** Looks at the other files only where it is missing: there may be years of them. */
  async #openPosition(): Promise<DiskFile | undefined> {
    try {
      return await this.#disk.open(positionName);
    } catch (error) {
      const names = (await this.#disk.list()).map(({ name }) => name);
      if (names.includes(positionName)) throw error;
      const lines = names.find((name) => numberOf(name) !== undefined);
      if (lines === undefined) return undefined;
      throw this.#damaged(`has ${lines}, and no ${positionName} that says how much of it counts`);
    }
  }

  #parsed(text: string): Position {
    try {
      const position = JSON.parse(text) as Position;
      if (Number.isSafeInteger(position.epoch) && typeof position.subscriber === "string") return position;
    } catch {
      // told below
    }
    throw this.#damaged(`has a ${positionName} that is none`);
  }

  /** Resolved means: on stable storage, with every name that was made or changed before. */
  async moveTo(position: Position): Promise<void> {
    await this.#disk.create(temporaryName, 0);
    const file = await this.#disk.open(temporaryName);
    try {
      await file.write(Buffer.from(`${JSON.stringify(position)}\n`), 0);
    } finally {
      await file.close();
    }
    await this.#disk.rename(temporaryName, positionName);
    await this.#disk.syncDirectory();
  }

  /** What was seen may not be on stable storage yet, if a writer was ended in between. */
  async settle(): Promise<void> {
    await this.#disk.syncDirectory();
  }

  /**
   * Takes away what no answered batch left.
   * @returns the file that lines go on in; undefined if the next batch begins one
   * @throws `invalid-configuration` lines that were answered for are missing, or files are there that nobody could have left
   */
  async recover({ file }: Position): Promise<OpenFile | undefined> {
    const entries = await this.#disk.list();
    await this.#removeLeft(entries, file?.number ?? 0);
    if (file === null) return undefined;
    const name = openNameOf(file);
    const found = entries.find((entry) => entry.name === name);
    // Finished, and by now perhaps taken away.
    if (found === undefined) return undefined;
    if (found.bytes < file.bytes)
      throw this.#damaged(`has ${found.bytes} bytes of ${name}, of which ${file.bytes} were answered for`);
    if (found.bytes > file.bytes) await this.#cut(name, file.bytes);
    return file;
  }

  async #removeLeft(entries: readonly DiskEntry[], current: number): Promise<void> {
    for (const { name } of entries) {
      if (name === temporaryName || name === copyName) await this.#disk.remove(name);
      const number = numberOf(name);
      if (number === undefined || number <= current) continue;
      if (number > current + 1 || !name.endsWith(openEnding))
        throw this.#damaged(`has ${name}, and its ${positionName} knows of ${current} files`);
      await this.#disk.remove(name);
    }
  }

  /** By way of a copy: whoever reads the file at this moment goes on reading the old one. */
  async #cut(name: string, bytes: number): Promise<void> {
    await this.#disk.create(copyName, 0);
    const source = await this.#disk.open(name);
    const copy = await this.#disk.open(copyName).catch(async (error: unknown) => {
      await source.close();
      throw error;
    });
    try {
      for (let position = 0; position < bytes; ) {
        const piece = new Uint8Array(Math.min(copyBytes, bytes - position));
        const filled = await source.read(piece, position);
        if (filled !== piece.length) throw this.#damaged(`ended at ${position + filled} of ${bytes} bytes of ${name}`);
        await copy.write(piece, position);
        position += filled;
      }
    } finally {
      await source.close();
      await copy.close();
    }
    await this.#disk.rename(copyName, name);
    await this.#disk.syncDirectory();
  }

  /** Nothing is written to it any more. Its new name is on stable storage with the next file's. */
  async finish(file: OpenFile): Promise<void> {
    await this.#disk.rename(openNameOf(file), nameOf(file));
  }

  /** Resolved means: its name is on stable storage. */
  async begin(file: OpenFile): Promise<void> {
    await this.#disk.create(openNameOf(file), 0);
    await this.#disk.syncDirectory();
  }

  /** Resolved means: on stable storage. */
  async append(file: OpenFile, bytes: Uint8Array): Promise<void> {
    const opened = await this.#disk.open(openNameOf(file));
    try {
      await opened.write(bytes, file.bytes);
    } finally {
      await opened.close();
    }
  }

  #damaged(what: string): HoldfastError {
    const remedy = "Put the files back, or move the whole folder away and rewind the subscriber.";
    const { place } = this.#disk;
    return new HoldfastError("invalid-configuration", `${place} ${what}. ${remedy}`, { details: { place } });
  }
}

function nameOf({ number, day }: OpenFile): string {
  return `${String(number).padStart(numberDigits, "0")}-${day}${ending}`;
}

function openNameOf(file: OpenFile): string {
  return `${nameOf(file).slice(0, -ending.length)}${openEnding}`;
}

function numberOf(name: string): number | undefined {
  const digits = /^(\d+)-[\d-]+\.ndjson(\.open)?$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
