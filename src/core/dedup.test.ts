/** Request ids are remembered for their window, and not for ever. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsWith } from "../model/limits.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { parseUuidV7 } from "../std/uuid-bytes.ts";
import {
  findRequest,
  forgetExpired,
  hasRoom,
  makeDedup,
  rememberOutcome,
  rememberRequest,
  requestAge,
  requestsOf,
  restoreRequests,
  settleRequests,
} from "./dedup.ts";

const limits = limitsWith({ dedupIdsPerShardMax: 1_000, outcomesPerShardMax: 10 });
let made = 0;

function idAt(timeMs: number): Uint8Array {
  const random = new Uint8Array(16);
  new DataView(random.buffer).setUint32(12, ++made);
  return parseUuidV7(makeUuidV7(timeMs, random)) as Uint8Array;
}

test("an id is found from its record's time until its window and the allowed future have passed", () => {
  const dedup = makeDedup(limits, 1);
  const start = 1_000_000_000;
  const kept: { id: Uint8Array; at: number; timeMs: number }[] = [];
  for (let index = 0; index < 500; index++) {
    const timeMs = start + index * 5_000;
    const id = idAt(timeMs);
    rememberRequest(dedup, id, index + 1, timeMs);
    kept.push({ id, at: index + 1, timeMs });
    for (const item of kept) {
      if (timeMs - item.timeMs <= limits.dedupWindowMs + limits.requestIdFutureMs)
        assert.equal(findRequest(dedup, item.id), item.at);
    }
  }
});

test("an idle shard forgets what is past its window, and makes room", () => {
  const dedup = makeDedup(limits, 1);
  for (let index = 0; index < 1_000; index++) rememberRequest(dedup, idAt(5_000), index + 1, 5_000);
  assert.equal(hasRoom(dedup), false);
  forgetExpired(dedup, 5_000 + limits.dedupWindowMs);
  assert.equal(hasRoom(dedup), false, "still within the window");
  forgetExpired(dedup, 5_000 + 2 * (limits.dedupWindowMs + limits.requestIdFutureMs));
  assert.equal(hasRoom(dedup), true);
});

test("an id is too old after its window and too new beyond the allowed future", () => {
  const now = 1_700_000_000_000;
  assert.equal(requestAge(idAt(now), now, limits), "fits");
  assert.equal(requestAge(idAt(now - limits.dedupWindowMs), now, limits), "fits");
  assert.equal(requestAge(idAt(now - limits.dedupWindowMs - 1), now, limits), "too-old");
  assert.equal(requestAge(idAt(now + limits.requestIdFutureMs), now, limits), "fits");
  assert.equal(requestAge(idAt(now + limits.requestIdFutureMs + 1), now, limits), "too-new");
});

test("only the newest outcomes are kept decoded", () => {
  const dedup = makeDedup(limits, 1);
  for (let at = 1; at <= 50; at++) {
    rememberOutcome(dedup, at, {
      entity: { type: "t", key: "k" },
      command: "c",
      outcome: { ok: true, value: null },
      version: at,
      bytes: 10,
    });
  }
  assert.deepEqual(
    dedup.outcomes.keys().toSorted((one, other) => Number(one) - Number(other)),
    [41, 42, 43, 44, 45, 46, 47, 48, 49, 50],
  );
});

test("a restored table answers the same, and an id noted again at the same offset changes nothing", () => {
  const dedup = makeDedup(limits, 1);
  const start = 1_000_000_000;
  const noted = Array.from({ length: 400 }, (_, index) => {
    const timeMs = start + index * 5_000;
    return { id: idAt(timeMs), at: index + 1, timeMs };
  });
  for (const { id, at, timeMs } of noted) rememberRequest(dedup, id, at, timeMs);
  const images = requestsOf(dedup);
  assert.ok(images.length > 1, "several generations");
  const restored = makeDedup(limits, 2);
  restoreRequests(restored, images);
  const size = restored.generations.map(({ ids }) => ids.size);
  for (const { id, at, timeMs } of noted.slice(-120)) rememberRequest(restored, id, at, timeMs);
  settleRequests(restored);
  assert.deepEqual(
    restored.generations.map(({ ids }) => ids.size),
    size,
  );
  const unknown = idAt(start);
  for (const { id } of [...noted, { id: unknown }]) assert.equal(findRequest(restored, id), findRequest(dedup, id));
  for (let index = 0; index < 300; index++) {
    const timeMs = start + (400 + index) * 5_000;
    const id = idAt(timeMs);
    rememberRequest(dedup, id, 401 + index, timeMs);
    rememberRequest(restored, id, 401 + index, timeMs);
  }
  assert.deepEqual(requestsOf(restored), requestsOf(dedup), "both go on alike");
});

test("what a table gave to be kept does not change when it goes on", () => {
  const dedup = makeDedup(limits, 1);
  for (let at = 1; at <= 40; at++) rememberRequest(dedup, idAt(5_000), at, 5_000);
  const images = requestsOf(dedup);
  const before = structuredClone(images);
  for (let at = 41; at <= 900; at++) rememberRequest(dedup, idAt(5_000), at, 5_000);
  assert.deepEqual(images, before);
});
