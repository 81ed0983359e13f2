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

test("an id table finds every id that was put in, at its last value, and no other", () => {
  const table = new IdTable(12_345);
  const model = new Map<string, number>();
  const id = new Uint32Array(4);
  for (let index = 1; index <= 20_000; index++) {
    id.set([index % 7, 0, index % 9_973, index % 11]);
    table.set(id, index);
    model.set(id.join(), index);
  }
  assert.equal(table.size, model.size);
  for (const [text, value] of model) {
    id.set(text.split(",").map(Number));
    assert.equal(table.get(id), value);
  }
  id.set([1, 2, 3, 4]);
  assert.equal(table.get(id), 0);
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
