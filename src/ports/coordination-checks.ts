/**
 * The checks that every coordination makes of its arguments: a comparison with `undefined` or `NaN` would be no fence.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Change } from "./coordination.ts";

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;
const leaseMsMax = 3_600_000;

/** Of a node, or of a lease. @throws `internal` */
export function checkName(name: unknown): void {
  if (typeof name !== "string" || !namePattern.test(name))
    throw broken("a name is 1 to 128 of A-Z a-z 0-9 _ . : - and begins with a letter or digit", name);
}

export function checkLease(name: unknown, leaseMs: unknown): void {
  checkName(name);
  if (typeof leaseMs !== "number" || !(leaseMs > 0 && leaseMs <= leaseMsMax))
    throw broken("a lease is more than 0 and at most 3,600,000 ms", leaseMs);
}

export function checkChanges(changes: readonly Change[]): void {
  const shards = new Set<number>();
  for (const { shard, expected } of changes) {
    if (!Number.isSafeInteger(shard) || shard < 0) throw broken("a shard is an integer of at least 0", shard);
    if (!Number.isSafeInteger(expected) || expected < 0)
      throw broken("a version is an integer of at least 0", expected);
    if (shards.has(shard)) throw broken("a shard stands once in a call", shard);
    shards.add(shard);
  }
}

function broken(invariant: string, value: unknown): HoldfastError {
  const shown = typeof value === "string" || typeof value === "number" ? String(value).slice(0, 40) : "one";
  return new HoldfastError("internal", `Broken invariant: ${invariant}, not ${typeof value} ${shown}`);
}
