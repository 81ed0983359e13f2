/** The key store in files passes the contract suite on a real directory, and finds damage when it is opened. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type KeyStoreUnderTest, testKeyStore } from "../../ports/key-store.contract.ts";
import type { KeyStore } from "../../ports/key-store.ts";
import { openDirectory } from "../system/disk.ts";
import { systemRandom } from "../system/random.ts";
import { openKeyFiles } from "./files.ts";

const asked = { principal: { kind: "operator", id: "olga" }, atMs: 1_000 };
const openAt = (directory: string, create = true) =>
  openKeyFiles({ disk: openDirectory(directory), random: systemRandom, create });

testKeyStore("files", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-keys-"));
  let store = await openAt(directory);
  const under: KeyStoreUnderTest = {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      store = await openAt(directory);
      return store;
    },
    // a real crash is a process's: `test/erasure`; on the simulated disk: `src/sim/disk-keys.test.ts`
    crash: () => under.reopen(),
    bytes: async () => Buffer.concat([readFileSync(join(directory, "keys")), readFileSync(join(directory, "notes"))]),
    async dispose() {
      await store.close();
      rmSync(directory, { recursive: true });
    },
  };
  return under;
});

test("a key is dirty until the write that has it is over", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-keys-"));
  const store = await openAt(directory);
  store.current("player/1");
  let over = false;
  const synced = store.sync().then(() => {
    over = true;
  });
  for (; !over; await new Promise((resolve) => setImmediate(resolve))) assert.equal(store.dirty, true);
  await synced;
  assert.equal(store.dirty, false);
  await store.close();
  rmSync(directory, { recursive: true });
});

test("a note of a key that never reached the medium does not destroy the key after it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-keys-"));
  const store = await openAt(directory);
  store.current("player/1");
  await store.sync();
  // as a power cut leaves it that took the slot and not the note
  const without = readFileSync(join(directory, "keys"));
  store.current("player/2");
  await store.erase("player/2", asked);
  await store.close();
  writeFileSync(join(directory, "keys"), without);
  const after = await openAt(directory);
  const { generation } = after.current("player/2");
  assert.equal(generation, 2);
  await after.close();
  const again = await openAt(directory);
  assert.notEqual(again.find("player/2", generation), "erased");
  await again.close();
  rmSync(directory, { recursive: true });
});

async function withKeys(run: (directory: string, file: (name: string) => string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-keys-"));
  try {
    const store = await openAt(directory);
    for (let number = 0; number < 20; number++) store.current(`player/${number}`);
    await store.sync();
    await store.erase("player/3", asked);
    await store.close();
    await run(directory, (name) => join(directory, name));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("every bit of the files that is turned is found at the next opening, or nobody would have read it", async () => {
  await withKeys(async (directory, file) => {
    for (const [name, used] of [
      ["keys", 21 * 64],
      ["notes", 512],
    ] as const) {
      const whole = readFileSync(file(name));
      for (let at = 0; at < used; at += 3) {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] as number) ^ (1 << (at % 8));
        writeFileSync(file(name), changed);
        await assert.rejects(openAt(directory), { code: "keys-damaged" }, `byte ${at} of ${name}`);
      }
      writeFileSync(file(name), whole);
    }
    await (await openAt(directory)).close();
  });
});

test("a file that is missing, empty or cut short is an error, never a new key store", async () => {
  await withKeys(async (directory, file) => {
    for (const name of ["keys", "notes"]) {
      renameSync(file(name), file("aside"));
      await assert.rejects(openAt(directory), { code: "keys-damaged" }, `${name} is missing`);
      renameSync(file("aside"), file(name));
    }
    const whole = readFileSync(file("keys"));
    for (const length of [0, 32, 64, 640]) {
      truncateSync(file("keys"), length);
      await assert.rejects(openAt(directory), { code: "keys-damaged" }, `cut to ${length}`);
      writeFileSync(file("keys"), whole);
    }
    writeFileSync(file("keys"), Buffer.alloc(whole.length));
    await assert.rejects(openAt(directory), { code: "keys-damaged" }, "all zeros");
  });
});

test("a key store is open once at a time, and is not made where none is asked for", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-keys-"));
  let store: KeyStore | undefined;
  try {
    await assert.rejects(openAt(directory, false), { code: "invalid-configuration" });
    store = await openAt(directory);
    await assert.rejects(openAt(directory), { code: "directory-in-use" });
  } finally {
    await store?.close();
    rmSync(directory, { recursive: true });
  }
});
