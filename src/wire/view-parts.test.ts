/** The messages of views in two parts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { diff } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import { reservedKeys } from "../std/reserved.ts";
import { encodePlain, joinFrame } from "./codec.ts";
import { patchFromRows, patchToRows } from "./patch-rows.ts";
import type { ServerMessage } from "./protocol.ts";
import { encodeViewHead, encodeViewTail } from "./view-parts.ts";

// Plain data has no reserved key, wherever it may come from.
const plain = fc
  .jsonValue({ maxDepth: 3 })
  .filter((value) => ![...reservedKeys].some((key) => JSON.stringify(value).includes(JSON.stringify(key))))
  .map((value) => JSON.parse(JSON.stringify(value)) as Plain);
const id = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.maxSafeInteger().map(Math.abs));

test("a patch in rows is the same patch", () => {
  fc.assert(
    fc.property(plain, plain, (before, value) => {
      const patch = diff(before, value);
      assert.deepEqual(patchFromRows(patchToRows(patch)), patch);
    }),
  );
  for (const rows of [[[3, "/a", 1]], [[0, 1, 1]], [[2, "/a", 1]], [[1, "/a"]], [{ op: "remove", path: "/a" }], ["/a"]])
    assert.equal(patchFromRows(rows), undefined);
});

test("head and tail of a view's message are together the bytes of the whole message", () => {
  fc.assert(
    fc.property(plain, plain, id, id, (before, value, one, version) => {
      const patch = diff(before, value);
      const messages: Extract<ServerMessage, { t: "absolute" | "delta" }>[] = [
        { t: "absolute", id: one, version, value },
        { t: "delta", id: one, from: 3, version, patch },
      ];
      for (const message of messages) {
        const rows = message.t === "delta" ? { ...message, patch: patchToRows(message.patch) } : message;
        const parts = [encodeViewHead(message.t, one, "msgpack"), encodeViewTail(message, "msgpack")];
        assert.deepEqual(
          joinFrame(parts, "msgpack", 1),
          joinFrame([encodePlain(rows as ServerMessage, "msgpack")], "msgpack"),
        );
        const text = encodeViewHead(message.t, one, "json") + encodeViewTail(message, "json");
        assert.equal(text, encodePlain(message, "json"));
      }
    }),
  );
});
