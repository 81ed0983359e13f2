/**
 * What the rounds of `writer.fixture.ts` write, and how to tell which round a store shows.
 */
import assert from "node:assert/strict";
import { assertBytes, bytesOf } from "../../ports/state-store.contract.kit.ts";
import type { StateStore } from "../../ports/state-store.ts";

export const roundShards: readonly number[] = [0, 3, 200];
export const roundNames: readonly string[] = Array.from({ length: 60 }, (_, index) => `wallet/w-${index}`);

export function stampBytes(round: number): number {
  return 100 + (round % 5) * 3_000;
}

/** The round that the store shows, whole; 0 if the store is empty. */
export function roundOf(store: StateStore, newest: number): number {
  const stamp = store.stamp(0);
  if (stamp === undefined) {
    for (const shard of roundShards) assert.deepEqual([...store.images(shard)], []);
    return 0;
  }
  const round = [newest, newest + 1, newest + 2].find(
    (one) => Buffer.compare(stamp, bytesOf(one, stampBytes(one))) === 0,
  );
  assert.ok(round !== undefined, `the stamp is of round ${newest} or a later one`);
  for (const shard of roundShards) {
    assertBytes(store.stamp(shard), stamp);
    for (const [index, name] of roundNames.entries()) assertBytes(store.get(shard, name), bytesOf(round, 200 + index));
    assert.equal([...store.images(shard)].length, roundNames.length);
    assert.deepEqual([...store.busy(shard)], [`wallet/w-${round % 10}`]);
  }
  return round;
}
