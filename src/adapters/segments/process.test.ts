/**
 * Processes around one data directory: the second is refused, and after a kill the next takes over at once and finds
 * everything that was answered.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { collect, frameOf, write } from "../../ports/log.contract.kit.ts";
import { openDirectory } from "../system/disk.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { openSegmentLog } from "./open.ts";

const options = { shardCount: 4, segmentBytes: 64 * 1024 };

interface Holder {
  readonly child: ChildProcess;
  /** The last tail it was answered. */
  answered(): number;
}

/** Starts a holder and waits until it has been answered `count` times. */
async function startHolder(directory: string, count: number): Promise<Holder> {
  const child = spawn(
    process.execPath,
    ["--conditions=source", join(import.meta.dirname, "holder.fixture.ts"), directory],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let last = 0;
  let lines = 0;
  await new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the holder ended with ${code}`)));
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const found = text.trimEnd().split("\n");
      last = Math.max(last, Number(found.at(-1)));
      lines += found.length;
      if (lines > count) resolve();
    });
  });
  return { child, answered: () => last };
}

async function kill({ child }: Holder): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

test("a second process is refused while the first runs, and takes over at once when it was killed", async () => {
  using directory = temporaryDirectory();
  for (let round = 0; round < 3; round++) {
    const holder = await startHolder(directory.path, 30);
    try {
      await assert.rejects(
        openSegmentLog({ directory: directory.path, ...options }),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "directory-in-use");
          assert.match(error.message, new RegExp(`process ${holder.child.pid}\\b`));
          assert.match(error.message, /Stop it/);
          return true;
        },
      );
    } finally {
      await kill(holder);
    }
    const startMs = performance.now();
    const log = await openSegmentLog({ directory: directory.path, ...options });
    assert.ok(performance.now() - startMs < 1000, "takeover within a second");
    const [position] = await log.tail([0]);
    assert.ok((position?.tail ?? 0) >= holder.answered(), "nothing that was answered is lost");
    const frames = await collect(log, { 0: 1 });
    assert.deepEqual(
      frames.reduce((next, { at, count }) => (at === next ? at + count : Number.NaN), 1),
      position?.tail,
    );
    await log.close();
  }
});

test("a second opening in one process is refused, and the first still holds against other processes", async () => {
  using directory = temporaryDirectory();
  const log = await openSegmentLog({ directory: directory.path, ...options });
  const again = () => openSegmentLog({ directory: directory.path, ...options });
  await assert.rejects(again, { code: "directory-in-use", message: /this process/ });
  await assert.rejects(again, { code: "directory-in-use" });
  const child = spawn(
    process.execPath,
    ["--conditions=source", join(import.meta.dirname, "holder.fixture.ts"), directory.path],
    {
      stdio: "ignore",
    },
  );
  const [code] = (await once(child, "exit")) as [number];
  assert.notEqual(code, 0);
  await log.claim([write(0, 1, 1)]);
  assert.deepEqual(await collect(log, { 0: 1 }), [frameOf(write(0, 1, 1))]);
  await log.close();
  await (await again()).close();
});

test("a directory is free again after an opening that failed", async () => {
  using directory = temporaryDirectory();
  await (await openSegmentLog({ directory: directory.path, ...options })).close();
  for (let index = 0; index < 3; index++) {
    await assert.rejects(openSegmentLog({ directory: directory.path, ...options, shardCount: 5 }), {
      code: "invalid-configuration",
      message: /4 shards, but 5 are configured.*set it back/,
    });
  }
  await (await openSegmentLog({ directory: directory.path, ...options })).close();
});

test("a lock that was released twice is released once", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  const first = await disk.lock();
  await first.release();
  const second = await disk.lock();
  await first.release();
  await assert.rejects(disk.lock(), { code: "directory-in-use" });
  await second.release();
});
