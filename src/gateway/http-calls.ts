/**
 * The HTTP routes of operators for outside calls: which stand, and what is done about one.
 *
 *   GET  /v1/operator/calls?parked=true&type=order&limit=100
 *   POST /v1/operator/calls/{type}/{key}/{call}/{verb}     call as the list names it, `17.0`; verb `retry` or `drop`
 *
 * Invariant: only a principal of kind `operator` gets past the door; behind it nobody asks again before a list is given.
 */
import { isKey, isTypeName } from "../model/ids.ts";
import type { CallFilter, CallId, CallOrder } from "../model/records.ts";
import type { ShownCall } from "../runtime/service.ts";
import { identify } from "./auth.ts";
import { refuse, sendJson } from "./http-answer.ts";
import { answerInTime } from "./http-entities.ts";
import type { OperatorExchange } from "./http-operator.ts";
import { addressOf, readBody, readToken } from "./http-request.ts";
import type { GatewayContext } from "./options.ts";

export const callsPath = "/v1/operator/calls";

/** Of one answer. */
export const callsListedMax = 1_000;

export const callVerbs = ["retry", "drop"] as const;

export type CallsRoute =
  | { readonly kind: "list" }
  | {
      readonly kind: "verb";
      readonly type: string;
      readonly key: string;
      readonly call: string;
      readonly verb: string;
    };

/** Undefined if the path is none of theirs. */
export function matchCallsRoute(path: string): CallsRoute | undefined {
  if (path === callsPath) return { kind: "list" };
  if (!path.startsWith(`${callsPath}/`)) return undefined;
  const parts = path.slice(callsPath.length + 1).split("/");
  const [type, key, call, verb] = parts;
  if (parts.length !== 4 || type === undefined || key === undefined || call === undefined || verb === undefined)
    return undefined;
  return { kind: "verb", type, key, call, verb };
}

/** @throws HoldfastError what is wrong with the request */
export async function serveCalls(
  context: GatewayContext,
  route: CallsRoute,
  { request, response, search }: OperatorExchange,
): Promise<void> {
  const { principal } = await identify(context, readToken(request), { address: addressOf(request) });
  if (principal.kind !== "operator") refuse("forbidden", "Only an operator may do this.");
  const { service } = context;
  if (route.kind === "list") {
    const filter = readFilter(search);
    // One more is asked for than is given, to know whether there are more.
    const found = await service.listCalls({ ...filter, limit: filter.limit + 1 });
    const calls = found.slice(0, filter.limit).map(asJson);
    return sendJson(response, 200, { calls, more: found.length > filter.limit });
  }
  if (search !== "") refuse("invalid-frame", "This takes no parameters.");
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  const { type, key, call, verb } = route;
  if (!isTypeName(type)) refuse("unknown-type", "There is no entity type of this name.");
  if (!isKey(key)) refuse("invalid-key", "A key has 1 to 128 of A-Z a-z 0-9 _ -.");
  const id = parseCallId(call);
  if (id === undefined) refuse("not-found", "A call is named as the list names it, such as 17.0.");
  if (!isVerb(verb)) refuse("not-found", `An operator may ${callVerbs.join(" or ")} a call.`);
  const body = await readBody(request, service.limits);
  if (body !== undefined && body !== null) refuse("invalid-input", "This takes no body.");
  answerInTime(context, response, (answer) =>
    service.operateCall({ entity: { type, key }, id, verb, principal }, answer),
  );
}

function isVerb(verb: string): verb is CallOrder["verb"] {
  return (callVerbs as readonly string[]).includes(verb);
}

function parseCallId(text: string): CallId | undefined {
  const [, at, index] = /^([1-9]\d{0,15})\.(\d{1,5})$/.exec(text) ?? [];
  const id = { at: Number(at), index: Number(index) };
  return Number.isSafeInteger(id.at) && Number.isSafeInteger(id.index) ? id : undefined;
}

function asJson({ id, ...call }: ShownCall): object {
  return { ...call, call: `${id.at}.${id.index}` };
}

function readFilter(search: string): CallFilter {
  const parameters = new URLSearchParams(search);
  const known = new Set(["parked", "type", "limit"]);
  const names = [...parameters.keys()];
  if (names.some((name) => !known.has(name)) || new Set(names).size !== names.length)
    refuse("invalid-frame", "The parameters are `parked`, `type` and `limit`, each at most once.");
  const parked = parameters.get("parked");
  if (parked !== null && parked !== "true" && parked !== "false") refuse("invalid-frame", "`parked` is true or false.");
  const type = parameters.get("type");
  if (type !== null && !isTypeName(type)) refuse("unknown-type", "There is no entity type of this name.");
  const text = parameters.get("limit") ?? String(callsListedMax);
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > callsListedMax) refuse("invalid-frame", `\`limit\` is 1 to ${callsListedMax}.`);
  return { limit, parked: parked === "true", ...(type === null ? {} : { type }) };
}
