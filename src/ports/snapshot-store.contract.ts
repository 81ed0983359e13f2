/**
 * The contract suite of the snapshot store: what every adapter must do, and do alike.
 *
 * An adapter runs it with `testSnapshotStore(name, open)`. A case it cannot pass is skipped by name with a reason, never
 * silently. Each case opens an empty store of its own and disposes of it.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isHoldfastError } from "../model/errors.ts";
import { type ObjectTag, objectNameCharsMax, type SnapshotStore } from "./snapshot-store.ts";

export interface SnapshotStoreUnderTest {
  readonly store: SnapshotStore;
  /** Another opening of the same place, as another process would have it. The suite closes it. */
  readonly openAnother: () => Promise<SnapshotStore>;
  /** Closes the store and removes all it left. */
  readonly dispose: () => Promise<void>;
}

export interface SnapshotStoreSuiteOptions {
  /** Names of cases that this adapter cannot pass, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Generated sequences of calls. Default 20. */
  readonly generatedRuns?: number;
}

interface Case {
  readonly name: string;
  readonly run: (under: SnapshotStoreUnderTest, options: SnapshotStoreSuiteOptions) => Promise<void>;
}

/** Runs the whole suite against one adapter. */
export function testSnapshotStore(
  name: string,
  open: () => Promise<SnapshotStoreUnderTest>,
  options: SnapshotStoreSuiteOptions = {},
): void {
  describe(`snapshot store: ${name}`, () => {
    for (const one of [...objectCases, ...replaceCases, ...nameCases, ...modelCases]) {
      test(one.name, async (context) => {
        const reason = options.skip?.[one.name];
        if (reason !== undefined) return context.skip(reason);
        const under = await open();
        try {
          await one.run(under, options);
        } finally {
          await under.dispose();
        }
      });
    }
  });
}

const kib = 1024;
const sizes = [0, 1, 511, 512, 513, 64 * kib, 5 * kib * kib, 5 * kib * kib + 1, 20 * kib * kib];

/** Bytes that no other seed gives, and that do not compress. */
function bytesFor(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + length) >>> 0;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

async function assertHas(store: SnapshotStore, name: string, bytes: Uint8Array | undefined): Promise<void> {
  const found = await store.get(name);
  if (bytes === undefined || found === undefined) {
    assert.equal(found?.bytes.length, bytes?.length, name);
    return;
  }
  assert.ok(Buffer.from(bytes).equals(found.bytes), `${name} has the bytes that were written`);
  assert.notEqual(found.tag, "");
}

async function namesOf(store: SnapshotStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const name of store.list(prefix)) names.push(name);
  return names;
}

async function replaced(
  store: SnapshotStore,
  name: string,
  bytes: Uint8Array,
  expected: ObjectTag | undefined,
): Promise<ObjectTag> {
  const result = await store.replace(name, bytes, expected);
  assert.ok(result.ok, `${name} was replaced`);
  return result.tag;
}

const changed = { ok: false, reason: "changed" } as const;

const objectCases: readonly Case[] = [
  {
    name: "an object of each size from 0 to 20 MiB comes back as it was",
    async run({ store }) {
      for (const size of sizes) {
        const bytes = bytesFor(size, size);
        await store.put(`sizes/${size}`, bytes);
        await assertHas(store, `sizes/${size}`, bytes);
      }
    },
  },
  {
    name: "what one opening wrote another one sees",
    async run({ store, openAnother }) {
      await store.put("a/object", bytesFor(1, 100));
      await replaced(store, "a/head", bytesFor(2, 50), undefined);
      const other = await openAnother();
      await assertHas(other, "a/object", bytesFor(1, 100));
      await assertHas(other, "a/head", bytesFor(2, 50));
      await other.close();
    },
  },
  {
    name: "an object is put again without an error, also by several at once",
    async run({ store, openAnother }) {
      const other = await openAnother();
      const bytes = bytesFor(3, 300 * kib);
      await Promise.all([store, other, store, other, store].map((one) => one.put("same", bytes)));
      await store.put("same", bytes);
      await assertHas(other, "same", bytes);
      assert.deepEqual(await namesOf(other, ""), ["same"]);
      await other.close();
    },
  },
  {
    name: "bytes that were handed over or taken may be changed afterwards",
    async run({ store }) {
      const bytes = bytesFor(4, 1000);
      await store.put("object", bytes);
      const tag = await replaced(store, "head", bytes, undefined);
      bytes.fill(0);
      (await store.get("object"))?.bytes.fill(1);
      (await store.get("head"))?.bytes.fill(1);
      await assertHas(store, "object", bytesFor(4, 1000));
      await assertHas(store, "head", bytesFor(4, 1000));
      assert.equal((await store.get("head"))?.tag, tag);
    },
  },
  {
    name: "a view into a larger buffer is written as what it shows",
    async run({ store }) {
      const whole = bytesFor(5, 10_000);
      await store.put("view", whole.subarray(100, 900));
      await replaced(store, "head", whole.subarray(200, 300), undefined);
      await assertHas(store, "view", whole.slice(100, 900));
      await assertHas(store, "head", whole.slice(200, 300));
    },
  },
  {
    name: "what is not there is undefined, and deleting it is no error",
    async run({ store }) {
      assert.equal(await store.get("nothing"), undefined);
      assert.equal(await store.get("no/thing"), undefined);
      await store.delete(["nothing", "no/thing"]);
      await store.delete([]);
      assert.deepEqual(await namesOf(store, ""), []);
    },
  },
  {
    name: "what was deleted is gone, and its name can be used again",
    async run({ store }) {
      await store.put("a/1", bytesFor(6, 10));
      await store.put("a/2", bytesFor(7, 10));
      await replaced(store, "head", bytesFor(8, 10), undefined);
      await store.delete(["a/1", "head", "a/nothing"]);
      await assertHas(store, "a/1", undefined);
      await assertHas(store, "a/2", bytesFor(7, 10));
      assert.deepEqual(await namesOf(store, ""), ["a/2"]);
      await store.put("a/1", bytesFor(9, 20));
      await assertHas(store, "a/1", bytesFor(9, 20));
      await replaced(store, "head", bytesFor(10, 10), undefined);
    },
  },
  {
    name: "more objects than one answer of a store holds are listed and deleted",
    async run({ store }) {
      const names = Array.from({ length: 1_100 }, (_, index) => `many/${String(index).padStart(5, "0")}`);
      for (let from = 0; from < names.length; from += 50)
        await Promise.all(names.slice(from, from + 50).map((name) => store.put(name, bytesFor(1, 1))));
      assert.deepEqual(await namesOf(store, "many/"), names);
      await store.delete(names);
      assert.deepEqual(await namesOf(store, ""), []);
    },
  },
];

const replaceCases: readonly Case[] = [
  {
    name: "replace makes an object only if there is none",
    async run({ store }) {
      await replaced(store, "head", bytesFor(1, 10), undefined);
      assert.deepEqual(await store.replace("head", bytesFor(2, 10), undefined), changed);
      await assertHas(store, "head", bytesFor(1, 10));
    },
  },
  {
    name: "replace changes only the version that was expected",
    async run({ store }) {
      const first = await replaced(store, "head", bytesFor(1, 10), undefined);
      const second = await replaced(store, "head", bytesFor(2, 10), first);
      assert.notEqual(second, first);
      assert.deepEqual(await store.replace("head", bytesFor(3, 10), first), changed);
      await assertHas(store, "head", bytesFor(2, 10));
      assert.equal((await store.get("head"))?.tag, second);
      await replaced(store, "head", bytesFor(3, 7 * kib * kib), second);
      await assertHas(store, "head", bytesFor(3, 7 * kib * kib));
    },
  },
  {
    name: "replace of what was deleted is refused",
    async run({ store }) {
      const tag = await replaced(store, "head", bytesFor(1, 10), undefined);
      await store.delete(["head"]);
      assert.deepEqual(await store.replace("head", bytesFor(2, 10), tag), changed);
      await assertHas(store, "head", undefined);
    },
  },
  {
    name: "of several that make an object at once, one succeeds",
    async run({ store, openAnother }) {
      const other = await openAnother();
      for (let round = 0; round < 5; round++) {
        const writers = Array.from({ length: 8 }, (_, index) => index);
        const results = await Promise.all(
          writers.map((index) =>
            (index % 2 === 0 ? store : other).replace(`h/${round}`, bytesFor(index, 64), undefined),
          ),
        );
        assert.equal(results.filter(({ ok }) => ok).length, 1);
        const winner = results.findIndex(({ ok }) => ok);
        await assertHas(store, `h/${round}`, bytesFor(winner, 64));
      }
      await other.close();
    },
  },
  {
    name: "a counter that several raise by compare-and-set loses no step",
    async run({ store, openAnother }) {
      const stores = [store, await openAnother(), await openAnother()];
      const encode = (count: number) => Buffer.from(String(count));
      await replaced(store, "counter", encode(0), undefined);
      const raise = async (one: SnapshotStore) => {
        for (let done = 0; done < 10; ) {
          const found = await one.get("counter");
          assert.ok(found !== undefined);
          const next = Number(Buffer.from(found.bytes).toString()) + 1;
          if ((await one.replace("counter", encode(next), found.tag)).ok) done++;
        }
      };
      await Promise.all(stores.map(raise));
      await assertHas(store, "counter", encode(30));
      for (const one of stores.slice(1)) await one.close();
    },
  },
];

const badNames: readonly string[] = [
  "",
  "/",
  "/a",
  "a/",
  "a//b",
  ".",
  "..",
  "a/./b",
  "a/../b",
  "A",
  "a b",
  "a_b",
  "a\\b",
  "a\0",
  "a%2e",
  "ä",
  "a\n",
  "x".repeat(objectNameCharsMax + 1),
];
const goodNames: readonly string[] = ["0", "a", "a.b", "...", "-", "lock", "lock.pid", "shards/0/a-1.x", "q.b/c..d/e"];

async function assertRefused(call: () => Promise<unknown>, what: string): Promise<void> {
  await assert.rejects(
    async () => await call(),
    (error: unknown) => {
      assert.ok(isHoldfastError(error), `an error of the catalogue, not ${String(error)}`);
      assert.equal(error.code, "internal", what);
      return true;
    },
    what,
  );
}

const nameCases: readonly Case[] = [
  {
    name: "names of all allowed forms are kept apart",
    async run({ store }) {
      const names = [...goodNames, "x".repeat(objectNameCharsMax), "a-b", "a.b.c", "ab"];
      for (const [index, name] of names.entries()) await store.put(name, bytesFor(index, 20));
      for (const [index, name] of names.entries()) await assertHas(store, name, bytesFor(index, 20));
      assert.deepEqual(await namesOf(store, ""), [...names].sort());
    },
  },
  {
    name: "names are listed by prefix, in order",
    async run({ store }) {
      for (const name of ["b", "a/2", "a/10", "a/1", "ab/1", "a.x", "a-x"]) await store.put(name, bytesFor(1, 1));
      assert.deepEqual(await namesOf(store, ""), ["a-x", "a.x", "a/1", "a/10", "a/2", "ab/1", "b"]);
      assert.deepEqual(await namesOf(store, "a/"), ["a/1", "a/10", "a/2"]);
      assert.deepEqual(await namesOf(store, "a/1"), ["a/1", "a/10"]);
      assert.deepEqual(await namesOf(store, "a"), ["a-x", "a.x", "a/1", "a/10", "a/2", "ab/1"]);
      assert.deepEqual(await namesOf(store, "c"), []);
    },
  },
  {
    name: "a name that is not allowed is refused by every method",
    async run({ store }) {
      for (const name of badNames) {
        const what = JSON.stringify(name);
        await assertRefused(() => store.put(name, bytesFor(1, 1)), what);
        await assertRefused(() => store.replace(name, bytesFor(1, 1), undefined), what);
        await assertRefused(() => store.get(name), what);
        await assertRefused(() => store.delete(["fine", name]), what);
      }
      for (const prefix of ["/", "a//", "../", "A", "a b"]) {
        await assertRefused(() => namesOf(store, prefix), JSON.stringify(prefix));
      }
      assert.deepEqual(await namesOf(store, ""), []);
    },
  },
];

type Call = readonly [verb: "put" | "make" | "replace" | "stale" | "delete", name: number, size: number];

/** Holds a store against a map: what is there, under which tag. */
async function follow(store: SnapshotStore, calls: readonly Call[]): Promise<void> {
  const model = new Map<string, { bytes: Uint8Array; tag: ObjectTag | undefined }>();
  for (const [index, [verb, number, size]] of calls.entries()) {
    const name = verb === "put" ? `object/${number}-${size}` : `head/${number}`;
    const bytes = verb === "put" ? bytesFor(number, size) : bytesFor(index + 1_000, size + 8);
    const known = model.get(name);
    if (verb === "put") {
      await store.put(name, bytes);
      model.set(name, { bytes, tag: undefined });
    } else if (verb === "delete") {
      await store.delete([name]);
      model.delete(name);
    } else {
      const expected = verb === "make" ? undefined : known?.tag;
      const result = await store.replace(name, bytes, verb === "stale" ? '"stale"' : expected);
      assert.equal(result.ok, verb !== "stale" && expected === known?.tag, `${verb} ${name}`);
      if (result.ok) model.set(name, { bytes, tag: result.tag });
    }
  }
  assert.deepEqual(await namesOf(store, ""), [...model.keys()].sort());
  for (const [name, { bytes }] of model) await assertHas(store, name, bytes);
  await store.delete([...model.keys()]);
}

const modelCases: readonly Case[] = [
  {
    name: "any sequence of calls leaves what a map would hold",
    async run({ store }, { generatedRuns = 20 }) {
      const verb = fc.constantFrom<Call[0]>("put", "make", "replace", "stale", "delete");
      const call = fc.tuple(verb, fc.nat({ max: 2 }), fc.nat({ max: 600 }));
      const property = fc.asyncProperty(fc.array(call, { maxLength: 25 }), (calls) => follow(store, calls));
      await fc.assert(property, { numRuns: generatedRuns });
    },
  },
];
