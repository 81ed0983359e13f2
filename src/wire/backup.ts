/**
 * The catalogue of a backup: everything it is made of.
 *
 *   of each shard with records: a snapshot's manifest, if it has one; where the frames begin; the cut
 *   objects of frames, in the order of the log: whole frames of many shards, one after the other, as the log had them
 *   extras: objects of others by name, such as a service's keys
 *
 * Invariant: sealed like every document of a snapshot (`snapshot.ts`), so what decodes is what was written.
 *
 * Versions of the body, a line each:
 * - 2: a cut with frames. Version 1, snapshots of a service at rest, was never released and is not read.
 */
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { Plain } from "../std/plain.ts";
import { frameFactsAt } from "./frame.ts";
import { damaged, type Generation, type ObjectRef, Row, seal, unseal } from "./snapshot.ts";

const catalogueVersion = 2;

/** Frames of many shards in one object. */
export interface FramesRef extends ObjectRef {
  readonly records: number;
}

export interface BackupShard {
  readonly shard: ShardId;
  /** Undefined if the frames begin at the first record. */
  readonly snapshot: Generation | undefined;
  /** Where the log begins that is restored: at or below the snapshot, since request ids point at records below it. */
  readonly from: { readonly epoch: Epoch; readonly tail: Offset };
  /** Everything below `tail` is in the backup, and nothing else. */
  readonly cut: { readonly epoch: Epoch; readonly tail: Offset };
}

export interface ExtraRef {
  readonly name: string;
  readonly ref: ObjectRef;
}

export interface Catalogue {
  readonly shardCount: number;
  /** When the cut was made. */
  readonly madeMs: number;
  /** All that it needs beside itself. */
  readonly objects: number;
  readonly bytes: number;
  readonly shards: readonly BackupShard[];
  readonly frames: readonly FramesRef[];
  readonly extras: readonly ExtraRef[];
}

export function encodeCatalogue(catalogue: Catalogue): Uint8Array {
  const { shardCount, madeMs, objects, bytes, shards, frames, extras } = catalogue;
  const shardRows = shards.map(({ shard, snapshot, from, cut }) => [
    ...[shard, from.epoch, from.tail, cut.epoch, cut.tail],
    snapshot === undefined ? [] : [generationRow(snapshot)],
  ]);
  const frameRows = frames.map((ref) => [ref.records, ...refRow(ref)]);
  const extraRows = extras.map(({ name, ref }) => [name, ...refRow(ref)]);
  return seal("catalogue", [catalogueVersion, shardCount, madeMs, objects, bytes, shardRows, frameRows, extraRows]);
}

function refRow({ name, length, sha256 }: ObjectRef): Plain[] {
  return [name, length, sha256];
}

function generationRow(one: Generation): Plain[] {
  return [one.generation, one.epoch, one.at, ...refRow(one)];
}

const extraName = /^[a-z0-9][a-z0-9.-]{0,63}$/;

/** @throws `snapshot-damaged` */
export function decodeCatalogue(name: string, bytes: Uint8Array): Catalogue {
  const reader = new Row(name, unseal("catalogue", name, bytes));
  const version = reader.number();
  if (version !== catalogueVersion)
    throw damaged(name, `has version ${version}; run the version of Holdfast that wrote it`);
  const catalogue = {
    shardCount: reader.number(),
    madeMs: reader.number(),
    objects: reader.number(),
    bytes: reader.number(),
    shards: reader.rows(readShard),
    frames: reader.rows((row) => ({ records: row.number(), ...row.ref() })),
    extras: reader.rows((row) => ({ name: row.text(), ref: row.ref() })),
  };
  const numbers = catalogue.shards.map(({ shard }) => shard);
  const inOrder = numbers.every((shard, index) => shard > (numbers[index - 1] ?? -1) && shard < catalogue.shardCount);
  if (!inOrder) throw damaged(name, "has shards that do not fit");
  // They become files where it is restored.
  if (!catalogue.extras.every((extra) => extraName.test(extra.name)))
    throw damaged(name, "has something with a name that is none");
  return catalogue;
}

function readShard(row: Row): BackupShard {
  const shard = row.number();
  const from = { epoch: row.number(), tail: row.number() };
  const cut = { epoch: row.number(), tail: row.number() };
  const [snapshot] = row.rows((one) => ({
    generation: one.number(),
    epoch: one.number(),
    at: one.number(),
    ...one.ref(),
  }));
  return { shard, snapshot, from, cut };
}

/** A frame of an object; its bytes are a view. */
export interface StoredFrame {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** The frames of an object, in order; each is still to be checked. @throws `snapshot-damaged` the object is no row of frames */
export function* framesOf(name: string, stored: Uint8Array): Generator<StoredFrame> {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  for (let from = 0; from < bytes.length; ) {
    const facts = frameFactsAt(bytes, from);
    if (facts === undefined || from + facts.length > bytes.length) throw damaged(name, "does not hold whole frames");
    const { shard, epoch, at, count, length } = facts;
    yield { shard, epoch, at, count, bytes: bytes.subarray(from, from + length) };
    from += length;
  }
}
