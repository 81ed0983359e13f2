/**
 * Images as bytes: one entity, and the stamp of a shard in a state store.
 *
 * Invariant: decodeImage(encodeImage(image)) deep-equals the image. Positions never change meaning: what is added gets a
 * new position at the end. Bytes that are no image give undefined, whatever they are: stores are disposable.
 */
import { Packr, Unpackr } from "msgpackr";
import { type Epoch, formatRef, type Offset } from "../model/ids.ts";
import type {
  EntityImage,
  InboxImage,
  OutboxImage,
  ParkedImage,
  RequestsImage,
  StoredImage,
  TimerImage,
} from "../model/images.ts";
import type { Outcome } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import type { Chain } from "./frame.ts";
import { sendFromRow, sendToRow } from "./record.ts";
import { callImageFromRow, callImageToRow } from "./record-calls.ts";

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: true });
/** Of the form of images and stamps; another one is not read. */
const version = 1;

type Row = unknown[];

/** Something of the entity waits: it is to be in memory when its shard is served. */
export function isBusy({ timers, outbox, calls, parked }: EntityImage): boolean {
  const sending = outbox.some(({ sends }) => sends.length > 0);
  return timers.length > 0 || sending || calls.length > 0 || parked !== undefined;
}

export function encodeImage(image: EntityImage): StoredImage {
  const { entity, touched, timers, outbox, inbox, calls, parked } = image;
  const busy = isBusy(image);
  const row: Row = [version, entity.type, entity.key, image.version, touched, image.state];
  if (busy || outbox.length > 0 || inbox.length > 0) {
    row.push(
      timers.map(({ name, dueMs, setAt, command, input }) => [name, dueMs, setAt, command, input]),
      outbox.map(({ to, sequence, sends }) => [
        to.type,
        to.key,
        sequence,
        sends.map(({ send, at }) => [at, sendToRow(send)]),
      ]),
      inbox.map(({ from, sequence, outcome, at }) => [from, sequence, outcome, at]),
    );
    if (calls.length > 0 || parked !== undefined) row.push(calls.map(callImageToRow));
  }
  if (parked !== undefined) row.push([parked.at, parked.sinceMs, parked.park]);
  return { name: formatRef(entity), touched, busy, bytes: packr.pack(row) };
}

/** The image, or undefined if the bytes are none of this form. */
export function decodeImage(bytes: Uint8Array): EntityImage | undefined {
  const row = unpack(bytes);
  if (row === undefined) return undefined;
  const [, type, key, changed, touched, state] = row as [number, string, string, Offset, Offset, Plain];
  return {
    entity: { type, key },
    version: changed,
    touched,
    state,
    timers: ((row[6] ?? []) as Row[]).map(timerFromRow),
    outbox: ((row[7] ?? []) as Row[]).map(outboxFromRow),
    inbox: ((row[8] ?? []) as Row[]).map(inboxFromRow),
    calls: ((row[9] ?? []) as Row[]).map(callImageFromRow),
    ...(row.length > 10 ? { parked: parkedFromRow(row[10] as Row) } : {}),
  };
}

function parkedFromRow(row: Row): ParkedImage {
  const [at, sinceMs, park] = row as [Offset, number, ParkedImage["park"]];
  return { at, sinceMs, park };
}

function timerFromRow(row: Row): TimerImage {
  const [name, dueMs, setAt, command, input] = row as [string, number, Offset, string, Plain];
  return { name, dueMs, setAt, command, input };
}

function outboxFromRow(row: Row): OutboxImage {
  const [type, key, sequence, sends] = row as [string, string, number, [Offset, Row][]];
  return { to: { type, key }, sequence, sends: sends.map(([at, send]) => ({ send: sendFromRow(send), at })) };
}

function inboxFromRow(row: Row): InboxImage {
  const [from, sequence, outcome, at] = row as [string, number, Outcome, Offset];
  return { from, sequence, outcome, at };
}

/** What a state store knows of a shard. Its request ids stand in chunks of their own. */
export interface Stamp {
  readonly at: Offset;
  readonly chain: Chain | undefined;
  readonly epoch: Epoch;
  readonly timeMs: number;
  /** The newest snapshot that contains everything below its offset; 0 if there is none. */
  readonly snapshotAt: Offset;
  /** No image in the store contains a record at or above it. */
  readonly high: Offset;
  /** Entities that have an image in the store. It came later: stamps without it are read. */
  readonly count?: number;
  /** What evolved the states: a code per entity type. */
  readonly codes: Readonly<Record<string, string>>;
  /** Generations of request ids: the number their chunks are named by, and how many ids they hold. */
  readonly requests: readonly { readonly number: number; readonly startMs: number; readonly count: number }[];
}

export function encodeStamp(stamp: Stamp): Uint8Array {
  return packr.pack([version, { ...stamp, chain: stamp.chain ?? null }]);
}

export function decodeStamp(bytes: Uint8Array): Stamp | undefined {
  const row = unpack(bytes);
  if (row === undefined) return undefined;
  const stamp = row[1] as Omit<Stamp, "chain"> & { chain: Chain | null };
  return { ...stamp, chain: stamp.chain ?? undefined };
}

/** Ids of one chunk: 16 bytes each, then their offsets, 8 bytes each. */
export function encodeIds(ids: Uint8Array, offsets: Float64Array): Uint8Array {
  const bytes = new Uint8Array(ids.length + offsets.byteLength);
  bytes.set(ids);
  bytes.set(new Uint8Array(offsets.buffer, offsets.byteOffset, offsets.byteLength), ids.length);
  return bytes;
}

/** Reads `count` ids of a chunk into their places from `index` on; false if the chunk does not hold as many. */
export function decodeIds(bytes: Uint8Array, into: RequestsImage, index: number, count: number): boolean {
  const held = bytes.length / 24;
  if (held < count) return false;
  into.ids.set(bytes.subarray(0, count * 16), index * 16);
  const offsets = new Uint8Array(into.offsets.buffer, into.offsets.byteOffset + index * 8, count * 8);
  offsets.set(bytes.subarray(held * 16, held * 16 + count * 8));
  return true;
}

function unpack(bytes: Uint8Array): Row | undefined {
  try {
    const row: unknown = unpackr.unpack(bytes);
    return Array.isArray(row) && row[0] === version ? row : undefined;
  } catch {
    return undefined;
  }
}
