/**
 * The machine's directory as a disk: what it promises of names, bytes and errors.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDirectory } from "./disk.ts";
import { temporaryDirectory } from "./temporary.ts";

test("a directory is made with all that lead to it", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "a", "b", "c");
  const disk = openDirectory(path);
  assert.equal(disk.place, path);
  assert.deepEqual(await disk.list(), []);
});

test("a place that is a file is refused as a setting that cannot work", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "file");
  writeFileSync(path, "");
  assert.throws(() => openDirectory(join(path, "below")), { code: "invalid-configuration" });
});

test("a created file has its size and is zeros", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  for (const bytes of [0, 1, 4096, 3 * 1024 * 1024 + 5]) {
    await disk.create("file", bytes);
    const content = readFileSync(join(directory.path, "file"));
    assert.equal(content.length, bytes);
    assert.ok(content.every((byte) => byte === 0));
  }
  assert.deepEqual(await disk.list(), [{ name: "file", bytes: 3 * 1024 * 1024 + 5 }]);
});

test("writes land where they are asked to, and reads stop where the file ends", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  await disk.create("file", 1000);
  const file = await disk.open("file");
  await file.write(Buffer.from("hello"), 500);
  await file.write(Buffer.from("end"), 1000);
  const target = new Uint8Array(600);
  assert.equal(await file.read(target, 500), 503);
  assert.equal(Buffer.from(target.subarray(0, 5)).toString(), "hello");
  assert.equal(Buffer.from(target.subarray(500, 503)).toString(), "end");
  assert.equal(await file.read(target, 5000), 0);
  await file.close();
  await file.close();
});

test("rename replaces and remove forgives what is not there", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  await disk.create("one", 1);
  await disk.create("two", 2);
  await disk.rename("one", "two");
  await disk.syncDirectory();
  assert.deepEqual(await disk.list(), [{ name: "two", bytes: 1 }]);
  await disk.remove("two");
  await disk.remove("two");
  assert.deepEqual(await disk.list(), []);
});

test("the lock's files are not part of the listing", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  const lock = await disk.lock();
  assert.deepEqual(await disk.list(), []);
  assert.ok(existsSync(join(directory.path, "lock")));
  await lock.release();
});

test("a file that is missing is refused with its path", async () => {
  using directory = temporaryDirectory();
  const disk = openDirectory(directory.path);
  await assert.rejects(disk.open("nothing"), { code: "invalid-configuration", message: /nothing/ });
});

test("a write to a device without space says that it is full", async (context) => {
  if (!existsSync("/dev/full")) return context.skip("this system has no /dev/full");
  const file = await openDirectory("/dev").open("full");
  await assert.rejects(file.write(new Uint8Array(100), 0), { code: "disk-full" });
  await file.close();
});
