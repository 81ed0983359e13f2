/**
 * The files sink: one CloudEvent a line (NDJSON), for analytics. Each line is there once, whatever dies when.
 *
 * Invariants: a batch is answered for when its lines are on stable storage together with the cursor (`sink-folder.ts`). Of two runnings
 * of a subscriber the later one writes: each delivery looks, under the directory's lock, whose folder it is. Within a file lines are
 * in the order of their delivery, and the names of files sort in the order in which they were begun.
 */
import { join } from "node:path";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Disk } from "../../ports/disk.ts";
import type { Sink, SinkBatch, SinkIdentity } from "../../ports/sink.ts";
import { cloudEventOf } from "../../wire/cloud-events.ts";
import { systemClock } from "../system/clock.ts";
import { openDirectory } from "../system/disk.ts";
import { type OpenFile, type Position, SinkFolder } from "./sink-folder.ts";

export interface FilesSinkLimits {
  /** A file is finished before it gets larger than this, in bytes; a batch is in one file whatever its size. Default 128 MiB. */
  readonly fileBytesMax?: number;
  /** A file is finished by the first batch after this time, and by the first of another day (UTC). Default one hour. */
  readonly fileMs?: number;
}

export interface FilesSinkOptions extends FilesSinkLimits {
  /** On a disk of this machine. Each subscriber has a folder of its name in it. */
  readonly directory: string;
}

export function filesSink({ directory, ...limits }: FilesSinkOptions): Sink {
  return filesSinkOver({ open: (folder) => openDirectory(join(directory, folder)), clock: systemClock, ...limits });
}

export interface FilesSinkParts extends FilesSinkLimits {
  readonly open: (folder: string) => Disk;
  readonly clock: Clock;
}

/** Over any disk, and with any time: for tests and the simulator. */
export function filesSinkOver(parts: FilesSinkParts): Sink {
  return new FilesSink(parts);
}

const fileBytesMaxDefault = 128 * 1024 * 1024;
const fileMsDefault = 3_600_000;
/** Also a name of a folder on every system. */
const folderPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;

class FilesSink implements Sink {
  readonly #parts: FilesSinkParts;
  #folder: SinkFolder | undefined;
  #identity: SinkIdentity | undefined;
  /** As the last delivery left it. */
  #cursor: string | null = null;
  /** The file that lines go to, if the folder is known to hold nothing behind the position. */
  #clean: { readonly file: OpenFile | undefined } | undefined;
  #isClosed = false;

  constructor(parts: FilesSinkParts) {
    this.#parts = parts;
  }

  async open(identity: SinkIdentity): Promise<string | undefined> {
    if (this.#isClosed) throw closed();
    const { service, subscriber, epoch } = identity;
    if (!folderPattern.test(subscriber))
      throw misused(`The subscriber ${JSON.stringify(subscriber)} is no name of a folder.`);
    this.#identity = identity;
    this.#clean = undefined;
    try {
      const folder = new SinkFolder(this.#parts.open(subscriber));
      this.#folder = folder;
      return await folder.locked(async () => {
        const found = await folder.position();
        if (found !== undefined && (found.service !== service || found.subscriber !== subscriber))
          throw misused(`The folder is of ${found.service}/${found.subscriber}, not of ${service}/${subscriber}.`);
        if (found !== undefined && found.epoch > epoch) throw fenced(subscriber);
        const position: Position = found ?? { service, subscriber, epoch, cursor: null, file: null };
        const file = await folder.recover(position);
        this.#clean = { file };
        await folder.moveTo({ ...position, epoch });
        this.#cursor = position.cursor;
        return position.cursor ?? undefined;
      });
    } catch (error) {
      throw isSetting(error) ? error : unavailable(error);
    }
  }

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw new HoldfastError("aborted", "The delivery was given up.");
    await this.#write(batch.cursor, () => this.#linesOf(batch));
  }

  async rewind(cursor: string): Promise<void> {
    await this.#write(cursor, () => undefined);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #linesOf({ items }: SinkBatch): Uint8Array | undefined {
    if (items.length === 0) return undefined;
    const { service } = this.#known();
    let text = "";
    for (const item of items) text += `${cloudEventOf(item, service)}\n`;
    return Buffer.from(text);
  }

  async #write(cursor: string, linesOf: () => Uint8Array | undefined): Promise<void> {
    if (this.#isClosed) throw closed();
    this.#known();
    const folder = this.#folder;
    if (folder === undefined) throw new HoldfastError("unavailable", "The folder could not be opened.");
    try {
      await folder.locked(() => this.#writeLocked(folder, cursor, linesOf));
    } catch (error) {
      this.#clean = undefined;
      throw unavailable(error);
    }
  }

  async #writeLocked(folder: SinkFolder, cursor: string, linesOf: () => Uint8Array | undefined): Promise<void> {
    const { subscriber, epoch } = this.#known();
    const position = await folder.position();
    if (position !== undefined && position.epoch > epoch) throw fenced(subscriber);
    if (position === undefined || position.epoch < epoch) throw moved(subscriber);
    if (position.cursor === cursor) {
      // An earlier attempt came this far, and could not say so.
      await folder.settle();
      this.#cursor = cursor;
      return;
    }
    if (position.cursor !== this.#cursor) throw moved(subscriber);
    const open = this.#clean === undefined ? await folder.recover(position) : this.#clean.file;
    const lines = linesOf();
    const file = await this.#fileFor(folder, { position, open, bytes: lines?.length ?? 0 });
    if (lines !== undefined && file !== undefined) await folder.append(file, lines);
    const after = file === undefined ? undefined : { ...file, bytes: file.bytes + (lines?.length ?? 0) };
    await folder.moveTo({ ...position, cursor, file: after ?? position.file });
    this.#clean = { file: after };
    this.#cursor = cursor;
  }

  /** The file for so many bytes; finishes the one that is full, old or of another day. */
  async #fileFor(
    folder: SinkFolder,
    { position, open, bytes }: { position: Position; open: OpenFile | undefined; bytes: number },
  ): Promise<OpenFile | undefined> {
    const { clock, fileBytesMax = fileBytesMaxDefault, fileMs = fileMsDefault } = this.#parts;
    const nowMs = clock.now();
    const day = new Date(nowMs).toISOString().slice(0, 10);
    const isDone =
      open !== undefined &&
      open.bytes > 0 &&
      (open.bytes + bytes > fileBytesMax || nowMs - open.openedMs >= fileMs || open.day !== day);
    if (open !== undefined && !isDone) return open;
    // From here on a failure leaves what `recover` clears up.
    this.#clean = undefined;
    if (open !== undefined) await folder.finish(open);
    if (bytes === 0) return undefined;
    const file = { number: (position.file?.number ?? 0) + 1, day, openedMs: nowMs, bytes: 0 };
    await folder.begin(file);
    return file;
  }

  #known(): SinkIdentity {
    if (this.#identity === undefined) throw new HoldfastError("internal", "Broken invariant: a sink is opened first");
    return this.#identity;
  }
}

/** What an operator must mend; everything else of a disk passes, or is somebody's who holds the lock. */
function isSetting(error: unknown): boolean {
  return isHoldfastError(error) && (error.code === "invalid-configuration" || error.code === "fenced");
}

function unavailable(error: unknown): HoldfastError {
  if (isHoldfastError(error) && (error.code === "fenced" || error.code === "unavailable")) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new HoldfastError("unavailable", `The files were not written: ${why}`, { cause: error });
}

function misused(text: string): HoldfastError {
  return new HoldfastError("invalid-configuration", text);
}

function fenced(subscriber: string): HoldfastError {
  return new HoldfastError("fenced", `A later running of the subscriber ${subscriber} writes to this folder.`);
}

function moved(subscriber: string): HoldfastError {
  const text = `The folder does not stand where the subscriber ${subscriber} left it: it was restored or changed by hand. Open the sink again (resume the subscriber): it goes on from the cursor that is there.`;
  return new HoldfastError("unavailable", text, { details: { reopen: true } });
}

function closed(): HoldfastError {
  return new HoldfastError("unavailable", "The sink is closed.");
}
