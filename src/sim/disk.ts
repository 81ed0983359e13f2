/**
 * A simulated disk: files in memory, with everything that a real one may do to an unlucky writer.
 *
 * What is on stable storage, what only the system's cache shows, and which names were synced are kept apart:
 * - a write that was answered survives every crash; one in flight leaves any subset of its 512-byte sectors
 * - killing the process leaves such sectors in the cache: visible to the next process, and gone with the next power cut
 * - a name that was made, changed or removed and not synced may or may not be so after a power cut, but changes of one
 *   file stay in order and a replacement is whole
 *
 * Invariant: all time and chance come in by `schedule` and `random`, so one seed gives one history. Calls of a process
 * that is dead never settle.
 */
import { HoldfastError } from "../model/errors.ts";
import { type Disk, type DiskFile, type DiskLock, sectorBytes } from "../ports/disk.ts";
import { SimFile } from "./disk-file.ts";

export type DiskVerb = "lock" | "list" | "open" | "create" | "rename" | "remove" | "sync" | "read" | "write" | "close";

export interface DiskOperation {
  readonly verb: DiskVerb;
  /** Empty for the directory itself. */
  readonly name: string;
  /** Written or allocated. */
  readonly bytes: number;
}

/** `broken`: the device refuses it (EIO). `full`: no space. */
export type DiskFault = "broken" | "full";

export interface SimDiskOptions {
  readonly schedule: (delayMs: number, run: () => void) => void;
  /** 0 <= value < 1 */
  readonly random: () => number;
  readonly latencyMs?: (operation: DiskOperation) => number;
  readonly capacityBytes?: number;
  /** Asked when an operation takes effect. A broken write leaves some of its sectors in the cache. */
  readonly fault?: (operation: DiskOperation) => DiskFault | undefined;
}

/** One process's view of the disk. */
export interface SimProcess {
  readonly disk: Disk;
  /** Kills the process alone: the cache stays, the lock goes. */
  kill(): void;
}

interface NameChange {
  readonly file: SimFile;
  readonly to: string | undefined;
  /** The file that lost this name. */
  readonly replaced: SimFile | undefined;
}

interface InFlight {
  readonly process: Process;
  /** Called at a crash: does what may be left of the operation. */
  readonly abandon: () => void;
}

export class SimDisk {
  readonly options: SimDiskOptions;
  /** Bytes all files may take together; may be changed at any time. */
  capacityBytes: number;
  readonly #files = new Set<SimFile>();
  /** Changes of names since the directory was last synced. */
  #changes: NameChange[] = [];
  readonly #inFlight = new Set<InFlight>();
  readonly #processes = new Set<Process>();
  locked: Process | undefined;

  constructor(options: SimDiskOptions) {
    this.options = options;
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY;
  }

  /** A process that uses this disk. */
  attach(): SimProcess {
    const process = new Process(this);
    this.#processes.add(process);
    return { disk: process, kill: () => this.#kill(process) };
  }

  /** Cuts the power: every process ends, the cache is lost, what was in flight is torn. */
  crash(): void {
    const { random } = this.options;
    for (const process of this.#processes) this.#kill(process);
    const undone = new Set<SimFile>();
    for (const change of this.#changes) this.#settle(change, undone);
    this.#changes = [];
    for (const file of this.#files) {
      file.name = file.durableName;
      file.losePower(random);
      if (file.name === undefined) this.#files.delete(file);
    }
  }

  /** Turns one bit of what is stored, as a bad device would. */
  flip(name: string, bit: number): void {
    this.#need(name).flip(bit);
  }

  /** A file that is there, on stable storage. */
  place(name: string, bytes: Uint8Array): void {
    const file = new SimFile(0);
    file.write(bytes, 0);
    this.change(file, name);
    this.syncNames();
  }

  /** What a read would show. */
  content(name: string): Uint8Array {
    return this.#need(name).content();
  }

  list(): { name: string; bytes: number }[] {
    return [...this.#files].flatMap(({ name, bytes }) => (name === undefined ? [] : [{ name, bytes }]));
  }

  find(name: string): SimFile | undefined {
    for (const file of this.#files) if (file.name === name) return file;
    return undefined;
  }

  /** Makes sure that `bytes` more fit. */
  checkRoom(bytes: number): void {
    let used = 0;
    for (const file of this.#files) used += file.bytes;
    if (used + bytes > this.capacityBytes) throw fullError();
  }

  change(file: SimFile, to: string | undefined): void {
    const replaced = to === undefined ? undefined : this.find(to);
    this.#files.add(file);
    file.name = to;
    if (replaced !== undefined) replaced.name = undefined;
    this.#changes.push({ file, to, replaced });
  }

  syncNames(): void {
    this.#changes = [];
    for (const file of this.#files) {
      file.durableName = file.name;
      if (file.name === undefined) this.#files.delete(file);
    }
  }

  /** Runs `work` after a while, unless the process is dead by then; a crash in between runs `abandon`. */
  run<T>(process: Process, operation: DiskOperation, work: () => T, abandon: () => void = () => {}): Promise<T> {
    const { schedule, random, latencyMs } = this.options;
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      const entry: InFlight = { process, abandon };
      this.#inFlight.add(entry);
      schedule(latencyMs?.(operation) ?? 0.05 + random() * 0.1, () => {
        if (!this.#inFlight.delete(entry)) return;
        try {
          this.#fail(operation, abandon);
          resolve(work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #fail(operation: DiskOperation, abandon: () => void): void {
    const fault = this.options.fault?.(operation);
    if (fault === undefined) return;
    if (operation.verb === "write") abandon();
    if (fault === "full") throw fullError();
    throw new HoldfastError("log-failed", `The simulated disk refused to ${operation.verb} ${operation.name}.`, {
      details: { ...operation },
    });
  }

  #kill(process: Process): void {
    process.alive = false;
    this.#processes.delete(process);
    if (this.locked === process) this.locked = undefined;
    for (const entry of this.#inFlight) {
      if (entry.process !== process) continue;
      this.#inFlight.delete(entry);
      entry.abandon();
    }
  }

  /** Keeps or loses a change of names; once a file lost one it loses all that follow. */
  #settle({ file, to, replaced }: NameChange, undone: Set<SimFile>): void {
    const depends = undone.has(file) || (replaced !== undefined && undone.has(replaced));
    if (depends || this.options.random() < 0.4) {
      undone.add(file);
      if (replaced !== undefined) undone.add(replaced);
      return;
    }
    file.durableName = to;
    if (replaced !== undefined) replaced.durableName = undefined;
    for (const other of this.#files) {
      if (other !== file && to !== undefined && other.durableName === to) other.durableName = undefined;
    }
  }

  #need(name: string): SimFile {
    const file = this.find(name);
    if (file === undefined) throw missing(name);
    return file;
  }
}

class Process implements Disk {
  readonly place = "simulated disk";
  alive = true;
  readonly #sim: SimDisk;

  constructor(sim: SimDisk) {
    this.#sim = sim;
  }

  lock(): Promise<DiskLock> {
    return this.#run("lock", "", 0, () => {
      if (this.#sim.locked !== undefined) {
        throw new HoldfastError("directory-in-use", "Another simulated process holds the disk.");
      }
      this.#sim.locked = this;
      return {
        release: async () => {
          if (this.#sim.locked === this) this.#sim.locked = undefined;
        },
      };
    });
  }

  list(): Promise<{ name: string; bytes: number }[]> {
    return this.#run("list", "", 0, () => this.#sim.list());
  }

  open(name: string): Promise<DiskFile> {
    return this.#run("open", name, 0, () => {
      const file = this.#sim.find(name);
      if (file === undefined) throw missing(name);
      return this.#handle(file);
    });
  }

  create(name: string, bytes: number): Promise<void> {
    const file = new SimFile(0);
    const grow = (part: number) => {
      this.#sim.change(file, name);
      file.grow(Math.floor(bytes * part));
    };
    const work = () => {
      this.#sim.checkRoom(bytes);
      grow(1);
    };
    return this.#run("create", name, bytes, work, () => grow(this.#sim.options.random()));
  }

  rename(from: string, to: string): Promise<void> {
    const work = () => {
      const file = this.#sim.find(from);
      if (file === undefined) throw missing(from);
      this.#sim.change(file, to);
    };
    return this.#run("rename", from, 0, work, () => this.#maybe(work));
  }

  remove(name: string): Promise<void> {
    const work = () => {
      const file = this.#sim.find(name);
      if (file !== undefined) this.#sim.change(file, undefined);
    };
    return this.#run("remove", name, 0, work, () => this.#maybe(work));
  }

  syncDirectory(): Promise<void> {
    const work = () => this.#sim.syncNames();
    return this.#run("sync", "", 0, work, () => this.#maybe(work));
  }

  #handle(file: SimFile): DiskFile {
    const sim = this.#sim;
    const nameOf = () => file.name ?? "removed";
    return {
      read: (target, position) => this.#run("read", nameOf(), 0, () => file.read(target, position)),
      write: (bytes, position) => {
        const work = () => {
          sim.checkRoom(Math.max(0, position + bytes.length - file.bytes));
          file.write(bytes, position);
        };
        return this.#run("write", nameOf(), bytes.length, work, () => file.tear(bytes, position, sim.options.random));
      },
      close: () => this.#run("close", nameOf(), 0, () => undefined),
    };
  }

  #run<T>(verb: DiskVerb, name: string, bytes: number, work: () => T, abandon?: () => void): Promise<T> {
    return this.#sim.run(this, { verb, name, bytes }, work, abandon);
  }

  #maybe(work: () => void): void {
    if (this.#sim.options.random() < 0.5) work();
  }
}

function fullError(): HoldfastError {
  return new HoldfastError("disk-full", `The simulated disk is full (sectors of ${sectorBytes} bytes).`);
}

function missing(name: string): HoldfastError {
  return new HoldfastError("invalid-configuration", `The simulated disk has no file ${name}.`);
}
