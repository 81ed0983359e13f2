/**
 * What the service answered, as a message of the protocol.
 *
 * Invariant: an answer that was given before its record was durable says so, on every way out.
 */
import type { CallResult, LocalAnswer, QueryCall } from "../model/records.ts";
import type { ServerMessage } from "../wire/protocol.ts";
import { retryAfterMs } from "./retry.ts";

/** The mark of an answer that was given before its record was durable. */
export function early({ durable }: { readonly durable?: false }): { durable: false } | undefined {
  return durable === false ? { durable } : undefined;
}

export function answerMessage(id: string | number, result: CallResult): ServerMessage {
  if (result.ok)
    return { t: "reply", id, version: result.version, value: result.value, ...early(result), ...copied(result) };
  const after = retryAfterMs(result.code);
  return {
    t: "error",
    id,
    code: result.code,
    detail: result.detail,
    ...(result.reason === undefined ? undefined : { reason: result.reason }),
    ...(result.details === undefined ? undefined : { details: result.details }),
    ...(result.version === undefined ? undefined : { version: result.version }),
    ...early(result),
    ...(after === 0 ? undefined : { retryAfterMs: after }),
  };
}

/** Of a query that a copy answered. */
export function copied({ local }: CallResult & { readonly ok: true }): { readonly local?: LocalAnswer } | undefined {
  return local === undefined ? undefined : { local };
}

export function readOptions(
  consistency: QueryCall["consistency"],
  lagMs: number | undefined,
): Pick<QueryCall, "consistency" | "lagMs"> {
  return {
    ...(consistency === undefined ? undefined : { consistency }),
    ...(lagMs === undefined ? undefined : { lagMs }),
  };
}
