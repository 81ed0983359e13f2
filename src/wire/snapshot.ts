/**
 * What a snapshot is in the snapshot store: the head of a shard, the manifests it lists, and references to objects.
 *
 *   head  `shards/<n>/head`, replaced by compare-and-set   -> up to three generations, the newest first
 *   manifest, one per generation                           -> layers of parts (images), chunks of request ids
 *
 * A document is sealed: magic "HFSN" · 1 kind · 1 version · msgpack body · 32 SHA-256 of all before it.
 *
 * Invariant: what decodes is what was written. Documents carry their digest, objects are referred to by length and
 * SHA-256, so one turned bit anywhere is `snapshot-damaged`, never another state. Server side only: it needs node:crypto.
 *
 * Versions, a line each:
 * - 1: first.
 */
import { createHash } from "node:crypto";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { Plain } from "../std/plain.ts";
import { decodePlain, encodePlain } from "./codec.ts";

const magic = [0x48, 0x46, 0x53, 0x4e];
const documentVersion = 1;
const headerBytes = 6;
const digestBytes = 32;
const documentLimits = { bytesMax: 64 * 1024 * 1024, depthMax: 16, valuesMax: 8 * 1024 * 1024, numberCharsMax: 40 };

/** An immutable object of the store. */
export interface ObjectRef {
  readonly name: string;
  readonly length: number;
  /** Of its bytes, hexadecimal. */
  readonly sha256: string;
}

/** Images in ascending order of their names (code units); see `snapshot-part.ts`. */
export interface PartRef extends ObjectRef {
  /** Before compression. */
  readonly rawLength: number;
  readonly images: number;
  readonly first: string;
  readonly last: string;
  /** How many of them are busy; undefined in manifests from before this was written down. */
  readonly busy?: number;
  /** Above the last record that any of them contains; undefined in such manifests too. */
  readonly high?: Offset;
}

/** Request ids of one generation of the dedup window; see `snapshot-requests.ts`. */
export interface RequestsRef extends ObjectRef {
  readonly startMs: number;
  readonly ids: number;
  /** Of the ids and offsets before compression: a chunk that did not change is known by it and not written again. */
  readonly contentSha256: string;
}

/** Images that one save or one merge wrote; their parts follow each other in order and do not overlap. */
export interface Layer {
  readonly parts: readonly PartRef[];
}

export interface Manifest {
  readonly shard: ShardId;
  readonly generation: number;
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly chain: number | undefined;
  readonly timeMs: number;
  /** Hash of the code of each entity type whose states the images hold. */
  readonly codes: Readonly<Record<string, string>>;
  /** In no order: of several images of one entity the one with the highest `touched` counts. */
  readonly layers: readonly Layer[];
  /** Chunks of one generation of the window stand together, in the order of their records. */
  readonly requests: readonly RequestsRef[];
}

/** One generation as the head lists it; the reference is its manifest's. */
export interface Generation extends ObjectRef {
  readonly generation: number;
  readonly epoch: Epoch;
  readonly at: Offset;
}

export interface Head {
  readonly shard: ShardId;
  /** The highest epoch that saved or announced itself here. A lower one is refused. */
  readonly epoch: Epoch;
  /** The newest first. */
  readonly generations: readonly Generation[];
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** @throws `snapshot-damaged` the bytes are not those that the reference was made of */
export function checkObject(ref: ObjectRef, bytes: Uint8Array): void {
  if (bytes.length !== ref.length) throw damaged(ref.name, `has ${bytes.length} bytes instead of ${ref.length}`);
  if (sha256(bytes) !== ref.sha256) throw damaged(ref.name, "fails its SHA-256");
}

export function damaged(name: string, problem: string, cause?: unknown): HoldfastError {
  const options = { details: { name }, ...(cause === undefined ? {} : { cause }) };
  return new HoldfastError("snapshot-damaged", `The snapshot object ${name} ${problem}.`, options);
}

type Kind = "head" | "manifest" | "catalogue";
const kinds: Readonly<Record<Kind, number>> = { head: 1, manifest: 2, catalogue: 3 };

/** Plain data under a digest of its own. */
export function seal(kind: Kind, body: Plain): Uint8Array {
  const packed = encodePlain(body, "msgpack");
  const bytes = new Uint8Array(headerBytes + packed.length + digestBytes);
  bytes.set([...magic, kinds[kind], documentVersion]);
  bytes.set(packed, headerBytes);
  const end = bytes.length - digestBytes;
  bytes.set(createHash("sha256").update(bytes.subarray(0, end)).digest(), end);
  return bytes;
}

/** @throws `snapshot-damaged` */
export function unseal(kind: Kind, name: string, bytes: Uint8Array): Plain {
  const end = bytes.length - digestBytes;
  if (end < headerBytes) throw damaged(name, "is too short");
  const digest = createHash("sha256").update(bytes.subarray(0, end)).digest();
  if (!digest.equals(bytes.subarray(end))) throw damaged(name, "fails its SHA-256");
  if (magic.some((byte, index) => bytes[index] !== byte) || bytes[4] !== kinds[kind])
    throw damaged(name, `is not a ${kind}`);
  if (bytes[5] !== documentVersion)
    throw damaged(name, `has version ${bytes[5]}; run the version of Holdfast that wrote it`);
  try {
    return decodePlain(bytes.subarray(headerBytes, end), "msgpack", documentLimits);
  } catch (cause) {
    throw isHoldfastError(cause) ? damaged(name, "has a body that does not decode", cause) : cause;
  }
}

export function encodeHead(head: Head): Uint8Array {
  const { shard, epoch, generations } = head;
  const rows = generations.map((one) => [one.generation, one.epoch, one.at, one.name, one.length, one.sha256]);
  return seal("head", [shard, epoch, rows]);
}

/** @throws `snapshot-damaged` */
export function decodeHead(bytes: Uint8Array, name: string, shard: ShardId): Head {
  const reader = new Row(name, unseal("head", name, bytes));
  if (reader.number() !== shard) throw damaged(name, "is another shard's");
  const epoch = reader.number();
  const generations = reader.rows((row) => ({
    generation: row.number(),
    epoch: row.number(),
    at: row.number(),
    ...row.ref(),
  }));
  return { shard, epoch, generations };
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { shard, generation, epoch, at, chain, timeMs, codes, layers, requests } = manifest;
  const parts = layers.map((layer) => layer.parts.map(partRow));
  const chunks = requests.map((ref) => [ref.startMs, ref.ids, ref.contentSha256, ref.name, ref.length, ref.sha256]);
  return seal("manifest", [shard, generation, epoch, at, chain ?? null, timeMs, { ...codes }, parts, chunks]);
}

function partRow(part: PartRef): Plain[] {
  return [
    part.rawLength,
    part.images,
    part.first,
    part.last,
    part.name,
    part.length,
    part.sha256,
    part.busy ?? null,
    part.high ?? null,
  ];
}

/** @throws `snapshot-damaged` */
export function decodeManifest(bytes: Uint8Array, name: string, shard: ShardId): Manifest {
  const reader = new Row(name, unseal("manifest", name, bytes));
  if (reader.number() !== shard) throw damaged(name, "is another shard's");
  return {
    shard,
    generation: reader.number(),
    epoch: reader.number(),
    at: reader.number(),
    chain: reader.optionalNumber(),
    timeMs: reader.number(),
    codes: reader.texts(),
    layers: reader.rows((layer) => ({ parts: layer.rest(readPart) })),
    requests: reader.rows((row) => ({
      startMs: row.number(),
      ids: row.number(),
      contentSha256: row.text(),
      ...row.ref(),
    })),
  };
}

function readPart(row: Row): PartRef {
  const part = { rawLength: row.number(), images: row.number(), first: row.text(), last: row.text(), ...row.ref() };
  const [busy, high] = row.isAtEnd ? [] : [row.optionalNumber(), row.optionalNumber()];
  return busy === undefined || high === undefined ? part : { ...part, busy, high };
}

/** An array of the body, read value by value with its type checked. */
export class Row {
  readonly #name: string;
  readonly #values: readonly Plain[];
  #next = 0;

  constructor(name: string, value: Plain) {
    this.#name = name;
    if (!Array.isArray(value)) throw damaged(name, "has a body of another form");
    this.#values = value as readonly Plain[];
  }

  #take(): Plain | undefined {
    return this.#values[this.#next++];
  }

  #refuse(): never {
    throw damaged(this.#name, "has a body of another form");
  }

  /** What was written before there was more. */
  get isAtEnd(): boolean {
    return this.#next >= this.#values.length;
  }

  number(): number {
    const value = this.#take();
    return typeof value === "number" ? value : this.#refuse();
  }

  optionalNumber(): number | undefined {
    const value = this.#take();
    return value === null ? undefined : typeof value === "number" ? value : this.#refuse();
  }

  text(): string {
    const value = this.#take();
    return typeof value === "string" ? value : this.#refuse();
  }

  ref(): ObjectRef {
    return { name: this.text(), length: this.number(), sha256: this.text() };
  }

  texts(): Record<string, string> {
    const value = this.#take();
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.#refuse();
    const texts = value as Record<string, string>;
    return Object.values(texts).every((text) => typeof text === "string") ? texts : this.#refuse();
  }

  /** The next value, an array, row by row. */
  rows<T>(read: (row: Row) => T): T[] {
    return new Row(this.#name, this.#take() ?? null).rest(read);
  }

  /** All values that are left, each a row. */
  rest<T>(read: (row: Row) => T): T[] {
    const rows = this.#values.slice(this.#next).map((value) => read(new Row(this.#name, value)));
    this.#next = this.#values.length;
    return rows;
  }
}
