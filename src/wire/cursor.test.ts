/** Cursors as text: what comes back, what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Place } from "../model/feeds.ts";
import { readCursor, writeCursor } from "./cursor.ts";

const shardCount = 8;
const place = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 40 }), fc.option(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { nil: undefined }))
  .map(([offset, chain]): Place => ({ offset, chain }));
const cursors = fc
  .dictionary(fc.integer({ min: 0, max: shardCount - 1 }).map(String), place)
  .map((places) => new Map(Object.entries(places).map(([shard, at]) => [Number(shard), at])));

test("a cursor that is read is the one that was written, and its text is safe in a URL", () => {
  fc.assert(
    fc.property(cursors, (cursor) => {
      const text = writeCursor(cursor, shardCount);
      assert.match(text, /^[\w-]+$/);
      assert.deepEqual([...readCursor(text, shardCount)], [...cursor]);
    }),
  );
});

test("a text that is none, is damaged, or is of another number of shards is refused", () => {
  const text = writeCursor(new Map([[3, { offset: 5, chain: 6 }]]), shardCount);
  const refused = (given: string, count = shardCount) =>
    assert.throws(() => readCursor(given, count), { code: "invalid-cursor" });
  refused(text, shardCount + 1);
  refused("");
  refused("not a cursor!");
  refused("AAAA");
  refused("x".repeat(1_000_000));
  fc.assert(
    fc.property(fc.base64String(), (junk) => {
      try {
        readCursor(junk, shardCount);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "invalid-cursor");
      }
    }),
  );
});
