/**
 * One HTTP request: who may ask, what for, by which method, and the answer.
 *
 * Invariant: every request is answered exactly once; the origin is checked before anything else, and a path or method
 * that nobody serves costs nothing.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { asyncApiPath } from "./asyncapi.ts";
import { refuse, sendJson, sendThrown, setCommonHeaders } from "./http-answer.ts";
import { matchCallsRoute, serveCalls } from "./http-calls.ts";
import { matchClusterRoute, serveCluster } from "./http-cluster.ts";
import { entityMethods, matchEntityRoute, serveEntity } from "./http-entities.ts";
import { erasureMethods, matchErasureRoute, serveErasure } from "./http-erasure.ts";
import { type FeedDoor, feedMethods, matchFeedRoute } from "./http-feeds.ts";
import { matchOperatorRoute, operatorMethods, serveOperator } from "./http-operator.ts";
import { matchProjectionRoute, serveProjection } from "./http-projections.ts";
import { matchPullRoute, pullMethods, servePull } from "./http-pull.ts";
import { matchSubscribersRoute, serveSubscribers, subscribersMethods } from "./http-subscribers.ts";
import type { GatewayContext } from "./options.ts";
import type { Origins } from "./origins.ts";
import type { EventStreams } from "./sse.ts";
import type { StaticFiles } from "./static-files.ts";

export interface HttpParts {
  readonly context: GatewayContext;
  readonly origins: Origins;
  readonly streams: EventStreams;
  /** Absent where there are none. */
  readonly feeds: FeedDoor | undefined;
  readonly files: StaticFiles | undefined;
  /** The OpenAPI document. */
  readonly api: unknown;
  /** The AsyncAPI document, where there are feeds. */
  readonly feedsApi: unknown;
}

export const socketPath = "/v1/socket";

const reading = ["GET", "HEAD"];
const preflightHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID";

/** Never rejects. */
export async function serveHttp(parts: HttpParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const origin = checkOrigin(parts, request, response);
    const url = request.url ?? "";
    if (!url.startsWith("/")) refuse("not-found", "The target of a request is a path.");
    const mark = url.indexOf("?");
    const path = mark === -1 ? url : url.slice(0, mark);
    await route(parts, { request, response, path, search: mark === -1 ? "" : url.slice(mark) }, origin);
  } catch (error) {
    sendThrown(parts.context, response, error);
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly search: string;
}

function checkOrigin(parts: HttpParts, request: IncomingMessage, response: ServerResponse): string | undefined {
  setCommonHeaders(parts.context, response, undefined);
  const origin = parts.origins.check(request);
  if (origin !== undefined) setCommonHeaders(parts.context, response, origin);
  return origin;
}

async function route(parts: HttpParts, exchange: Exchange, origin: string | undefined): Promise<void> {
  const { path, request, response } = exchange;
  const entity = matchEntityRoute(path);
  if (entity !== undefined) {
    if (!takes(exchange, entityMethods[entity.action], origin)) return;
    return serveEntity(parts.context, parts.streams, entity, exchange);
  }
  const operator = matchOperatorRoute(path);
  if (operator !== undefined) {
    if (!takes(exchange, operatorMethods[operator.kind], origin)) return;
    return serveOperator(parts.context, operator, exchange);
  }
  const cluster = matchClusterRoute(path);
  if (cluster !== undefined) {
    if (!takes(exchange, operatorMethods[cluster.kind], origin)) return;
    return serveCluster(parts.context, cluster, exchange);
  }
  const calls = matchCallsRoute(path);
  if (calls !== undefined) {
    if (!takes(exchange, operatorMethods[calls.kind], origin)) return;
    return serveCalls(parts.context, calls, exchange);
  }
  const subscribers = matchSubscribersRoute(path);
  if (subscribers !== undefined) {
    if (!takes(exchange, subscribersMethods[subscribers.kind], origin)) return;
    return serveSubscribers(parts.context, subscribers, exchange);
  }
  const pull = matchPullRoute(path);
  if (pull !== undefined) {
    if (!takes(exchange, pullMethods, origin)) return;
    return servePull(parts.context, pull, exchange);
  }
  const erasure = matchErasureRoute(path);
  if (erasure !== undefined) {
    if (!takes(exchange, erasureMethods, origin)) return;
    return serveErasure(parts.context, erasure, exchange);
  }
  const form = parts.feeds === undefined ? undefined : matchFeedRoute(path);
  if (form !== undefined) {
    if (!takes(exchange, feedMethods, origin)) return;
    return parts.feeds?.serve(form, exchange);
  }
  const projection = matchProjectionRoute(path);
  if (projection !== undefined) {
    if (!takes(exchange, reading, origin)) return;
    return serveProjection(parts.context, parts.streams, projection, exchange);
  }
  if (path === "/livez")
    return takes(exchange, reading, origin)
      ? sendJson(response, 200, { phase: parts.context.service.health().phase })
      : undefined;
  if (path === "/readyz") return takes(exchange, reading, origin) ? sendReadiness(parts.context, response) : undefined;
  if (path === "/openapi.json")
    return takes(exchange, reading, origin) ? sendJson(response, 200, parts.api) : undefined;
  if (path === asyncApiPath && parts.feedsApi !== undefined)
    return takes(exchange, reading, origin) ? sendJson(response, 200, parts.feedsApi) : undefined;
  if (path === socketPath) refuse("not-found", "This path is for WebSockets.");
  if (parts.files === undefined || path.startsWith("/v1/")) refuse("not-found", "There is nothing at this path.");
  if (!takes(exchange, reading, origin)) return;
  if (!(await parts.files.serve(path, request, response))) refuse("not-found", "There is nothing at this path.");
}

/** False if the method was OPTIONS, which is answered here. @throws `method-not-allowed` */
function takes({ request, response }: Exchange, methods: readonly string[], origin: string | undefined): boolean {
  const { method } = request;
  if (methods.includes(method ?? "")) return true;
  const allow = [...methods, "OPTIONS"].join(", ");
  response.setHeader("Allow", allow);
  if (method !== "OPTIONS") refuse("method-not-allowed", `This path takes ${allow}.`);
  if (origin !== undefined) {
    response.setHeader("Access-Control-Allow-Methods", allow);
    response.setHeader("Access-Control-Allow-Headers", preflightHeaders);
    response.setHeader("Access-Control-Max-Age", "600");
  }
  response.statusCode = 204;
  response.end();
  return false;
}

/** 200 only while commands are taken, so that a load balancer looks elsewhere before connections are closed. */
function sendReadiness(context: GatewayContext, response: ServerResponse): void {
  const health = context.service.health();
  const phase = context.draining && health.phase === "serving" ? "draining" : health.phase;
  if (phase !== "serving") response.setHeader("Retry-After", "1");
  const { recovered, toRecover, readOnly, etaMs } = health;
  sendJson(response, phase === "serving" ? 200 : 503, { phase, recovered, toRecover, readOnly, etaMs });
}
