/**
 * Processes around one state store: killed at any moment nothing that was resolved is lost and no write is seen in part;
 * a second process is refused; and what may have been lost or mixed is not believed.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bytesOf, image } from "../../ports/state-store.contract.kit.ts";
import { systemClock } from "../system/clock.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { type LmdbStateStoreOptions, openLmdbStateStore } from "./open.ts";
import { type EmptiedReason, sealName } from "./seal.ts";
import { roundOf } from "./writer.harness.ts";

const bytesMax = 256 * 1024 * 1024;

interface Writer {
  readonly child: ChildProcess;
  /** The last round that was resolved, as far as it was told. */
  told(): number;
}

async function startWriter(directory: string, round: number): Promise<Writer> {
  const fixture = join(import.meta.dirname, "writer.fixture.ts");
  const child = spawn(process.execPath, ["--conditions=source", fixture, directory, String(round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let last = round;
  await new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the writer ended with ${code}`)));
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      last = Number(text.trimEnd().split("\n").at(-1));
      resolve();
    });
  });
  return { child, told: () => last };
}

async function kill({ child }: Writer): Promise<void> {
  const closed = once(child, "close");
  child.kill("SIGKILL");
  await closed;
}

function strict(directory: string): LmdbStateStoreOptions {
  const fail = (what: unknown) => assert.fail(`the store told ${String(what)}`);
  return { directory, bytesMax, emptied: fail, damaged: fail };
}

test("a process killed at any moment loses nothing that was resolved, and no write is seen in part", async () => {
  using directory = temporaryDirectory();
  let round = 0;
  for (let kills = 0; kills < 20; kills++) {
    const writer = await startWriter(directory.path, round);
    await new Promise<void>((resolve) => void systemClock.after((kills * 37) % 150, resolve));
    await kill(writer);
    const store = await openLmdbStateStore(strict(directory.path));
    round = roundOf(store, writer.told());
    await store.close();
  }
  assert.ok(round > 20);
});

test("a second process is refused while the first runs, and a second opening in one process too", async () => {
  using directory = temporaryDirectory();
  const writer = await startWriter(directory.path, 0);
  try {
    await assert.rejects(openLmdbStateStore(strict(directory.path)), { code: "directory-in-use" });
  } finally {
    await kill(writer);
  }
  const store = await openLmdbStateStore(strict(directory.path));
  await assert.rejects(openLmdbStateStore(strict(directory.path)), { code: "directory-in-use" });
  await store.close();
});

interface Reopened {
  readonly reasons: readonly EmptiedReason[];
  readonly kept: boolean;
}

async function reopen(options: LmdbStateStoreOptions): Promise<Reopened> {
  const reasons: EmptiedReason[] = [];
  const store = await openLmdbStateStore({ bytesMax, ...options, emptied: (reason) => reasons.push(reason) });
  const kept = store.get(1, "a/1") !== undefined && store.stamp(1) !== undefined;
  if (!kept) {
    assert.deepEqual([...store.images(1), ...store.busy(1)], []);
    await store.write([{ shard: 1, images: [image("a/1", 1)], stamp: bytesOf(1, 9) }]);
  }
  await store.close();
  return { reasons, kept };
}

async function filled(directory: string): Promise<void> {
  await reopen({ directory });
}

test("a closed store is believed whatever the machine did meanwhile; its copy is not", async () => {
  using directory = temporaryDirectory();
  await filled(directory.path);
  const kept = { reasons: [], kept: true };
  assert.deepEqual(await reopen({ directory: directory.path, boot: "another" }), kept);
  assert.deepEqual(await reopen({ directory: directory.path, boot: undefined }), kept);
  using copy = temporaryDirectory();
  cpSync(directory.path, copy.path, { recursive: true });
  assert.deepEqual(await reopen({ directory: copy.path }), { reasons: ["copied"], kept: false });
  assert.deepEqual(await reopen({ directory: copy.path }), kept);
});

test("a store that was not closed is believed in the same run of the machine only", async () => {
  for (const boot of ["another", undefined]) {
    using directory = temporaryDirectory();
    await kill(await startWriter(directory.path, 0));
    assert.deepEqual(await reopen({ directory: directory.path, boot }), { reasons: ["power-cut"], kept: false });
  }
});

test("a seal or a data file that is missing, cut or other than it was leaves an empty store", async () => {
  const harm: Record<string, (path: string) => void> = {
    unsealed: (path) => rmSync(join(path, sealName)),
    "unsealed ": (path) => writeFileSync(join(path, sealName), "{"),
    damaged: (path) => rmSync(join(path, "state.mdb")),
    "damaged ": (path) => truncateSync(join(path, "state.mdb"), 8_192),
    "damaged  ": (path) => truncateSync(join(path, "state.mdb"), 0),
    "damaged   ": (path) => truncateSync(join(path, "state.mdb"), 1 << 22),
  };
  for (const [reason, act] of Object.entries(harm)) {
    using directory = temporaryDirectory();
    await filled(directory.path);
    act(directory.path);
    assert.deepEqual(await reopen({ directory: directory.path }), { reasons: [reason.trim()], kept: false }, reason);
    assert.deepEqual(await reopen({ directory: directory.path }), { reasons: [], kept: true });
  }
});

test("a store that is full refuses a write and goes on", async () => {
  using directory = temporaryDirectory();
  const store = await openLmdbStateStore({ ...strict(directory.path), bytesMax: 1024 * 1024 });
  await store.write([{ shard: 1, images: [image("a/1", 1)] }]);
  const large = { shard: 1, images: [image("a/1", 2), image("a/2", 2, { length: 1024 * 1024 })] };
  await assert.rejects(store.write([large]), { code: "disk-full" });
  assert.equal(store.count(1), 1);
  await store.write([{ shard: 1, images: [image("a/3", 1)] }]);
  assert.equal(store.count(1), 2);
  await store.close();
});
