/**
 * A disk that fails: full, it refuses appends and recovers; broken, the log stops for good and answers nothing more.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { HoldfastError } from "../../model/errors.ts";
import { assertHolds, assertRejects, frameOf, write } from "../../ports/log.contract.kit.ts";
import type { AppendResult, LogFrame } from "../../ports/log.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { copyFiles, openFiles, openOver, PlainDisk, segmentBytes, shardCount } from "./log.harness.ts";
import { openSegmentLog, type SegmentLog } from "./open.ts";

const fullResult: AppendResult = { ok: false, reason: "full" };

/** Appends to shard 0 until the log is full. Returns the frames it took. */
async function appendUntilFull(log: SegmentLog, from: number, bytes: number): Promise<LogFrame[]> {
  const taken: LogFrame[] = [];
  for (let at = from; at < from + 1000; at++) {
    const one = write(0, 1, at, { bytes });
    const [result] = await log.append([one]);
    if (result?.ok !== true) {
      assert.deepEqual(result, fullResult);
      return taken;
    }
    taken.push(frameOf(one));
  }
  throw new Error("the disk never got full");
}

/** A disk that has room for so many files of a segment's size. */
function limitedDisk(segments: number): PlainDisk {
  const disk = new PlainDisk();
  disk.interfere = (verb, name) => {
    const used = [...disk.files.keys()].filter((other) => !other.startsWith("format")).length;
    if (verb === "create" && name === "preparing" && used >= segments) throw new HoldfastError("disk-full", "no room");
  };
  return disk;
}

describe("a full disk", () => {
  test("refuses the append that does not fit and writes nothing of it", async () => {
    const disk = limitedDisk(2);
    const log = await openOver(disk);
    await log.claim([write(0, 1, 1)]);
    const taken = [frameOf(write(0, 1, 1)), ...(await appendUntilFull(log, 2, 9000))];
    const before = copyFiles(disk.files);
    const at = taken.length + 1;
    assert.deepEqual(await log.append([write(0, 1, at, { bytes: 9000 })]), [fullResult]);
    assert.deepEqual(disk.files, before);
    assert.equal((await log.tail([0]))[0]?.tail, at);
    await assertHolds(log, taken);
    await log.close();
  });

  test("still takes what fits into the space that was set aside", async () => {
    const log = await openOver(limitedDisk(2));
    await log.claim([write(0, 1, 1)]);
    const taken = await appendUntilFull(log, 2, 9000);
    assert.deepEqual(await log.append([write(0, 1, taken.length + 2)]), [{ ok: true, tail: taken.length + 3 }]);
    await log.close();
  });

  test("takes appends again when space comes back, at the same offset", async () => {
    const disk = limitedDisk(2);
    const log = await openOver(disk);
    await log.claim([write(0, 1, 1)]);
    const taken = [frameOf(write(0, 1, 1)), ...(await appendUntilFull(log, 2, 9000))];
    disk.interfere = () => undefined;
    const one = write(0, 1, taken.length + 1, { bytes: 9000 });
    assert.deepEqual(await log.append([one]), [{ ok: true, tail: one.at + 1 }]);
    await assertHolds(log, [...taken, frameOf(one)]);
    await log.close();
  });

  test("takes appends again when records were trimmed, without any new space", async () => {
    const log = await openOver(limitedDisk(2));
    await log.claim([write(0, 1, 1)]);
    let at = 2;
    for (let round = 0; round < 5; round++) {
      at += (await appendUntilFull(log, at, 9000)).length;
      await log.trim(0, at);
      assert.deepEqual(await log.append([write(0, 1, at, { bytes: 9000 })]), [{ ok: true, tail: at + 1 }]);
      at += 1;
    }
    await log.close();
  });

  test("refuses only the shards whose frames do not fit", async () => {
    const log = await openOver(limitedDisk(1));
    await log.claim([0, 1, 2].map((shard) => write(shard, 1, 1)));
    const bytes = 40_000;
    const results = await log.append([0, 1, 2].map((shard) => write(shard, 1, 2, { bytes })));
    assert.deepEqual(results, [{ ok: true, tail: 3 }, fullResult, fullResult]);
    await log.close();
  });

  test("does not keep a log from being opened and read", async () => {
    const disk = limitedDisk(2);
    const log = await openOver(disk);
    await log.claim([write(0, 1, 1)]);
    const taken = [frameOf(write(0, 1, 1)), ...(await appendUntilFull(log, 2, 9000))];
    const again = new PlainDisk(copyFiles(disk.files));
    again.interfere = (verb) => {
      if (verb === "create") throw new HoldfastError("disk-full", "no room");
    };
    const reopened = await openOver(again);
    await assertHolds(reopened, taken);
    await reopened.close();
    await log.close();
  });

  test("keeps a new log from being made, and says so", async () => {
    await assertRejects(() => openOver(limitedDisk(0)), "disk-full");
  });

  test("of a real file system is found out, and over when space returns", async (context) => {
    using directory = temporaryDirectory();
    if (!mountSmall(context, directory.path)) return;
    try {
      await realFullDisk(directory.path);
    } finally {
      execFileSync("umount", [directory.path]);
    }
  });
});

/** Mounts 512 KiB of memory. Where that is not allowed the case is skipped, but not on the machine that decides. */
function mountSmall(context: TestContext, path: string): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=512k", "tmpfs", path], { stdio: "pipe" });
    return true;
  } catch (error) {
    if (process.env["CI"] === "true") throw error;
    context.skip(
      `a small file system cannot be mounted here: ${error instanceof Error ? error.message.split("\n")[0] : ""}`,
    );
    return false;
  }
}

async function realFullDisk(path: string): Promise<void> {
  const directory = join(path, "log");
  let log = await openSegmentLog({ directory, shardCount, segmentBytes });
  await log.claim([write(0, 1, 1)]);
  const taken = [frameOf(write(0, 1, 1)), ...(await appendUntilFull(log, 2, 9000))];
  await assertHolds(log, taken);
  await log.close();
  log = await openSegmentLog({ directory, shardCount, segmentBytes });
  await assertHolds(log, taken);
  await log.trim(0, taken.length + 1);
  const ballast = join(path, "ballast");
  const { bavail, bsize } = statfsSync(path);
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail - 1) * bsize));
  let at = taken.length + 1;
  at += (await appendUntilFull(log, at, 9000)).length;
  rmSync(ballast);
  assert.deepEqual(await log.append([write(0, 1, at, { bytes: 9000 })]), [{ ok: true, tail: at + 1 }]);
  await log.close();
}

const verbs = ["write", "create", "rename", "sync"] as const;

describe("a broken disk", () => {
  for (const broken of verbs) {
    test(`stops the log at the first failed ${broken}, and what was answered before is there`, async () => {
      for (let nth = 1; nth < 12; nth++) await breakAt(broken, nth);
    });
  }

  test("is not asked a second time by any call", async () => {
    const { disk, log } = await opened();
    disk.interfere = (verb) => {
      if (verb === "write") throw new HoldfastError("log-failed", "EIO");
    };
    await assertRejects(() => log.append([write(0, 1, 2)]), "log-failed");
    let calls = 0;
    disk.interfere = () => {
      calls += 1;
    };
    for (const call of [
      () => log.append([write(0, 1, 2)]),
      () => log.claim([write(0, 2, 2)]),
      () => log.tail([0]),
      () => log.trim(0, 1),
      () => log.scrub(),
      async () => void log.read(new Map([[0, 1]])),
    ]) {
      await assertRejects(call, "log-failed");
    }
    await log.close();
    assert.equal(calls, 0);
  });

  test("that calls a log write full stops the log too: part of it may be there", async () => {
    const { disk, log } = await opened();
    disk.interfere = (verb) => {
      if (verb === "write") throw new HoldfastError("disk-full", "ENOSPC");
    };
    await assertRejects(() => log.append([write(0, 1, 2)]), "log-failed");
    await log.close();
  });

  test("that cannot be read fails the read and not the log", async () => {
    const { disk, log } = await opened();
    disk.interfere = (verb) => {
      if (verb === "read") throw new HoldfastError("log-failed", "EIO");
    };
    await assertRejects(() => log.scrub(), "log-failed");
    disk.interfere = () => undefined;
    assert.deepEqual(await log.append([write(0, 1, 2)]), [{ ok: true, tail: 3 }]);
    await log.close();
  });
});

async function opened(): Promise<{ disk: PlainDisk; log: SegmentLog }> {
  const disk = new PlainDisk();
  const log = await openOver(disk);
  await log.claim([write(0, 1, 1)]);
  return { disk, log };
}

/** The nth operation of a kind fails, whatever calls for it: an append, the segment after, a trim. */
async function breakAt(broken: (typeof verbs)[number], nth: number): Promise<void> {
  const { disk, log } = await opened();
  let left = nth;
  disk.interfere = (verb) => {
    if (verb !== broken) return;
    left -= 1;
    if (left === 0) throw new HoldfastError("log-failed", "EIO");
    assert.ok(left > 0, `no ${verb} follows one that failed`);
  };
  const answered = [frameOf(write(0, 1, 1))];
  try {
    for (let at = 2; at < 400; at++) {
      const one = write(0, 1, at, { bytes: 9000 });
      assert.deepEqual(await log.append([one]), [{ ok: true, tail: at + 1 }]);
      answered.push(frameOf(one));
      if (at % 30 === 0) await log.trim(0, at - 10);
    }
    assert.fail(`${broken} ${nth} was never called`);
  } catch (error) {
    assert.equal((error as { code?: unknown }).code, "log-failed", String(error));
  }
  await assertRejects(() => log.append([write(0, 1, answered.length + 1)]), "log-failed");
  const files = copyFiles(disk.files);
  const again = await openFiles(files);
  const [position] = await again.tail([0]);
  assert.equal(position?.tail, answered.length + 1);
  await assertHolds(
    again,
    answered.filter(({ at }) => at >= (position?.trimmed ?? 1)),
  );
  await again.close();
  await log.close();
}
