/**
 * A shard whose log is written, archived and trimmed in a test, and what its past must give.
 */
import assert from "node:assert/strict";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import {
  type MemoryObjects,
  type MemorySnapshotHooks,
  openMemorySnapshots,
} from "../adapters/memory/snapshot-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import type { Offset } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import type { Retention } from "../model/retention.ts";
import type { LogFrame, LogReader } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { decodeFrame, encodeFrame } from "../wire/frame.ts";
import { ShardArchive } from "./archive.ts";
import { ArchivedLog, ShardArchiveReader } from "./archive-reader.ts";

export const shard = 1;
export const shardCount = 3;

/** A log that is written by hand; it remembers all frames that it ever had. */
export class WrittenLog {
  readonly store = createMemoryStore(shardCount);
  readonly log = openMemoryLog({ store: this.store });
  readonly frames: LogFrame[] = [];
  tail: Offset = 1;
  #chain = 0;

  /** Appends a frame of so many records. */
  async write(count: number): Promise<void> {
    const records = Array.from({ length: count }, (_, index): LogRecord => {
      const node = "node".padEnd(4 + ((this.tail + index) % 40), "-");
      return { kind: "claim", epoch: 1, node, time: (this.tail + index) * 100 };
    });
    const { bytes, chain } = encodeFrame({ shard, epoch: 1, at: this.tail }, records, this.#chain);
    const append = { shard, epoch: 1, at: this.tail, count, frame: bytes };
    const [result] = this.tail === 1 ? await this.log.claim([append]) : await this.log.append([append]);
    assert.ok(result?.ok === true);
    this.frames.push({ shard, epoch: 1, at: this.tail, count, bytes });
    this.#chain = chain;
    this.tail += count;
  }

  /** Some other shards' frames between. */
  async writeMany(frames: number, random: () => number): Promise<void> {
    for (let index = 0; index < frames; index++) await this.write(1 + Math.floor(random() * 4));
  }
}

export interface ArchiveOptions {
  readonly retention?: Required<Retention>;
  readonly recordsMin?: number;
  readonly hooks?: MemorySnapshotHooks;
  readonly report?: (where: string, error: unknown) => void;
  readonly store?: SnapshotStore;
  readonly held?: () => Offset | undefined;
}

export function openArchive(log: LogReader, objects: MemoryObjects, options: ArchiveOptions = {}): ShardArchive {
  const { retention = { archive: "all" }, recordsMin = 1, hooks = {} } = options;
  const store = options.store ?? openMemorySnapshots({ objects, hooks });
  const reader = new ShardArchiveReader(shard, { store, clock: systemClock });
  const report = options.report ?? ((where, error) => assert.fail(`${where}: ${String(error)}`));
  const held = options.held === undefined ? {} : { held: options.held };
  const parts = { reader, store, log, clock: systemClock, retention, recordsMin, waitMs: 3_600_000, report };
  return new ShardArchive({ ...parts, ...held });
}

export function advance(archive: ShardArchive, below: Offset, nowMs = 0): Promise<Offset> {
  return archive.advance({ below, silent: false, nowMs, rest: async () => {}, check: () => {} });
}

export function pastOf(log: LogReader, objects: MemoryObjects): ArchivedLog {
  return new ArchivedLog(log, { store: openMemorySnapshots({ objects }), clock: systemClock });
}

/** Everything from `from` on, checked frame by frame as a follower would. */
export async function readPast(past: LogReader, from: Offset): Promise<{ at: Offset; bytes: Uint8Array }[]> {
  const read: { at: Offset; bytes: Uint8Array }[] = [];
  let chain: number | undefined;
  let next: Offset | undefined;
  for await (const frames of past.read(new Map([[shard, from]]))) {
    for (const { at, bytes, count } of frames) {
      if (next !== undefined) assert.equal(at, next, "no gap and no repetition");
      chain = decodeFrame(bytes, shard, at, chain).chain;
      next = at + count;
      read.push({ at, bytes: Uint8Array.from(bytes) });
    }
  }
  return read;
}

export function assertFrames(read: readonly { at: Offset; bytes: Uint8Array }[], wanted: readonly LogFrame[]): void {
  assert.deepEqual(
    read.map(({ at }) => at),
    wanted.map(({ at }) => at),
  );
  for (const [index, { bytes }] of read.entries())
    assert.ok(Buffer.from(bytes).equals((wanted[index] as LogFrame).bytes), `frame ${index} is as it was`);
}
