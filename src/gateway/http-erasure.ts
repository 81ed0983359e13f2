/**
 * The HTTP route by which operators have personal data erased.
 *
 *   POST /v1/operator/erasures/{type}/{key}   no body; answers when the key is gone and the log has the mark
 *
 * Invariant: as for the quarantine, anybody else is told the same `forbidden` whatever the path names.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isKey, isTypeName } from "../model/ids.ts";
import { identify } from "./auth.ts";
import { refuse } from "./http-answer.ts";
import { answerInTime } from "./http-entities.ts";
import { addressOf, readBody, readToken } from "./http-request.ts";
import type { GatewayContext } from "./options.ts";

export const erasurePath = "/v1/operator/erasures";
export const erasureMethods: readonly string[] = ["POST"];

export interface ErasureRoute {
  readonly type: string;
  readonly key: string;
}

/** Undefined if the path is none of its. Names are checked later, when the caller is known. */
export function matchErasureRoute(path: string): ErasureRoute | undefined {
  if (!path.startsWith(`${erasurePath}/`)) return undefined;
  const parts = path.slice(erasurePath.length + 1).split("/");
  const [type, key] = parts;
  return parts.length !== 2 || type === undefined || key === undefined ? undefined : { type, key };
}

/** @throws HoldfastError what is wrong with the request */
export async function serveErasure(
  context: GatewayContext,
  { type, key }: ErasureRoute,
  { request, response, search }: { request: IncomingMessage; response: ServerResponse; search: string },
): Promise<void> {
  const { principal } = await identify(context, readToken(request), { address: addressOf(request) });
  if (principal.kind !== "operator") refuse("forbidden", "Only an operator may do this.");
  if (search !== "") refuse("invalid-frame", "This takes no parameters.");
  const { service } = context;
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  if (!isTypeName(type)) refuse("unknown-type", "There is no entity type of this name.");
  if (!isKey(key)) refuse("invalid-key", "A key has 1 to 128 of A-Z a-z 0-9 _ -.");
  if ((await readBody(request, service.limits)) !== undefined) refuse("invalid-input", "This takes no body.");
  answerInTime(context, response, (answer) => service.erase({ subject: { type, key }, principal }, answer));
}
