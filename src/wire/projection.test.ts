/** A saved projection is read as it was written, or not at all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import { decodeProjection, encodeProjection, type ProjectionHead, type ProjectionRow } from "./projection.ts";

const head: ProjectionHead = {
  name: "wins",
  version: "1-0123456789abcdef",
  cursor: "abc_-9",
  caughtUp: true,
  savedMs: 1_800_000_000_000,
  documents: 0,
};

function rowsOf(count: number): ProjectionRow[] {
  return Array.from({ length: count }, (_, at) => [
    `key-${at}`,
    { at, name: { $sealed: `player/p.1.AA${at}` }, list: [at, null] },
  ]);
}

function encode(rows: readonly ProjectionRow[], documents = rows.length): Uint8Array {
  const making = encodeProjection({ ...head, documents }, rows);
  for (;;) {
    const step = making.next();
    if (step.done === true) return step.value;
  }
}

function decode(bytes: Uint8Array) {
  const { head: read, rows } = decodeProjection(bytes, "o");
  return { head: read, rows: [...rows].flat() };
}

test("what was written is read, with no documents and with many chunks of them", () => {
  for (const count of [0, 1, 512, 1_300]) {
    const rows = rowsOf(count);
    assert.deepEqual(decode(encode(rows)), { head: { ...head, documents: count }, rows });
  }
});

test("each turned bit and each cut is found", () => {
  const bytes = encode(rowsOf(3));
  const isDamage = (work: Uint8Array) => {
    try {
      decode(work);
      return false;
    } catch (error) {
      return isHoldfastError(error) && error.code === "snapshot-damaged";
    }
  };
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const turned = Uint8Array.from(bytes);
    turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.ok(isDamage(turned), `bit ${bit}`);
  }
  for (let length = 0; length < bytes.length; length++)
    assert.ok(isDamage(bytes.subarray(0, length)), `cut at ${length}`);
  assert.ok(isDamage(encode(rowsOf(3), 4)), "a chunk is missing");
});
