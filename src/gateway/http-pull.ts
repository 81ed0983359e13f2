/**
 * The HTTP routes of consumers that pull from a durable subscriber of their own.
 *
 *   POST /v1/subscribers/{name}/fetch   {"member", "items", "waitMs", "after"}  the next items of the member's shards
 *   POST /v1/subscribers/{name}/ack     {"member", "cursor"}                    what was given up to there is taken
 *   POST /v1/subscribers/{name}/join    {"member"}                              the member is there; any other call says so too
 *   POST /v1/subscribers/{name}/leave   {"member"}
 *
 * Invariant: only the subscriber's owner and operators get past the door; who is neither cannot tell whether there is one.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isKey } from "../model/ids.ts";
import type { SubscriberGroup } from "../propagation/subscriber-group.ts";
import { identify } from "./auth.ts";
import { refuse, sendJson } from "./http-answer.ts";
import { addressOf, readBody, readToken } from "./http-request.ts";
import { subscribersOf } from "./http-subscribers.ts";
import type { GatewayContext } from "./options.ts";

export const pullPath = "/v1/subscribers";

export const pullVerbs = ["fetch", "ack", "join", "leave"] as const;
type PullVerb = (typeof pullVerbs)[number];

/** Who shares nothing needs no name. */
const onlyMember = "only";
const itemsUsual = 1_000;

export interface PullRoute {
  readonly name: string;
  readonly verb: string;
}

/** Undefined if the path is none of theirs. */
export function matchPullRoute(path: string): PullRoute | undefined {
  if (!path.startsWith(`${pullPath}/`)) return undefined;
  const [name, verb, ...more] = path.slice(pullPath.length + 1).split("/");
  return name === undefined || verb === undefined || more.length > 0 ? undefined : { name, verb };
}

export const pullMethods = ["POST"];

interface Asked {
  readonly member: string;
  readonly items: number;
  readonly waitMs: number;
  readonly after: string | undefined;
  readonly cursor: string | undefined;
}

/** @throws HoldfastError what is wrong with the request */
export async function servePull(
  context: GatewayContext,
  { name, verb }: PullRoute,
  { request, response, search }: { request: IncomingMessage; response: ServerResponse; search: string },
): Promise<void> {
  const { principal } = await identify(context, readToken(request), { address: addressOf(request) });
  if (search !== "") refuse("invalid-frame", "This takes no parameters; they stand in the body.");
  const { limits } = context.service;
  const asked = readAsked(await readBody(request, limits), limits.drainMs / 2);
  const group = subscribersOf(context).pulled(name, principal);
  if (!isVerb(verb)) refuse("not-found", `A consumer may ${pullVerbs.join(", ")}.`);
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  sendJson(response, 200, await answerOf(group, verb, asked));
}

async function answerOf(group: SubscriberGroup, verb: PullVerb, { member, items, waitMs, after, cursor }: Asked) {
  switch (verb) {
    case "join":
      return await group.join(member);
    case "leave":
      await group.leave(member);
      return {};
    case "fetch":
      return await group.fetch(member, { itemsMax: items, waitMs, ...(after === undefined ? {} : { after }) });
    case "ack":
      if (cursor === undefined) refuse("invalid-input", "`cursor` is the one that came with what is acknowledged.");
      return await group.acknowledge(member, cursor);
    default:
      return verb satisfies never;
  }
}

function isVerb(verb: string): verb is PullVerb {
  return (pullVerbs as readonly string[]).includes(verb);
}

/** @param waitMost a waiting answer must not hold up a node that stops */
function readAsked(body: unknown, waitMost: number): Asked {
  if (typeof body !== "object" || Array.isArray(body)) refuse("invalid-input", "The body is an object.");
  const {
    member = onlyMember,
    items = itemsUsual,
    waitMs = 0,
    after,
    cursor,
    ...others
  } = (body ?? {}) as Record<string, unknown>;
  if (Object.keys(others).length > 0)
    refuse("invalid-input", "The body takes `member`, `items`, `waitMs`, `after` and `cursor` only.");
  if (!isKey(member)) refuse("invalid-input", "A `member` is 1 to 128 of A-Z a-z 0-9 _ -.");
  if (!isWhole(items) || items < 1) refuse("invalid-input", "`items` is a whole number from 1.");
  if (!isWhole(waitMs)) refuse("invalid-input", "`waitMs` is a whole number from 0.");
  if (!isText(after) || !isText(cursor)) refuse("invalid-input", "`after` and `cursor` are cursors that were given.");
  return { member, items, waitMs: Math.min(waitMs, waitMost), after, cursor };
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}
