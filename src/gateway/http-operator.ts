/**
 * The HTTP routes of operators: how the node is, what is quarantined, and the verbs that deal with that.
 *
 *   GET  /v1/operator/status
 *   GET  /v1/operator/quarantine
 *   POST /v1/operator/quarantine/{type}/{key}/{verb}   {"state": …, "ifParkedAt": …}
 *
 * Invariant: only a principal of kind `operator`, which only the authentication hook can give, gets past the door: for
 * anybody else every path below it looks the same, whatever stands behind it. The node asks once more.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isKey, isTypeName } from "../model/ids.ts";
import { type OperatorCall, type OperatorVerb, operatorVerbs } from "../model/marks.ts";
import { identify } from "./auth.ts";
import { refuse, sendJson } from "./http-answer.ts";
import { answerInTime } from "./http-entities.ts";
import { addressOf, readBody, readToken } from "./http-request.ts";
import type { GatewayContext } from "./options.ts";

export const operatorPath = "/v1/operator/quarantine";

export const statusPath = "/v1/operator/status";

export type OperatorRoute =
  | { readonly kind: "status" }
  | { readonly kind: "list" }
  | { readonly kind: "verb"; readonly type: string; readonly key: string; readonly verb: string };

/** Undefined if the path is none of theirs. Names are checked later, when the caller is known. */
export function matchOperatorRoute(path: string): OperatorRoute | undefined {
  if (path === statusPath) return { kind: "status" };
  if (path === operatorPath) return { kind: "list" };
  if (!path.startsWith(`${operatorPath}/`)) return undefined;
  const parts = path.slice(operatorPath.length + 1).split("/");
  const [type, key, verb] = parts;
  if (parts.length !== 3 || type === undefined || key === undefined || verb === undefined) return undefined;
  return { kind: "verb", type, key, verb };
}

export interface OperatorExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly search: string;
}

export const operatorMethods: { readonly [Kind in OperatorRoute["kind"]]: readonly string[] } = {
  status: ["GET", "HEAD"],
  list: ["GET", "HEAD"],
  verb: ["POST"],
};

/** @throws HoldfastError what is wrong with the request */
export async function serveOperator(
  context: GatewayContext,
  route: OperatorRoute,
  { request, response, search }: OperatorExchange,
): Promise<void> {
  const { principal } = await identify(context, readToken(request), { address: addressOf(request) });
  if (principal.kind !== "operator") refuse("forbidden", "Only an operator may do this.");
  if (search !== "") refuse("invalid-frame", "This takes no parameters.");
  const { service } = context;
  if (route.kind === "status") return sendJson(response, 200, await context.figures());
  if (route.kind === "list") return sendJson(response, 200, { parked: service.quarantined(principal) });
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  const { type, key, verb } = route;
  if (!isTypeName(type)) refuse("unknown-type", "There is no entity type of this name.");
  if (!isKey(key)) refuse("invalid-key", "A key has 1 to 128 of A-Z a-z 0-9 _ -.");
  if (!isVerb(verb)) refuse("not-found", `An operator may ${operatorVerbs.join(", ")}.`);
  const asked = readAsked(await readBody(request, service.limits), verb);
  const call: OperatorCall = { entity: { type, key }, verb, principal, ...asked };
  answerInTime(context, response, (answer) => service.operate(call, answer));
}

function isVerb(verb: string): verb is OperatorVerb {
  return (operatorVerbs as readonly string[]).includes(verb);
}

function readAsked(body: unknown, verb: OperatorVerb): Pick<OperatorCall, "state" | "ifParkedAt"> {
  if (body === undefined || body === null) return verb === "repair" ? refuseRepair() : {};
  if (typeof body !== "object" || Array.isArray(body)) refuse("invalid-input", "The body is an object.");
  const { state, ifParkedAt, ...others } = body as Record<string, unknown>;
  if (Object.keys(others).length > 0) refuse("invalid-input", "The body takes `state` and `ifParkedAt` only.");
  if (ifParkedAt !== undefined && !Number.isSafeInteger(ifParkedAt))
    refuse("invalid-input", "`ifParkedAt` is the offset that the list and `inspect` give as `parkedAt`.");
  if ((state !== undefined) !== (verb === "repair")) return refuseRepair();
  return {
    ...(state === undefined ? {} : { state }),
    ...(ifParkedAt === undefined ? {} : { ifParkedAt: ifParkedAt as number }),
  };
}

function refuseRepair(): never {
  refuse("invalid-input", "A repair, and nothing else, takes `state`: the whole state that the entity gets.");
}
