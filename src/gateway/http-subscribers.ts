/**
 * The HTTP routes of operators for durable subscribers: which there are, how they go, and what is done about one.
 *
 *   GET  /v1/operator/subscribers
 *   GET  /v1/operator/subscribers/{name}
 *   GET  /v1/operator/subscribers/{name}/aside         what its sink refused
 *   POST /v1/operator/subscribers/{name}               creates it
 *   POST /v1/operator/subscribers/{name}/{verb}        {"start": …} of rewind, {"ids": […]} of replay and drop
 *
 * Invariant: only a principal of kind `operator` gets past the door; behind it nobody asks again before a list is given.
 */
import type { SubscriberAsk } from "../model/subscribers.ts";
import { type Subscribers, type SubscriberVerb, subscriberVerbs } from "../propagation/subscribers.ts";
import { identify } from "./auth.ts";
import { refuse, sendJson } from "./http-answer.ts";
import type { OperatorExchange } from "./http-operator.ts";
import { addressOf, readBody, readToken } from "./http-request.ts";
import type { GatewayContext } from "./options.ts";

export const subscribersPath = "/v1/operator/subscribers";

export type SubscribersRoute =
  | { readonly kind: "list" }
  | { readonly kind: "one"; readonly name: string }
  | { readonly kind: "aside"; readonly name: string }
  | { readonly kind: "verb"; readonly name: string; readonly verb: string };

/** Undefined if the path is none of theirs. */
export function matchSubscribersRoute(path: string): SubscribersRoute | undefined {
  if (path === subscribersPath) return { kind: "list" };
  if (!path.startsWith(`${subscribersPath}/`)) return undefined;
  const [name, verb, ...more] = path.slice(subscribersPath.length + 1).split("/");
  if (name === undefined || name === "" || more.length > 0) return undefined;
  if (verb === undefined) return { kind: "one", name };
  return verb === "aside" ? { kind: "aside", name } : { kind: "verb", name, verb };
}

export const subscribersMethods: { readonly [Kind in SubscribersRoute["kind"]]: readonly string[] } = {
  list: ["GET", "HEAD"],
  one: ["GET", "HEAD", "POST"],
  aside: ["GET", "HEAD"],
  verb: ["POST"],
};

/** @throws HoldfastError what is wrong with the request */
export async function serveSubscribers(
  context: GatewayContext,
  route: SubscribersRoute,
  { request, response, search }: OperatorExchange,
): Promise<void> {
  const { principal } = await identify(context, readToken(request), { address: addressOf(request) });
  if (principal.kind !== "operator") refuse("forbidden", "Only an operator may do this.");
  if (search !== "") refuse("invalid-frame", "This takes no parameters.");
  const subscribers = subscribersOf(context);
  if (route.kind === "list") return sendJson(response, 200, { subscribers: subscribers.list() });
  const { name } = route;
  if (route.kind === "aside") return sendJson(response, 200, { aside: await subscribers.aside(name) });
  if (request.method !== "POST") return sendJson(response, 200, subscribers.show(name));
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  const body = await readBody(request, context.service.limits);
  if (route.kind === "one")
    return sendJson(response, 200, await subscribers.create(name, body as unknown as SubscriberAsk, principal));
  const { verb } = route;
  if (!isVerb(verb)) refuse("not-found", `An operator may ${subscriberVerbs.join(", ")} a subscriber.`);
  await subscribers.order({ name, verb, principal, ...readOrder(body) });
  sendJson(response, 200, { name, verb });
}

/** @throws `not-found` this door has none behind it */
export function subscribersOf({ subscribers }: GatewayContext): Subscribers {
  if (subscribers === undefined) refuse("not-found", "This service has no subscribers.");
  return subscribers;
}

function isVerb(verb: string): verb is SubscriberVerb {
  return (subscriberVerbs as readonly string[]).includes(verb);
}

function readOrder(body: unknown): { start?: unknown; ids?: readonly number[] } {
  if (body === undefined || body === null) return {};
  if (typeof body !== "object" || Array.isArray(body)) refuse("invalid-input", "The body is an object.");
  const { start, ids, ...others } = body as Record<string, unknown>;
  if (Object.keys(others).length > 0) refuse("invalid-input", "The body takes `start` or `ids` only.");
  const fits = Array.isArray(ids) && ids.length > 0 && ids.every((id) => Number.isSafeInteger(id));
  if (ids !== undefined && !fits) refuse("invalid-input", "`ids` is a list of the ids that `aside` gives.");
  return {
    ...(start === undefined ? {} : { start }),
    ...(ids === undefined ? {} : { ids: ids as readonly number[] }),
  };
}
