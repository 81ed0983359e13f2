/**
 * Keys as bytes: the slots of a key store's file, the notes of its erasures, and both as one object for a backup.
 *
 *   slot, 64 bytes    "HK" state(1) 0 generation(4) hash of the subject(16) key(32) 0(4) CRC-32(4)
 *   head, 64 bytes    "HFKEYS1" 0 id(16) slots that are durable(4) 0(32) CRC-32(4); stands where slot 0 would
 *   note, 512 bytes   CRC-32(4) length(2) JSON, zeros
 *   export            "HFKEYX1" 0 slots(4) notes(4), slots, notes, SHA-256 of all before
 *
 * Invariants: a slot and a note lie in one sector each, which a crash leaves old or new. An erased slot holds zeros where its
 * key was. Numbers are little-endian.
 */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Asked, Erasure } from "../model/erasure.ts";
import { HoldfastError } from "../model/errors.ts";
import { IdTable } from "../std/id-table.ts";

export const slotBytes = 64;
export const noteBytes = 512;
const keyAt = 24;
const keyBytes = 32;
const crcAt = 60;

export type SlotState = "live" | "erased" | "void";
const states: readonly SlotState[] = ["live", "erased", "void"];

export interface KeySlot {
  readonly state: SlotState;
  readonly generation: number;
  /** 16 bytes. */
  readonly hash: Uint8Array;
  /** 32 bytes of a live one. A view. */
  readonly key: Uint8Array;
}

export function hashOfSubject(subject: string): Uint8Array {
  return createHash("sha256").update(subject).digest().subarray(0, 16);
}

export function keysDamaged(place: string, problem: string): HoldfastError {
  const remedy =
    "Restore the key store from a backup of the same service; without its keys personal data cannot be read.";
  return new HoldfastError("keys-damaged", `${place} ${problem}. ${remedy}`, { details: { place } });
}

/** Writes a slot into `into`; the key's bytes only if it is live, zeros otherwise. */
export function writeSlot(into: Buffer, at: number, slot: KeySlot): void {
  into.fill(0, at, at + slotBytes);
  into.write("HK", at, "latin1");
  into[at + 2] = states.indexOf(slot.state) + 1;
  into.writeUInt32LE(slot.generation, at + 4);
  into.set(slot.hash, at + 8);
  if (slot.state === "live") into.set(slot.key, at + keyAt);
  into.writeUInt32LE(crc32(into.subarray(at, at + crcAt)), at + crcAt);
}

/** Undefined: nothing was ever written there. @throws `keys-damaged` */
export function readSlot(from: Buffer, at: number, place: string): KeySlot | undefined {
  const bytes = from.subarray(at, at + slotBytes);
  if (bytes[0] === 0 && bytes.every((byte) => byte === 0)) return undefined;
  const state = states[(bytes[2] as number) - 1];
  const fits = bytes.readUInt32LE(crcAt) === crc32(bytes.subarray(0, crcAt));
  if (!fits || bytes.toString("latin1", 0, 2) !== "HK" || state === undefined)
    throw keysDamaged(place, `fails its checks at byte ${at}`);
  const key = bytes.subarray(keyAt, keyAt + keyBytes);
  return { state, generation: bytes.readUInt32LE(4), hash: bytes.subarray(8, 24), key };
}

export interface KeysHead {
  readonly id: Uint8Array;
  /** So many slots were durable when this was written, the head among them. */
  readonly slots: number;
}

export function writeHead(into: Buffer, { id, slots }: KeysHead): void {
  into.fill(0, 0, slotBytes);
  into.write("HFKEYS1", 0, "latin1");
  into.set(id, 8);
  into.writeUInt32LE(slots, 24);
  into.writeUInt32LE(crc32(into.subarray(0, crcAt)), crcAt);
}

/** The bytes of a key store that never had a key. */
export function emptyKeys(id: Uint8Array): Buffer {
  const bytes = Buffer.alloc(slotBytes);
  writeHead(bytes, { id, slots: 1 });
  return bytes;
}

export function readHead(from: Buffer, place: string): KeysHead {
  const fits = from.length >= slotBytes && from.readUInt32LE(crcAt) === crc32(from.subarray(0, crcAt));
  if (!fits || from.toString("latin1", 0, 7) !== "HFKEYS1") throw keysDamaged(place, "has no head that fits");
  return { id: from.subarray(8, 24), slots: from.readUInt32LE(24) };
}

/** An erasure, or that its mark is in the log. */
export type Note =
  | ({ readonly kind: "erased" } & Erasure)
  | { readonly kind: "marked"; readonly subject: string; readonly generation: number };

/** Longer names of operators are cut. */
const idCharsMax = 100;

export function noteToBytes(note: Note): Buffer {
  const told =
    note.kind === "marked"
      ? note
      : {
          ...note,
          principal: { kind: note.principal.kind, id: note.principal.id.slice(0, idCharsMax).toWellFormed() },
        };
  // other scripts take up to three bytes a character, and six where JSON escapes
  let json = Buffer.from(JSON.stringify(told));
  if (json.length > noteBytes - 6 && told.kind === "erased")
    json = Buffer.from(JSON.stringify({ ...told, principal: { kind: told.principal.kind, id: "?" } }));
  const bytes = Buffer.alloc(noteBytes);
  bytes.writeUInt16LE(json.length, 4);
  bytes.set(json, 6);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** In the order in which they were written. @throws `keys-damaged` */
export function readNotes(from: Buffer, place: string): Note[] {
  const notes: Note[] = [];
  let ended = false;
  for (let at = 0; at + noteBytes <= from.length; at += noteBytes) {
    const bytes = from.subarray(at, at + noteBytes);
    if (bytes.every((byte) => byte === 0)) {
      ended = true;
      continue;
    }
    if (ended || bytes.readUInt32LE(0) !== crc32(bytes.subarray(4)))
      throw keysDamaged(place, `fails its checks at byte ${at}`);
    notes.push(JSON.parse(bytes.toString("utf8", 6, 6 + bytes.readUInt16LE(4))) as Note);
  }
  return notes;
}

export interface ExportedKeys {
  /** Whole slots, without the head. */
  readonly slots: Buffer;
  readonly notes: Buffer;
}

const exported = "The exported keys";
const exportHead = 16;
const digestBytes = 32;

export function packKeys({ slots, notes }: ExportedKeys): Uint8Array {
  const head = Buffer.alloc(exportHead);
  head.write("HFKEYX1", 0, "latin1");
  head.writeUInt32LE(slots.length / slotBytes, 8);
  head.writeUInt32LE(notes.length / noteBytes, 12);
  const all = Buffer.concat([head, slots, notes]);
  return Buffer.concat([all, createHash("sha256").update(all).digest()]);
}

/** @throws `keys-damaged` */
export function unpackKeys(bytes: Uint8Array): ExportedKeys {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = all.length - digestBytes;
  const fits =
    end >= exportHead && createHash("sha256").update(all.subarray(0, end)).digest().equals(all.subarray(end));
  if (!fits || all.toString("latin1", 0, 7) !== "HFKEYX1") throw keysDamaged(exported, "fail their checks");
  const slotsEnd = exportHead + all.readUInt32LE(8) * slotBytes;
  return { slots: all.subarray(exportHead, slotsEnd), notes: all.subarray(slotsEnd, end) };
}

/**
 * An erasure applied to keys that were exported before it: the same keys, with a tombstone in place of the subject's.
 * @param asked who asked: then the service that is started with these keys tells its log of it
 * @returns the same bytes if they hold no key of the subject
 * @throws `keys-damaged`
 */
export function exportWithout(bytes: Uint8Array, subject: string, asked?: Asked): Uint8Array {
  const hash = hashOfSubject(subject);
  const note = ({ generation }: KeySlot): Erasure[] =>
    asked === undefined ? [] : [{ subject, generation, principal: asked.principal, atMs: asked.atMs }];
  return exportErased(bytes, (slot) => (Buffer.compare(slot.hash, hash) === 0 ? note(slot) : undefined));
}

/**
 * The same for every erasure that a later export of the same key store shows.
 * @throws `keys-damaged`
 */
export function exportErasedBy(bytes: Uint8Array, later: Uint8Array): Uint8Array {
  const { slots } = unpackKeys(later);
  const bySubject = new IdTable(0);
  for (let at = 0; at < slots.length; at += slotBytes) {
    const slot = readSlot(slots, at, exported);
    if (slot !== undefined && slot.state !== "void") bySubject.add(Uint8Array.from(slot.hash), at / slotBytes + 1);
  }
  return exportErased(bytes, ({ hash, generation }) => {
    const index = bySubject.get(hash);
    const now = index === 0 ? undefined : readSlot(slots, (index - 1) * slotBytes, exported);
    if (now === undefined) return undefined;
    return now.generation > generation || (now.generation === generation && now.state === "erased") ? [] : undefined;
  });
}

/** True if a later export of one key store has the same slots and perhaps more: then nothing was erased in between. */
export function beginsAlike(bytes: Uint8Array, later: Uint8Array): boolean {
  const slotsIn = (all: Uint8Array) =>
    all.subarray(
      exportHead,
      exportHead + Buffer.from(all.buffer, all.byteOffset, all.length).readUInt32LE(8) * slotBytes,
    );
  const [slots, laterSlots] = [slotsIn(bytes), slotsIn(later)];
  return Buffer.compare(slots, laterSlots.subarray(0, slots.length)) === 0;
}

/** @param erasuresOf undefined: the live slot stays; else it becomes a tombstone, and these are noted */
function exportErased(bytes: Uint8Array, erasuresOf: (slot: KeySlot) => readonly Erasure[] | undefined): Uint8Array {
  const { slots, notes } = unpackKeys(bytes);
  const kept = Buffer.from(slots);
  const more: Buffer[] = [];
  let changed = false;
  for (let at = 0; at < kept.length; at += slotBytes) {
    const slot = readSlot(slots, at, exported);
    const erasures = slot?.state === "live" ? erasuresOf(slot) : undefined;
    if (slot === undefined || erasures === undefined) continue;
    changed = true;
    writeSlot(kept, at, { ...slot, state: "erased" });
    for (const erasure of erasures) more.push(noteToBytes({ kind: "erased", ...erasure }));
  }
  return changed ? packKeys({ slots: kept, notes: Buffer.concat([notes, ...more]) }) : bytes;
}
