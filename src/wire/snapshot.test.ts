/**
 * Formats of snapshots: what is written is read, and no single turned bit of any object passes for something else.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { StoredImage } from "../model/images.ts";
import {
  checkObject,
  decodeHead,
  decodeManifest,
  encodeHead,
  encodeManifest,
  type Generation,
  type Manifest,
  type PartRef,
  seal,
  unseal,
} from "./snapshot.ts";
import { PartWriter, partBytes, readPart } from "./snapshot-part.ts";
import {
  chunksOf,
  decodeRequests,
  encodeRequests,
  idsPerChunk,
  joinRequests,
  requestsDigest,
} from "./snapshot-requests.ts";

const damage = { code: "snapshot-damaged" };

const manifest: Manifest = {
  shard: 3,
  generation: 9,
  epoch: 2 ** 40,
  at: 123_456_789_012,
  chain: 7,
  timeMs: 1_767_225_600_000,
  codes: { table: "abc", wallet: "def" },
  layers: [
    { parts: [{ name: "a/1", length: 5, sha256: "00", rawLength: 9, images: 2, first: "a", last: "b" }] },
    { parts: [] },
  ],
  requests: [{ name: "a/2", length: 6, sha256: "11", startMs: 600_000, ids: 4, contentSha256: "22" }],
};

const generation: Generation = { generation: 9, epoch: 4, at: 100, name: "m", length: 50, sha256: "33" };

function partOf(images: readonly StoredImage[]): { bytes: Uint8Array; ref: PartRef } {
  const writer = new PartWriter();
  for (const image of images) writer.add(image);
  const { bytes, ref } = writer.finish();
  return { bytes, ref: { name: "part", ...ref } };
}

function read(ref: PartRef, bytes: Uint8Array): StoredImage[] {
  checkObject(ref, bytes);
  return [...readPart(ref, bytes)].flat();
}

function withBit(bytes: Uint8Array, bit: number): Uint8Array {
  const turned = Uint8Array.from(bytes);
  turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
  return turned;
}

const image = fc.record({
  touched: fc.nat(),
  busy: fc.boolean(),
  bytes: fc.uint8Array({ maxLength: 300 }),
});

test("manifest and head are read as they were written", () => {
  for (const chain of [7, undefined]) {
    const one = { ...manifest, chain };
    assert.deepEqual(decodeManifest(encodeManifest(one), "m", 3), one);
  }
  const head = { shard: 3, epoch: 5, generations: [generation, { ...generation, at: 50 }] };
  assert.deepEqual(decodeHead(encodeHead(head), "h", 3), head);
});

test("a manifest or head of another shard, or one in the place of the other, is refused", () => {
  assert.throws(() => decodeManifest(encodeManifest(manifest), "m", 4), damage);
  const head = encodeHead({ shard: 3, epoch: 5, generations: [] });
  assert.throws(() => decodeHead(head, "h", 4), damage);
  assert.throws(() => decodeManifest(head, "h", 3), damage);
});

test("a whole document of another form is refused", () => {
  for (const body of [null, {}, [], [3], [3, "x"], [3, 1, 1, 1, null, 1, { a: 1 }, [], []]] as const) {
    assert.throws(() => decodeManifest(seal("manifest", body), "m", 3), damage);
  }
  assert.deepEqual(unseal("catalogue", "c", seal("catalogue", [1])), [1]);
});

test("images of any bytes are read from a part as they were written", () => {
  const images = fc.dictionary(fc.stringMatching(/^[a-z0-9/_-]{1,40}$/), image, { minKeys: 1, maxKeys: 50 });
  fc.assert(
    fc.property(images, (byName) => {
      const sorted = Object.entries(byName).map(([name, one]) => ({ name, ...one }));
      sorted.sort((one, other) => (one.name < other.name ? -1 : 1));
      const { bytes, ref } = partOf(sorted);
      const found = read(ref, bytes).map((one) => ({ ...one, bytes: Uint8Array.from(one.bytes) }));
      assert.deepEqual(found, sorted);
      assert.deepEqual([ref.first, ref.last, ref.images], [sorted[0]?.name, sorted.at(-1)?.name, sorted.length]);
    }),
    { numRuns: 50 },
  );
});

test("a part ends at about its size, and images that repeat each other are compressed", () => {
  const writer = new PartWriter();
  let count = 0;
  const bytes = new Uint8Array(1_000);
  while (!writer.isFull) {
    for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 7919 * ++count) >>> 3;
    writer.add({ name: `a/${String(count).padStart(12, "0")}`, touched: count, busy: false, bytes: bytes.slice() });
  }
  assert.ok(writer.finish().bytes.length < partBytes + 256 * 1024);
  const same = Array.from({ length: 500 }, (_, index) => {
    const name = `a/${String(index).padStart(5, "0")}`;
    return { name, touched: index, busy: false, bytes: Buffer.from(`{"balance":${index},"owner":"somebody"}`) };
  });
  const { ref } = partOf(same);
  assert.ok(ref.length * 3 < ref.rawLength);
});

test("every single turned bit of a part, a manifest, a head and a chunk is detected", () => {
  const images = Array.from({ length: 12 }, (_, index) => {
    const name = `thing/${String(index).padStart(2, "0")}`;
    return { name, touched: index, busy: index === 3, bytes: Buffer.from(`state ${index}`) };
  });
  const part = partOf(images);
  const chunk = encodeRequests({ startMs: 1, ids: new Uint8Array(48).fill(9), offsets: Float64Array.of(1, 2, 3) });
  const chunkRef = { name: "chunk", ...chunk.ref };
  const cases: [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
    ["part", part.bytes, (bytes) => read(part.ref, bytes)],
    ["manifest", encodeManifest(manifest), (bytes) => decodeManifest(bytes, "m", 3)],
    ["head", encodeHead({ shard: 3, epoch: 5, generations: [generation] }), (bytes) => decodeHead(bytes, "h", 3)],
    [
      "chunk",
      chunk.bytes,
      (bytes) => {
        checkObject(chunkRef, bytes);
        return decodeRequests(chunkRef, bytes);
      },
    ],
  ];
  for (const [what, bytes, decode] of cases) {
    decode(bytes);
    for (let bit = 0; bit < bytes.length * 8; bit++)
      assert.throws(() => decode(withBit(bytes, bit)), damage, `${what} ${bit}`);
    for (let length = 0; length < bytes.length; length++) assert.throws(() => decode(bytes.slice(0, length)), damage);
  }
});

test("a part whose digest was not checked is still refused or read, never out of bounds", () => {
  const { bytes, ref } = partOf([{ name: "a", touched: 1, busy: false, bytes: new Uint8Array(20) }]);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    try {
      for (const images of readPart(ref, withBit(bytes, bit))) assert.ok(images.every((one) => one.bytes.length <= 20));
    } catch (error) {
      assert.equal((error as { code?: unknown }).code, "snapshot-damaged");
    }
  }
});

test("request ids come back in order, through chunks of which only the last one changes", () => {
  const count = idsPerChunk * 2 + 3;
  const ids = new Uint8Array(count * 16).map((_, index) => (index * 31) >>> 4);
  const offsets = Float64Array.from({ length: count }, (_, index) => 2 ** 40 + index);
  const requests = [
    { startMs: 1_000, ids, offsets },
    { startMs: 2_000, ids: ids.slice(0, 32), offsets: offsets.slice(0, 2) },
  ];
  const chunks = requests.flatMap((one) => [...chunksOf(one)]);
  assert.deepEqual(
    chunks.map((one) => one.offsets.length),
    [idsPerChunk, idsPerChunk, 3, 2],
  );
  const decoded = chunks.map((chunk) => {
    const { bytes, ref } = encodeRequests(chunk);
    assert.equal(ref.contentSha256, requestsDigest(chunk));
    return decodeRequests({ name: "chunk", ...ref }, bytes);
  });
  assert.deepEqual(joinRequests(decoded), requests);
});
