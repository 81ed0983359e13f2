/**
 * The HTTP routes of projections, each as one answer or, with `Accept: text/event-stream`, as events: the value now, then what
 * changes.
 *
 *   GET /v1/projections/{name}?limit=10&order=won
 *   GET /v1/projections/{name}/{key}
 *
 * Invariant: the projection's `access` is asked before anything is told. What is read does not depend on who reads, so all who
 * follow the same list share one watch; a stream ends with its token.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isKey } from "../model/ids.ts";
import type { Principal, WatchCall } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { ProjectionAsk, Projections } from "../propagation/projections.ts";
import { identify } from "./auth.ts";
import { refuse, sendJson } from "./http-answer.ts";
import { addressOf, readToken } from "./http-request.ts";
import type { GatewayContext, ShownProjections } from "./options.ts";
import { type EventStreams, wantsEvents } from "./sse.ts";
import { WatchHub } from "./subscriptions.ts";

export const projectionsPath = "/v1/projections";

/** Documents of a list that does not say how many. */
export const listLimit = 100;

export interface ProjectionRoute {
  readonly name: string;
  readonly key: string | undefined;
}

/** Undefined if the path is none of theirs. */
export function matchProjectionRoute(path: string): ProjectionRoute | undefined {
  if (!path.startsWith(`${projectionsPath}/`)) return undefined;
  const [name, key, ...more] = path.slice(projectionsPath.length + 1).split("/");
  return name === undefined || more.length > 0 ? undefined : { name, key };
}

/** @throws HoldfastError what is wrong with the request */
export async function serveProjection(
  context: GatewayContext,
  streams: EventStreams,
  route: ProjectionRoute,
  exchange: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly search: string },
): Promise<void> {
  const { request, response, search } = exchange;
  const identity = await identify(context, readToken(request), { address: addressOf(request) });
  const ask = readAsk(route, search);
  const { projections } = context;
  if (projections === undefined) refuse("forbidden", "There is no such projection, or you may not read it.");
  projections.all.allow(identity.principal, ask);
  if (context.draining) refuse("unavailable", "This node is stopping; ask again.");
  const checked = projections.all.check(ask);
  if (request.method === "GET" && wantsEvents(request)) {
    return streams.follow(projections.hub, callOf(checked), { identity, request, response });
  }
  const answer =
    checked.kind === "list"
      ? projections.all.list(checked.name, checked)
      : projections.all.document(checked.name, checked.key);
  sendJson(response, 200, answer);
}

function readAsk({ name, key }: ProjectionRoute, search: string): ProjectionAsk {
  if (key !== undefined) {
    if (search !== "") refuse("invalid-frame", "A document takes no parameters.");
    if (!isKey(key)) refuse("invalid-key", "A key has 1 to 128 of A-Z a-z 0-9 _ -.");
    return { kind: "document", name, key };
  }
  const parameters = new URLSearchParams(search);
  const names = [...parameters.keys()];
  if (names.some((of) => of !== "limit" && of !== "order") || new Set(names).size !== names.length)
    refuse("invalid-frame", "The parameters are `limit` and `order`, each at most once.");
  const text = parameters.get("limit");
  const limit = text === null ? listLimit : /^\d{1,6}$/.test(text) ? Number(text) : 0;
  const order = parameters.get("order");
  return { kind: "list", name, limit, ...(order === null ? {} : { order }) };
}

/** Of all who watch: the hub shares a watch among those of one principal. */
const everybody: Principal = { kind: "system", id: "projections" };

/** As a hub names what it watches. */
function callOf(ask: ProjectionAsk): WatchCall {
  const { name: type } = ask;
  return ask.kind === "document"
    ? { entity: { type, key: ask.key }, view: "document", principal: everybody }
    : { entity: { type, key: String(ask.limit) }, view: `list ${ask.order ?? ""}`, principal: everybody };
}

function askOf({ entity, view }: WatchCall): ProjectionAsk {
  const { type: name, key } = entity;
  return view === "document"
    ? { kind: "document", name, key }
    : { kind: "list", name, limit: Number(key), order: view.slice("list ".length) };
}

export function showProjections(all: Projections, clock: Clock): ShownProjections {
  const watched = {
    limits: all.limits,
    get run() {
      return all.run;
    },
    watch: (call: WatchCall, listener: Parameters<Projections["watch"]>[1]) => all.watch(askOf(call), listener),
  };
  return { all, hub: new WatchHub(watched, clock) };
}
