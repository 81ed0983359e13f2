/**
 * Golden logs as files: the frames of a memory log, one after the other, compressed.
 *
 *   "HFGOLD1\n" · shards u32 · frames, each: shard u32, epoch f64, at f64, count u32, bytes u32, bytes
 *
 * Invariant: load(dump(store)) holds the same frames. Frames are kept as they were written: they are what is tested.
 */
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import { createMemoryStore, type MemoryStore } from "../../src/adapters/memory/log.ts";
import type { Append, LogFrame, ShardLog } from "../../src/ports/log.ts";

const magic = "HFGOLD1\n";
const headBytes = magic.length + 4;
const frameHeadBytes = 28;

export function dumpStore(store: MemoryStore): Uint8Array {
  const head = Buffer.alloc(headBytes);
  head.write(magic, "latin1");
  head.writeUInt32LE(store.shards.length, magic.length);
  const parts: Uint8Array[] = [head];
  for (const { shard, epoch, at, count, bytes } of store.shards.flatMap(({ frames }) => frames)) {
    const frameHead = Buffer.alloc(frameHeadBytes);
    frameHead.writeUInt32LE(shard, 0);
    frameHead.writeDoubleLE(epoch, 4);
    frameHead.writeDoubleLE(at, 12);
    frameHead.writeUInt32LE(count, 20);
    frameHead.writeUInt32LE(bytes.length, 24);
    parts.push(frameHead, bytes);
  }
  return gzipSync(Buffer.concat(parts), { level: 9 });
}

export function loadDump(file: Uint8Array): MemoryStore {
  const bytes = gunzipSync(file);
  assert.equal(bytes.toString("latin1", 0, magic.length), magic, "a golden log begins with its name");
  const store = createMemoryStore(bytes.readUInt32LE(magic.length));
  for (let at = headBytes; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 24);
    const frame: LogFrame = {
      shard: bytes.readUInt32LE(at),
      epoch: bytes.readDoubleLE(at + 4),
      at: bytes.readDoubleLE(at + 12),
      count: bytes.readUInt32LE(at + 20),
      bytes: new Uint8Array(bytes.subarray(at + frameHeadBytes, at + frameHeadBytes + length)),
    };
    const shard = store.shards[frame.shard];
    assert.ok(shard !== undefined && shard.tail === frame.at, "frames follow each other");
    shard.frames.push(frame);
    shard.epoch = frame.epoch;
    shard.tail = frame.at + frame.count;
    at += frameHeadBytes + length;
  }
  return store;
}

/** Writes the frames into another log, as their owners did. */
export async function copyInto(store: MemoryStore, log: ShardLog): Promise<void> {
  for (const { frames } of store.shards) {
    let epochBefore = 0;
    for (const { shard, epoch, at, count, bytes } of frames) {
      const append: Append = { shard, epoch, at, count, frame: bytes };
      const [result] = await log[epoch > epochBefore ? "claim" : "append"]([append]);
      assert.ok(result?.ok === true);
      epochBefore = epoch;
    }
  }
}

/** Version of the frames' format, as it stands in the first of them. */
export function frameVersionOf(store: MemoryStore): number {
  const frame = store.shards.flatMap(({ frames }) => frames)[0];
  assert.ok(frame !== undefined, "a golden log has frames");
  return Buffer.from(frame.bytes).readUInt16LE(2);
}
