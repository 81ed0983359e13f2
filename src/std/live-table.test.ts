/** The table of entries that come and go, against a Map. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LiveTable } from "./live-table.ts";

const key = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.string({ maxLength: 2 }));
const operation = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), key, value: fc.integer() }),
  fc.record({ kind: fc.constant("delete" as const), key }),
  fc.record({ kind: fc.constant("clear" as const), key }),
);

test("a live table answers what a Map answers, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 400 }), (operations) => {
      const table = new LiveTable<number>();
      const map = new Map<string | number, number>();
      for (const each of operations) {
        if (each.kind === "set") {
          table.set(each.key, each.value);
          map.set(each.key, each.value);
        } else if (each.kind === "delete") assert.equal(table.delete(each.key), map.delete(each.key));
        else if (operations.length % 7 === 0) {
          table.clear();
          map.clear();
        }
        assert.equal(table.get(each.key), map.get(each.key));
        assert.equal(table.has(each.key), map.has(each.key));
        assert.equal(table.size, map.size);
      }
      assert.deepEqual(new Set(table.keys()), new Set(map.keys()));
      for (const [name, value] of map) assert.equal(table.get(name), value);
    }),
  );
});

test("a number and its text are two keys", () => {
  const table = new LiveTable<string>();
  table.set(1, "number");
  table.set("1", "text");
  assert.deepEqual([table.get(1), table.get("1")], ["number", "text"]);
});
