/** Reading a segment log that somebody else may be writing: the same frames, nothing changed, damage told from an end. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isHoldfastError } from "../../model/errors.ts";
import { write } from "../../ports/log.contract.kit.ts";
import type { LogFrame, LogReader } from "../../ports/log.ts";
import { copyFiles, type Files, PlainDisk, sampleLog, segmentBytes, shardCount } from "./log.harness.ts";
import { openSegmentLog } from "./open.ts";
import { openSegmentLogToRead } from "./reader.ts";

const shards = Array.from({ length: shardCount }, (_, shard) => shard);

async function framesOf(log: LogReader): Promise<LogFrame[]> {
  const positions = await log.tail(shards);
  const from = new Map(positions.map(({ trimmed }, shard) => [shard, trimmed]));
  const frames: LogFrame[] = [];
  for await (const read of log.read(from))
    for (const frame of read) frames.push({ ...frame, bytes: frame.bytes.slice() });
  return frames;
}

/** A disk that fails the test if anything is changed. */
class Untouchable extends PlainDisk {
  constructor(files: Files) {
    super(files);
    this.interfere = (verb, name) => assert.equal(verb, "read", `${verb} of ${name}`);
  }
}

test("a reader shows what an opening shows, of a log that was closed and of one that was not, and changes nothing", async () => {
  for (const closed of [true, false]) {
    const { files, frames } = await sampleLog({ frameBytes: [10, 700, 30, 2_000], closed });
    const before = copyFiles(files);
    const reader = await openSegmentLogToRead({ disk: new Untouchable(files) });
    assert.equal(reader.shardCount, shardCount);
    assert.deepEqual(await framesOf(reader), frames);
    assert.deepEqual(files, before);
    const log = await openSegmentLog({ disk: new PlainDisk(copyFiles(files)), shardCount, segmentBytes });
    assert.deepEqual(await reader.tail(shards), await log.tail(shards));
    await log.close();
    await reader.close();
  }
});

test("a torn end is left out and left as it is; what a crash cut off anywhere in the last block is no damage", async () => {
  const { files, blocks, segment } = await sampleLog({ frameBytes: [10, 700, 30], closed: false });
  const last = blocks.at(-1);
  assert.ok(last !== undefined);
  for (let cut = last.at; cut < last.end; cut += 97) {
    const torn = copyFiles(files);
    torn.get(segment)?.fill(0, cut, last.end);
    const before = copyFiles(torn);
    const reader = await openSegmentLogToRead({ disk: new Untouchable(torn) });
    const frames = await framesOf(reader);
    assert.deepEqual(
      frames.map(({ shard, at }) => [shard, at]),
      blocks.slice(0, -1).flatMap((block) => block.frames.map(({ shard, at }) => [shard, at])),
    );
    assert.deepEqual(torn, before);
  }
});

test("damage before the end is refused", async () => {
  const { files, blocks, segment } = await sampleLog({ frameBytes: [10, 700, 30], closed: true });
  const middle = blocks[1];
  assert.ok(middle !== undefined);
  const bytes = files.get(segment);
  assert.ok(bytes !== undefined);
  bytes[middle.at + 60] = (bytes[middle.at + 60] as number) ^ 1;
  await assert.rejects(
    () => openSegmentLogToRead({ disk: new Untouchable(files) }),
    (error) => isHoldfastError(error) && error.code === "log-damaged",
  );
});

test("blocks that are written while the end is looked for are no damage", async () => {
  const disk = new PlainDisk();
  const log = await openSegmentLog({ disk, shardCount, segmentBytes });
  await log.claim([write(0, 1, 1)]);
  let next = 2;
  let busy = false;
  // each read of the segment is followed by an append, so that the end moves between any two looks
  const racing = new PlainDisk(disk.files);
  const open = racing.open.bind(racing);
  racing.open = async (name) => {
    const file = await open(name);
    const read = file.read.bind(file);
    file.read = async (target, position) => {
      const filled = await read(target, position);
      if (name.endsWith(".segment") && next < 40 && !busy) {
        busy = true;
        await log.append([write(0, 1, next)]);
        next++;
        busy = false;
      }
      return filled;
    };
    return file;
  };
  const reader = await openSegmentLogToRead({ disk: racing });
  const [position] = await reader.tail([0]);
  const frames = await framesOf(reader);
  assert.equal(frames.at(-1)?.at, (position?.tail ?? 0) - 1);
  assert.deepEqual(
    frames.map(({ at }) => at),
    frames.map((_, index) => index + 1),
  );
  assert.ok(frames.length > 1 && frames.length <= next);
  await log.close();
});

test("on a real directory that is in use nothing is locked, made or written", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-reader-"));
  const log = await openSegmentLog({ directory, shardCount, segmentBytes });
  try {
    await log.claim(shards.map((shard) => write(shard, 1, 1)));
    // the writer itself prepares its next segment meanwhile, so that file is not looked at
    const look = () =>
      readdirSync(directory)
        .filter((name) => !/^(preparing|0000000002)/.test(name))
        .map(
          (name) =>
            `${name} ${createHash("sha256")
              .update(readFileSync(join(directory, name)))
              .digest("hex")}`,
        );
    const before = look();
    const reader = await openSegmentLogToRead({ directory });
    assert.equal((await framesOf(reader)).length, shardCount);
    assert.deepEqual(look(), before);
    await log.append([write(2, 1, 2)]);
    assert.equal((await framesOf(reader)).length, shardCount, "a reader shows the log as it was when it was opened");
    assert.equal((await framesOf(await openSegmentLogToRead({ directory }))).length, shardCount + 1);
    await assert.rejects(
      () => openSegmentLogToRead({ directory: join(directory, "nowhere") }),
      /There is no directory/,
    );
  } finally {
    await log.close();
    rmSync(directory, { recursive: true });
  }
});

test("a segment that is trimmed away during a read is told as such", async () => {
  const disk = new PlainDisk();
  const log = await openSegmentLog({ disk, shardCount, segmentBytes });
  await log.claim([write(0, 1, 1)]);
  for (let at = 2; at < 12; at++) await log.append([write(0, 1, at, { bytes: 20_000 })]);
  const reader = await openSegmentLogToRead({ disk });
  const [before] = await reader.tail([0]);
  await log.trim(0, 11);
  await assert.rejects(
    () => framesOf(reader),
    (error) => isHoldfastError(error) && error.code === "unavailable" && /Ask again/.test(error.message),
  );
  const again = await openSegmentLogToRead({ disk });
  const [after] = await again.tail([0]);
  assert.ok((after?.trimmed ?? 0) > (before?.trimmed ?? 0));
  await assert.rejects(async () => {
    for await (const frames of again.read(new Map([[0, 1]]))) void frames;
  }, /its log begins at/);
  assert.ok((await framesOf(again)).length > 0);
  await log.close();
});

test("beside a writer that fills segment after segment every look shows a whole beginning of the log", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-reader-"));
  const log = await openSegmentLog({ directory, shardCount, segmentBytes });
  let appended = 1;
  let looks = 0;
  const writing = async () => {
    await log.claim(shards.map((shard) => write(shard, 1, 1)));
    for (let at = 2; at < 120; at++) {
      await log.append(shards.map((shard) => write(shard, 1, at, { bytes: 500 + ((at * 37) % 900) })));
      appended = at;
    }
    appended = Number.POSITIVE_INFINITY;
  };
  const looking = async () => {
    for (let before = 0; Number.isFinite(appended); looks++) {
      const atLeast = appended;
      const frames = await framesOf(await openSegmentLogToRead({ directory }));
      for (const shard of shards) {
        const offsets = frames.filter((frame) => frame.shard === shard).map(({ at }) => at);
        assert.deepEqual(
          offsets,
          offsets.map((_, index) => index + 1),
        );
        if (Number.isFinite(atLeast) && looks > 0) assert.ok(offsets.length >= atLeast, "what was answered is shown");
      }
      assert.ok(frames.length >= before, "a log does not get shorter");
      before = frames.length;
    }
  };
  try {
    await Promise.all([writing(), looking()]);
    assert.ok(looks > 2 && log.stats().segments > 2);
  } finally {
    await log.close();
    rmSync(directory, { recursive: true });
  }
});
