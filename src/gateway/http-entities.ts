/**
 * The HTTP routes of entities: commands, queries and views under `/v1/entities/{type}/{key}/`.
 *
 * Invariant: nothing is asked of the service before the caller is known; what the service answers is passed on as it is.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isKey, isMemberName, isTypeName } from "../model/ids.ts";
import type { CallResult, CommandCall, EntityRef, WatchNews } from "../model/records.ts";
import { identify } from "./auth.ts";
import { refuse, sendProblem, sendResult } from "./http-answer.ts";
import {
  addressOf,
  readBody,
  readCondition,
  readConsistency,
  readQueryInput,
  readRequestId,
  readToken,
} from "./http-request.ts";
import type { GatewayContext, Identity } from "./options.ts";
import { type EventStreams, wantsEvents } from "./sse.ts";

export type EntityAction = "commands" | "queries" | "views";

export interface EntityRoute {
  readonly entity: EntityRef;
  readonly action: EntityAction;
  readonly name: string;
}

const prefix = "/v1/entities/";
export const entityMethods: { readonly [Action in EntityAction]: readonly string[] } = {
  commands: ["POST"],
  queries: ["GET", "HEAD", "POST"],
  views: ["GET", "HEAD"],
};

/** Undefined if the path is none of theirs. Names are checked later, when the caller is known. */
export function matchEntityRoute(path: string): EntityRoute | undefined {
  if (!path.startsWith(prefix)) return undefined;
  const parts = path.slice(prefix.length).split("/");
  const [type, key, action, name] = parts;
  if (parts.length !== 4 || type === undefined || key === undefined || name === undefined) return undefined;
  if (action !== "commands" && action !== "queries" && action !== "views") return undefined;
  return { entity: { type, key }, action, name };
}

/** @throws HoldfastError what is wrong with the request */
export async function serveEntity(
  context: GatewayContext,
  streams: EventStreams,
  route: EntityRoute,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly search: string },
): Promise<void> {
  const { request, response, search } = exchange;
  const identity = await identify(context, readToken(request), { address: addressOf(request) });
  checkRoute(route);
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  if (route.action === "commands") {
    if (search !== "") refuse("invalid-frame", "A command takes no parameters; its input is the body.");
    return serveCommand(context, route, identity, request, response);
  }
  if (route.action === "queries") {
    const { rest, ...read } = readConsistency(search);
    const input =
      request.method === "POST"
        ? await readBody(request, context.service.limits)
        : readQueryInput(rest, context.service.limits);
    const call = { entity: route.entity, query: route.name, input, principal: identity.principal, ...read };
    return answerInTime(context, response, (answer) => context.service.query(call, answer));
  }
  if (search !== "") refuse("invalid-frame", "A view takes no parameters.");
  if (request.method === "GET" && wantsEvents(request)) return streams.open(route, identity, request, response);
  return serveView(context, route, identity, response);
}

function checkRoute({ entity, action, name }: EntityRoute): void {
  if (!isTypeName(entity.type)) refuse("unknown-type", "There is no entity type of this name.");
  if (!isKey(entity.key)) refuse("invalid-key", "A key has 1 to 128 of A-Z a-z 0-9 _ -.");
  if (isMemberName(name)) return;
  const code = action === "commands" ? "unknown-command" : action === "queries" ? "unknown-query" : "unknown-view";
  refuse(code, "The entity type has nothing of this name.");
}

async function serveCommand(
  context: GatewayContext,
  route: EntityRoute,
  identity: Identity,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const requestId = readRequestId(context, request);
  const ifVersion = readCondition(request);
  const input = await readBody(request, context.service.limits);
  const { principal } = identity;
  const reservation = context.quota.reserve(principal);
  const call: CommandCall = {
    entity: route.entity,
    command: route.name,
    input,
    requestId,
    principal,
    mayCreate: reservation !== undefined,
    ...(ifVersion === undefined ? undefined : { ifVersion }),
  };
  response.setHeader("Idempotency-Key", requestId);
  answerInTime(context, response, (answer) => {
    context.service.execute(call, (result) => {
      context.quota.settle(reservation, result.ok && result.created === true);
      answer(result);
    });
  });
}

function serveView(context: GatewayContext, route: EntityRoute, identity: Identity, response: ServerResponse): void {
  const { principal } = identity;
  answerInTime(context, response, (answer) => {
    let stop: (() => void) | undefined;
    let done = false;
    stop = context.service.watch({ entity: route.entity, view: route.name, principal }, (news: WatchNews) => {
      if (done) return;
      done = true;
      stop?.();
      answer(news);
    });
    if (done) stop();
  });
}

/** A node that broke answers nobody; its callers are told that they cannot know. */
export function answerInTime(
  context: GatewayContext,
  response: ServerResponse,
  ask: (answer: (result: CallResult) => void) => void,
): void {
  const cancel = context.clock.after(context.service.limits.requestMs, () => {
    sendProblem(response, {
      ok: false,
      code: "outcome-unknown",
      detail: "No answer came in time; ask again with the same Idempotency-Key.",
    });
  });
  ask((result) => {
    cancel();
    sendResult(response, result);
  });
}
