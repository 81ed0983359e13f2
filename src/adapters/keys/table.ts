/**
 * A key store over two files of fixed slots: keys, and notes of erasures. All of it is in memory too, outside the heap: 64
 * bytes a subject, and an index of about 30.
 *
 * Invariants:
 * 1. A subject has one slot for good. Its erasure, and the next key after it, are written over the old key.
 * 2. An erasure is noted durably before its key is overwritten, so an opening completes what was begun.
 * 3. One write is in flight at a time. Slots that changed since it began go with the next.
 */
import type { Asked, Erasure } from "../../model/erasure.ts";
import { HoldfastError } from "../../model/errors.ts";
import type { Random } from "../../ports/clock.ts";
import type { KeyStore, SubjectKey } from "../../ports/key-store.ts";
import { IdTable } from "../../std/id-table.ts";
import {
  hashOfSubject,
  type KeySlot,
  keysDamaged,
  type Note,
  noteBytes,
  noteToBytes,
  packKeys,
  readHead,
  readNotes,
  readSlot,
  slotBytes,
  unpackKeys,
  writeHead,
  writeSlot,
} from "../../wire/keys.ts";

/** A file, as far as a key store needs one. A write is resolved when it is on stable storage. */
export interface KeyFile {
  readonly place: string;
  /** What was in it when it was opened. The table wipes it. */
  readonly bytes: Uint8Array;
  write(bytes: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

export interface KeyFiles {
  readonly keys: KeyFile;
  readonly notes: KeyFile;
  readonly random: Random;
  /** Of the directory, say; released when the store is closed. */
  readonly release: () => Promise<void>;
}

const noKey = new Uint8Array(32);
/** The memory grows by half, from 64 slots. */
const slotsMin = 64;

export class KeyTable implements KeyStore {
  readonly #files: KeyFiles;
  /** All slots, the head first. */
  #slots: Buffer = Buffer.alloc(slotsMin * slotBytes);
  #size = 1;
  /** Slots that the head says are durable, and those that are. */
  #told = 1;
  #synced = 1;
  readonly #id: Uint8Array;
  #bySubject: IdTable;
  readonly #dirty = new Set<number>();
  #flushing = false;
  #notes = 0;
  readonly #unmarked = new Map<string, Erasure>();
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(files: KeyFiles) {
    this.#files = files;
    const { bytes, place } = files.keys;
    const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const head = readHead(whole, place);
    this.#id = Uint8Array.from(head.id);
    this.#bySubject = new IdTable(Buffer.from(this.#id).readUInt32LE(0));
    this.#told = this.#synced = head.slots;
    this.#load(whole);
    // no second copy of any key stays in memory
    whole.fill(0);
  }

  /** @throws `keys-damaged` */
  static async open(files: KeyFiles): Promise<KeyTable> {
    const table = new KeyTable(files);
    for (const note of readNotes(Buffer.from(files.notes.bytes), files.notes.place)) table.#remember(note);
    await table.sync();
    return table;
  }

  #load(bytes: Buffer): void {
    const { place } = this.#files.keys;
    if (bytes.length < this.#told * slotBytes)
      throw keysDamaged(place, `has ${bytes.length} bytes and had ${this.#told * slotBytes}`);
    const count = Math.floor(bytes.length / slotBytes);
    const holes: number[] = [];
    this.#room(count);
    bytes.copy(this.#slots, slotBytes, slotBytes, count * slotBytes);
    for (let index = 1; index < count; index++) {
      const slot = readSlot(bytes, index * slotBytes, place);
      if (slot === undefined) {
        if (index < this.#told) throw keysDamaged(place, `lacks slot ${index}`);
        holes.push(index);
        continue;
      }
      this.#size = index + 1;
      if (slot.state !== "void") this.#bySubject.add(slot.hash, index);
    }
    // the last write of a process that died may have left holes: nothing was acknowledged that rests on them
    for (const index of holes) {
      if (index >= this.#size) break;
      this.#put(index, { state: "void", generation: 0, hash: noKey.subarray(0, 16), key: noKey });
    }
  }

  #remember(note: Note): void {
    this.#notes++;
    const name = `${note.subject}.${note.generation}`;
    if (note.kind === "marked") {
      this.#unmarked.delete(name);
      return;
    }
    const { kind: _kind, ...erasure } = note;
    this.#unmarked.set(name, erasure);
    this.#destroy(erasure);
  }

  /** In memory; the next sync overwrites it on the medium. */
  #destroy({ subject, generation }: Erasure): void {
    const hash = hashOfSubject(subject);
    const index = this.#bySubject.get(hash);
    if (index === 0) {
      // Its key never reached the medium. The next one must not be taken for it, or it would be destroyed by this note.
      const fresh = this.#size++;
      this.#room(fresh);
      this.#put(fresh, { state: "erased", generation, hash, key: noKey });
      this.#bySubject.add(hash, fresh);
      return;
    }
    const slot = this.#slot(index);
    if (slot.state === "live" && slot.generation <= generation)
      this.#put(index, { state: "erased", generation: slot.generation, hash, key: noKey });
  }

  current(subject: string): SubjectKey {
    const hash = hashOfSubject(subject);
    const found = this.#bySubject.get(hash);
    const before = found === 0 ? undefined : this.#slot(found);
    if (before?.state === "live") return { generation: before.generation, key: before.key };
    const index = found === 0 ? this.#size++ : found;
    this.#room(index);
    const generation = (before?.generation ?? 0) + 1;
    this.#put(index, { state: "live", generation, hash, key: this.#files.random.bytes(32) });
    if (found === 0) this.#bySubject.add(hash, index);
    return { generation, key: this.#slot(index).key };
  }

  find(subject: string, generation: number): Uint8Array | "erased" | undefined {
    const index = this.#bySubject.get(hashOfSubject(subject));
    if (index === 0) return undefined;
    const slot = this.#slot(index);
    if (generation > slot.generation) return undefined;
    return slot.state === "live" && slot.generation === generation ? slot.key : "erased";
  }

  get dirty(): boolean {
    return this.#dirty.size > 0 || this.#flushing;
  }

  sync(): Promise<void> {
    return this.#alone(() => this.#flush());
  }

  async #flush(): Promise<void> {
    const changed = [...this.#dirty].sort((one, other) => one - other);
    if (changed.length === 0) return;
    const { keys } = this.#files;
    const size = this.#size;
    this.#dirty.clear();
    // What is being written is not durable yet: whoever looks now has to wait for it.
    this.#flushing = true;
    try {
      this.#told = this.#synced;
      writeHead(this.#slots, { id: this.#id, slots: this.#told });
      for (const [from, to] of runsOf([0, ...changed.filter((index) => index > 0)])) {
        const bytes = Buffer.from(this.#slots.subarray(from * slotBytes, to * slotBytes));
        await keys.write(bytes, from * slotBytes);
        bytes.fill(0);
      }
      this.#synced = size;
    } catch (error) {
      for (const index of changed) this.#dirty.add(index);
      throw error;
    } finally {
      this.#flushing = false;
    }
  }

  async erase(subject: string, { principal, atMs }: Asked): Promise<Erasure | undefined> {
    const index = this.#bySubject.get(hashOfSubject(subject));
    if (index === 0) return undefined;
    // A note of a key that is not on the medium would be of nothing that is.
    await this.sync();
    const { state, generation } = this.#slot(index);
    const erasure = { subject, generation, principal, atMs };
    if (state === "live")
      await this.#alone(async () => {
        // of two who ask at once the first has done it
        const slot = this.#slot(index);
        if (slot.state === "live" && slot.generation === generation) await this.#note({ kind: "erased", ...erasure });
      });
    await this.sync();
    return state === "live" ? erasure : undefined;
  }

  unmarked(): readonly Erasure[] {
    return [...this.#unmarked.values()];
  }

  marked({ subject, generation }: Pick<Erasure, "subject" | "generation">): Promise<void> {
    return this.#alone(async () => {
      if (this.#unmarked.has(`${subject}.${generation}`)) await this.#note({ kind: "marked", subject, generation });
    });
  }

  async #note(note: Note): Promise<void> {
    await this.#files.notes.write(noteToBytes(note), this.#notes * noteBytes);
    this.#remember(note);
  }

  export(): Promise<Uint8Array> {
    return this.#alone(async () => {
      // its memory is wiped, and zeros would pass for keys
      if (this.#closed) throw new HoldfastError("unavailable", "The key store is closed: the service stops.");
      const slots = this.#slots.subarray(slotBytes, this.#size * slotBytes);
      // what is done shows in the slots
      const notes = this.unmarked().map((erasure) => noteToBytes({ kind: "erased", ...erasure }));
      return packKeys({ slots, notes: Buffer.concat(notes) });
    });
  }

  async import(bytes: Uint8Array): Promise<void> {
    if (this.#size > 1 || this.#notes > 0) {
      const remedy = "Import keys into a key store of their own.";
      throw new HoldfastError("invalid-configuration", `The key store has keys already. ${remedy}`);
    }
    const { slots, notes } = unpackKeys(bytes);
    const place = "The exported keys";
    for (let at = 0; at < slots.length; at += slotBytes) {
      const slot = readSlot(slots, at, place);
      if (slot === undefined) throw keysDamaged(place, `lack slot ${at / slotBytes}`);
      const index = this.#size++;
      this.#room(index);
      this.#put(index, slot);
      if (slot.state !== "void") this.#bySubject.add(slot.hash, index);
    }
    for (const note of readNotes(notes, place)) await this.#alone(() => this.#note(note));
    await this.sync();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    this.#slots.fill(0);
    await this.#files.keys.close();
    await this.#files.notes.close();
    await this.#files.release();
  }

  #slot(index: number): KeySlot {
    return readSlot(this.#slots, index * slotBytes, this.#files.keys.place) as KeySlot;
  }

  #put(index: number, slot: KeySlot): void {
    writeSlot(this.#slots, index * slotBytes, { ...slot, hash: Uint8Array.from(slot.hash) });
    this.#dirty.add(index);
  }

  /** Old memory is wiped: a key must not outlive its erasure there. */
  #room(index: number): void {
    if ((index + 1) * slotBytes <= this.#slots.length) return;
    const larger = Buffer.alloc(Math.ceil(this.#slots.length / slotBytes / 2 + index + 1) * slotBytes);
    this.#slots.copy(larger);
    this.#slots.fill(0);
    this.#slots = larger;
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(work);
    this.#writing = done.then(
      () => {},
      () => {},
    );
    return done;
  }
}

/** Neighbours together, as [first, behind the last]. */
function runsOf(sorted: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const index of sorted) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === index) last[1] = index + 1;
    else runs.push([index, index + 1]);
  }
  return runs;
}
