/**
 * Cases of the state store's contract: images, stamps, marks, order, reopening.
 */
import assert from "node:assert/strict";
import { assertBytes, bytesOf, image, ModelStore, type StateStoreCase } from "./state-store.contract.kit.ts";
import type { StateWrite } from "./state-store.ts";

const refCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

export const stateStoreImageCases: readonly StateStoreCase[] = [
  {
    name: "an empty store has nothing and says so",
    async run({ open }) {
      const { store } = await open();
      new ModelStore().assertShownBy(store, [0, 5]);
      await store.write([]);
      await store.clear(3);
      assert.ok(store.bytes() >= 0);
    },
  },
  {
    name: "what was written is read when write has resolved, and the last of several writes is read",
    async run({ open }) {
      const { store } = await open();
      const model = new ModelStore();
      for (let round = 1; round <= 5; round++) {
        const writes = [{ shard: 2, images: [image("a/1", round), image(`a/${round}`, round + 10)] }];
        model.write(writes);
        await store.write(writes);
        model.assertShownBy(store, [2]);
      }
      await Promise.all([1, 2, 3, 4].map((seed) => store.write([{ shard: 2, images: [image("b/1", seed)] }])));
      assertBytes(store.get(2, "b/1"), bytesOf(4, 40));
    },
  },
  {
    name: "of one name twice in a write the later counts",
    async run({ open }) {
      const { store } = await open();
      await store.write([
        { shard: 0, images: [image("a/1", 1, { busy: true }), image("a/1", 2)] },
        { shard: 0, images: [image("b/1", 1), image("b/1", 2, { busy: true })] },
      ]);
      assertBytes(store.get(0, "a/1"), bytesOf(2, 40));
      assert.deepEqual([...store.busy(0)], ["b/1"]);
    },
  },
  {
    name: "the bytes that were read are the reader's, and the bytes that were written are the writer's again",
    async run({ open }) {
      const { store } = await open();
      const mine = bytesOf(1, 100);
      const writing = store.write([{ shard: 0, images: [{ name: "a/1", touched: 1, busy: false, bytes: mine }] }]);
      mine.fill(0);
      await writing;
      const read = store.get(0, "a/1");
      assertBytes(read, bytesOf(1, 100));
      read?.fill(7);
      assertBytes(store.get(0, "a/1"), bytesOf(1, 100));
      const kept = store.get(0, "a/1");
      await store.write([{ shard: 0, images: [image("a/1", 2), image("a/2", 3)] }]);
      store.get(0, "a/2");
      assertBytes(kept, bytesOf(1, 100));
    },
  },
  {
    name: "readers see all of a write or nothing",
    async run({ open }) {
      const { store } = await open();
      const names = Array.from({ length: 50 }, (_, index) => `a/${index}`);
      const round = (seed: number): StateWrite[] => [
        { shard: 0, images: names.slice(0, 25).map((name) => image(name, seed, { length: 8 })) },
        { shard: 9, images: names.slice(25).map((name) => image(name, seed, { length: 8 })), stamp: bytesOf(seed, 8) },
      ];
      await store.write(round(0));
      let done = false;
      const writing = (async () => {
        for (let seed = 1; seed <= 20; seed++) await store.write(round(seed));
        done = true;
      })();
      while (!done) {
        await new Promise((resolve) => void setImmediate(resolve));
        const seen = names.map((name, index) => Buffer.from(store.get(index < 25 ? 0 : 9, name) ?? []).toString("hex"));
        assert.equal(new Set([...seen, Buffer.from(store.stamp(9) ?? []).toString("hex")]).size, 1);
      }
      await writing;
    },
  },
  {
    name: "shards have nothing in common, up to 512 of them",
    async run({ open }) {
      const { store } = await open();
      const model = new ModelStore();
      const shards = Array.from({ length: 512 }, (_, shard) => shard);
      const writes = shards.map((shard) => ({
        shard,
        images: [image("a/1", shard, { busy: shard % 3 === 0 }), image("b/2", shard + 600)],
        stamp: bytesOf(shard, 16),
      }));
      model.write(writes);
      await store.write(writes);
      model.assertShownBy(store, shards);
      model.clear(300);
      await store.clear(300);
      model.assertShownBy(store, [299, 300, 301]);
    },
  },
  {
    name: "names have 1 to 200 characters of refs, and are given in the order of their code units",
    async run({ open }) {
      const { store } = await open();
      const model = new ModelStore();
      const names = [...refCharacters].map((character) => `t/${character}`);
      names.push("a/b", "a-/b", `a0/${"z".repeat(128)}`, `${"q".repeat(71)}/${"K".repeat(128)}`, "x");
      const writes = [{ shard: 1, images: names.map((name, index) => image(name, index)) }];
      model.write(writes);
      await store.write(writes);
      model.assertShownBy(store, [0, 1, 2]);
    },
  },
  {
    name: "images have 0 bytes to 1 MiB",
    async run({ open }) {
      const { store } = await open();
      const model = new ModelStore();
      const lengths = [0, 1, 2, 200, 2_000, 4_000, 4_096, 10_000, 65_536, 1_048_575, 1_048_576];
      const writes = [{ shard: 1, images: lengths.map((length) => image(`a/${length}`, length, { length })) }];
      model.write(writes);
      await store.write(writes);
      model.assertShownBy(store, [1]);
      const smaller = [{ shard: 1, images: [image("a/1048576", 5, { length: 3 })] }];
      model.write(smaller);
      await store.write(smaller);
      model.assertShownBy(store, [1]);
    },
  },
  {
    name: "a stamp is replaced whole, by a longer or a shorter one, and stays when a write has none",
    async run({ open }) {
      const { store } = await open();
      for (const length of [10, 3_000_000, 0, 12_000_000, 20]) {
        const stamp = bytesOf(length + 1, length);
        await store.write([{ shard: 4, images: [], stamp }]);
        await store.write([{ shard: 4, images: [image("a/1", length)] }]);
        assertBytes(store.stamp(4), stamp);
        assert.equal(store.stamp(5), undefined);
      }
    },
  },
  {
    name: "images are given in order while writes go on, none twice, and none that was there all the time is left out",
    async run({ open }) {
      const { store } = await open();
      const name = (index: number) => `a/${String(index).padStart(5, "0")}`;
      const stays = Array.from({ length: 2_000 }, (_, index) => image(name(index * 2), index, { length: 20 }));
      await store.write([{ shard: 3, images: stays }]);
      const seen: string[] = [];
      const underWay: Promise<void>[] = [];
      for (const [found] of store.images(3)) {
        seen.push(found);
        if (seen.length % 100 !== 0) continue;
        const odd = image(name(((seen.length * 7) % 2_000) * 2 + 1), seen.length);
        underWay.push(store.write([{ shard: 3, images: [odd] }]));
        await underWay.at(-1);
      }
      await Promise.all(underWay);
      assert.deepEqual(seen, [...seen].sort());
      assert.equal(new Set(seen).size, seen.length);
      const found = new Set(seen);
      assert.deepEqual(
        stays.filter((one) => !found.has(one.name)),
        [],
      );
    },
  },
  {
    name: "a cleared shard is empty, and what is written after the clear stays",
    async run({ open }) {
      const { store } = await open();
      const images = Array.from({ length: 5_000 }, (_, index) => image(`a/${index}`, index, { busy: index % 2 === 0 }));
      await store.write([{ shard: 6, images, stamp: bytesOf(1, 9) }]);
      const model = new ModelStore();
      const after = [{ shard: 6, images: [image("a/7", 1)], stamp: bytesOf(2, 9) }];
      model.write(after);
      await Promise.all([store.clear(6), store.write(after)]);
      model.assertShownBy(store, [5, 6]);
      model.clear(6);
      await Promise.all([store.write(after), store.clear(6)]);
      model.assertShownBy(store, [6]);
    },
  },
  {
    name: "a store that was closed and opened again shows the same",
    async run({ open, skip }) {
      const under = await open();
      if (under.reopen === undefined) return skip("forgets when it is closed");
      const model = new ModelStore();
      let store = under.store;
      for (let round = 0; round < 4; round++) {
        const writes = [0, 300].map((shard) => ({
          shard,
          images: [image(`a/${round}`, round, { busy: round % 2 === 1 }), image("b/1", round)],
          stamp: bytesOf(round, 12),
        }));
        model.write(writes);
        await store.write(writes);
        store = await under.reopen();
        model.assertShownBy(store, [0, 1, 300]);
      }
    },
  },
  {
    name: "close may be called twice, and no call follows it",
    async run({ open }) {
      const { store } = await open();
      await Promise.all([store.write([{ shard: 0, images: [image("a/1", 1)] }]), store.close()]);
      await store.close();
      assert.throws(() => store.get(0, "a/1"), { code: "internal" });
      await assert.rejects(async () => store.write([]), { code: "internal" });
    },
  },
];
