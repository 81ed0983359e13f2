/** The small collections, each against the plain structure it stands in for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Heap } from "./heap.ts";
import { IdTable } from "./id-table.ts";
import { Queue } from "./queue.ts";
import { makeUuidV7, uuidV7Time } from "./uuid.ts";
import { bytesToUuid, parseUuidV7, uuidBytesTime } from "./uuid-bytes.ts";

test("a heap gives its items back in order of rank", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (ranks) => {
      const heap = new Heap<number>((rank) => rank);
      for (const rank of ranks) heap.push(rank);
      const taken: number[] = [];
      for (let item = heap.pop(); item !== undefined; item = heap.pop()) taken.push(item);
      assert.deepEqual(
        taken,
        ranks.toSorted((left, right) => left - right),
      );
    }),
  );
});

test("a queue gives its items back in the order they came, whatever the mix of pushes and shifts", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 5_000, size: "max" }), (pushes) => {
      const queue = new Queue<number>();
      const model: number[] = [];
      for (const [index, push] of pushes.entries()) {
        if (push) {
          queue.push(index);
          model.push(index);
        } else {
          assert.equal(queue.peek(), model[0]);
          assert.equal(queue.shift(), model.shift());
        }
        assert.equal(queue.size, model.length);
      }
    }),
    { numRuns: 20 },
  );
});

function idOf(...words: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(words).buffer);
}

test("an id table finds every id that was put in, at its last value, and no other", () => {
  const table = new IdTable(12_345);
  const model = new Map<string, number>();
  const column = new Uint8Array(3 + 16);
  for (let index = 1; index <= 20_000; index++) {
    const words = [index % 7, 0, index % 9_973, index % 11];
    column.set(idOf(...words), 3);
    table.set(column, index, 3);
    model.set(words.join(), index);
  }
  assert.equal(table.size, model.size);
  for (const [text, value] of model) assert.equal(table.get(idOf(...text.split(",").map(Number))), value);
  assert.equal(table.get(idOf(1, 2, 3, 4)), 0);
});

test("an id table shows its entries in order, and what it showed does not change", () => {
  const table = new IdTable(7);
  for (let index = 1; index <= 100; index++) table.set(idOf(index, 0, 0, index), index);
  const ids = table.ids();
  const values = table.values();
  const before = [ids.slice(), values.slice()];
  for (let index = 50; index <= 5_000; index++) table.set(idOf(index, 0, 0, index), index * 2);
  assert.equal(table.get(idOf(99, 0, 0, 99)), 198);
  assert.deepEqual([ids, values], before);
  assert.deepEqual([...values.subarray(0, 3)], [1, 2, 3]);
  assert.deepEqual(ids.subarray(16, 32), idOf(2, 0, 0, 2));
});

test("an id table answers the same however its entries were put in", () => {
  const entries = fc.array(fc.tuple(fc.nat(60), fc.nat(2), fc.constantFrom("add", "set", "get", "show")), {
    maxLength: 300,
  });
  fc.assert(
    fc.property(entries, (steps) => {
      const table = new IdTable(3);
      const model = new Map<number, number>();
      const shown: { views: unknown; before: unknown }[] = [];
      for (const [id, more, step] of steps) {
        const bytes = idOf(id, 0, 0, id);
        if (step === "get") assert.equal(table.get(bytes), model.get(id) ?? 0);
        else if (step === "show") {
          const views = [table.ids(), table.values()];
          shown.push({ views, before: structuredClone(views) });
        } else {
          table[step](bytes, id + 1 + more);
          model.set(id, id + 1 + more);
        }
      }
      for (const { views, before } of shown) assert.deepEqual(views, before);
      table.index();
      assert.equal(table.size, model.size);
      const ids = [...model.keys()];
      assert.deepEqual(
        [...table.ids()],
        ids.flatMap((id) => [...idOf(id, 0, 0, id)]),
      );
      assert.deepEqual([...table.values()], [...model.values()]);
      const copy = new IdTable(4);
      copy.addAll(table.ids(), table.values());
      for (const [id, value] of model) assert.equal(copy.get(idOf(id, 0, 0, id)), value);
    }),
    { numRuns: 300 },
  );
});

test("a UUIDv7 comes back from its bytes with its time, and nothing else parses", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      (time, random) => {
        const id = makeUuidV7(time, random);
        const bytes = parseUuidV7(id);
        assert.ok(bytes !== undefined);
        assert.equal(bytesToUuid(bytes), id);
        assert.equal(uuidBytesTime(bytes), uuidV7Time(id));
        assert.equal(uuidBytesTime(bytes), time);
      },
    ),
  );
  const good = makeUuidV7(Date.now(), new Uint8Array(16));
  for (const bad of [
    good.toUpperCase().replace("0", "A"),
    good.slice(1),
    `${good}0`,
    good.replace("-7", "-4"),
    good.replaceAll("-", "0"),
    good.replace("0", "é"),
    7,
  ]) {
    assert.equal(parseUuidV7(bad), undefined, String(bad));
  }
});
