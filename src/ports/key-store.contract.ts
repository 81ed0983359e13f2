/**
 * The contract suite of the key store: what every one must do, and do alike.
 *
 * A store runs it with `testKeyStore(name, open)`. Each case opens a store of its own.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import type { KeyStore } from "./key-store.ts";

export interface KeyStoreUnderTest {
  readonly store: KeyStore;
  /** Closes it and opens what it left behind. */
  reopen(): Promise<KeyStore>;
  /** The process dies: what was not synced is gone. Opens what is left. */
  crash(): Promise<KeyStore>;
  /** Everything that the medium holds of it. */
  bytes(): Promise<Uint8Array>;
  dispose(): Promise<void>;
}

const asked = { principal: { kind: "operator", id: "olga" }, atMs: 1_000 };

type Case = (under: KeyStoreUnderTest, open: () => Promise<KeyStoreUnderTest>) => Promise<void>;

const cases: Readonly<Record<string, Case>> = {
  "a subject keeps its key, and subjects have different ones": async ({ store }) => {
    const { generation, key } = store.current("player/1");
    assert.equal(generation, 1);
    assert.equal(key.length, 32);
    assert.deepEqual(store.current("player/1").key, key);
    assert.deepEqual(store.find("player/1", 1), key);
    assert.notDeepEqual(store.current("player/2").key, key);
    assert.equal(store.find("player/3", 1), undefined);
    assert.equal(store.find("player/1", 2), undefined);
  },
  "what was synced survives a crash, and what was not is gone": async (under) => {
    const { store } = under;
    const keys = new Map<string, Uint8Array>();
    for (let number = 0; number < 300; number++)
      keys.set(`player/${number}`, Uint8Array.from(store.current(`player/${number}`).key));
    assert.equal(store.dirty, true);
    await store.sync();
    assert.equal(store.dirty, false);
    store.current("player/late");
    const after = await under.crash();
    for (const [subject, key] of keys) assert.deepEqual(Uint8Array.from(after.find(subject, 1) as Uint8Array), key);
    assert.equal(after.find("player/late", 1), undefined);
    for (let number = 300; number < 400; number++) after.current(`player/${number}`);
    await after.sync();
    const again = await under.reopen();
    assert.equal(again.current("player/399").generation, 1);
    for (const [subject, key] of keys) assert.deepEqual(Uint8Array.from(again.find(subject, 1) as Uint8Array), key);
  },
  "an erased key is nowhere any more, and the next one is another": async (under) => {
    const { store } = under;
    for (const subject of ["player/1", "player/2", "player/3"]) store.current(subject);
    await store.sync();
    const key = Buffer.from(store.current("player/2").key);
    assert.ok(Buffer.from(await under.bytes()).includes(key), "the medium had it");
    assert.deepEqual(await store.erase("player/2", asked), { subject: "player/2", generation: 1, ...asked });
    assert.ok(!Buffer.from(await under.bytes()).includes(key), "the medium has it no longer");
    assert.equal(store.find("player/2", 1), "erased");
    assert.notEqual(store.find("player/1", 1), "erased");
    const reopened = await under.reopen();
    assert.equal(reopened.find("player/2", 1), "erased");
    const next = reopened.current("player/2");
    assert.equal(next.generation, 2);
    assert.notDeepEqual(Buffer.from(next.key), key);
    assert.equal(reopened.find("player/2", 1), "erased");
    assert.equal((await reopened.erase("player/2", asked))?.generation, 2);
    assert.equal(reopened.find("player/2", 2), "erased");
  },
  "an erasure is asked for again without harm": async ({ store }) => {
    assert.equal(await store.erase("player/1", asked), undefined);
    assert.equal(store.find("player/1", 1), undefined);
    store.current("player/1");
    const both = await Promise.all([store.erase("player/1", asked), store.erase("player/1", asked)]);
    assert.deepEqual(both[0], { subject: "player/1", generation: 1, ...asked });
    assert.equal(await store.erase("player/1", asked), undefined);
    assert.equal(store.unmarked().length, 1);
  },
  "an erasure is known until it is marked, over restarts": async (under) => {
    const { store } = under;
    store.current("player/1");
    store.current("player/2");
    await store.erase("player/1", asked);
    await store.erase("player/2", asked);
    await store.marked({ subject: "player/1", generation: 1 });
    const reopened = await under.crash();
    assert.deepEqual(reopened.unmarked(), [{ subject: "player/2", generation: 1, ...asked }]);
    await reopened.marked({ subject: "player/2", generation: 1 });
    assert.deepEqual((await under.reopen()).unmarked(), []);
  },
  "an export holds every key and every erasure, and another store takes it in": async (under, open) => {
    const { store } = under;
    for (const subject of ["player/1", "player/2", "player/3"]) store.current(subject);
    await store.erase("player/3", asked);
    const exported = await store.export();
    const key = Buffer.from(store.current("player/2").key);
    assert.ok(Buffer.from(exported).includes(key));
    const other = await open();
    await other.store.import(exported);
    const restored = await other.reopen();
    assert.deepEqual(restored.find("player/1", 1), store.find("player/1", 1));
    assert.deepEqual(restored.find("player/2", 1), store.find("player/2", 1));
    assert.equal(restored.find("player/3", 1), "erased");
    assert.deepEqual(restored.unmarked(), store.unmarked());
    await assert.rejects(restored.import(exported), { code: "invalid-configuration" });
    await other.dispose();
  },
  "an export with any byte changed is refused": async (under, open) => {
    under.store.current("player/1");
    const exported = await under.store.export();
    const other = await open();
    for (let at = 0; at < exported.length; at++) {
      const changed = Uint8Array.from(exported);
      changed[at] = (changed[at] as number) ^ 0x40;
      await assert.rejects(
        other.store.import(changed),
        (error) => isHoldfastError(error) && error.code === "keys-damaged",
      );
    }
    await other.dispose();
  },
};

/** Runs the whole suite against one store. */
export function testKeyStore(name: string, open: () => Promise<KeyStoreUnderTest>): void {
  describe(`key store: ${name}`, () => {
    for (const [sentence, run] of Object.entries(cases)) {
      test(sentence, async () => {
        const under = await open();
        try {
          await run(under, open);
        } finally {
          await under.dispose();
        }
      });
    }
  });
}
