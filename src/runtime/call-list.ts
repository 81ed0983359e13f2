/**
 * Asks every shard of a node for its calls.
 *
 * Invariant: what is told was durable when its shard answered; shards answer at moments of their own.
 */
import type { Input } from "../core/effects.ts";
import { HoldfastError } from "../model/errors.ts";
import type { CallFilter, CallResult, CallStatus } from "../model/records.ts";
import { callKey } from "./calls.ts";
import type { ShownCall } from "./service.ts";
import type { CallerToken, ShardHost } from "./shard-host.ts";

/** Calls told to one question that names no limit. */
const toldDefault = 1_000;

/** @throws the failure of a shard that does not answer */
export async function listCalls(
  hosts: readonly ShardHost[],
  { limit = toldDefault, ...filter }: Partial<CallFilter>,
  step: (host: ShardHost, input: Input) => void,
): Promise<readonly ShownCall[]> {
  const ask = (host: ShardHost) =>
    new Promise<CallResult>((resolve) => {
      const caller: CallerToken = { answer: resolve };
      step(host, { kind: "list-calls", filter: { ...filter, limit }, caller });
    });
  const shown: ShownCall[] = [];
  for (const result of await Promise.all(hosts.map(ask))) {
    if (!result.ok) throw new HoldfastError(result.code, result.detail);
    for (const call of result.value as unknown as readonly CallStatus[])
      shown.push({ ...call, key: callKey(call.entity, call.id, call.madeMs) });
  }
  shown.sort((one, other) => one.madeMs - other.madeMs);
  return shown.slice(0, limit);
}
