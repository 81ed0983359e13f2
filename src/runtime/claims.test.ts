/** Claims that come together are written together, and each is answered for itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Append, AppendResult } from "../ports/log.ts";
import { Claims } from "./claims.ts";

const append = (shard: number): Append => ({ shard, epoch: 1, at: 1, count: 1, frame: new Uint8Array(1) });
const shardOf = (result: AppendResult | undefined) => (result?.ok === true ? result.tail : result?.reason);

test("claims of one turn are one write, those that come during it the next; each gets its own answer", async () => {
  const writes: number[][] = [];
  let release = () => {};
  const claims = new Claims(
    {
      async claim(appends) {
        writes.push(appends.map(({ shard }) => shard));
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return appends.map(({ shard }) => (shard === 2 ? { ok: false, reason: "fenced" } : { ok: true, tail: shard }));
      },
    },
    queueMicrotask,
  );
  const first = [claims.claim(append(1)), claims.claim(append(2))];
  await new Promise((resolve) => setImmediate(resolve));
  const second = [claims.claim(append(3)), claims.claim(append(4))];
  release();
  assert.deepEqual((await Promise.all(first)).map(shardOf), [1, "fenced"]);
  await new Promise((resolve) => setImmediate(resolve));
  release();
  assert.deepEqual((await Promise.all(second)).map(shardOf), [3, 4]);
  assert.deepEqual(writes, [
    [1, 2],
    [3, 4],
  ]);
});

test("a write that fails fails each of its claims, and the next goes on", async () => {
  let fails = true;
  const claims = new Claims(
    {
      async claim(appends) {
        if (fails) throw new Error("no log");
        return appends.map(() => ({ ok: true, tail: 2 }));
      },
    },
    queueMicrotask,
  );
  const both = await Promise.allSettled([claims.claim(append(1)), claims.claim(append(2))]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ["rejected", "rejected"],
  );
  fails = false;
  assert.deepEqual(await claims.claim(append(1)), { ok: true, tail: 2 });
});
