/**
 * The HTTP routes of operators for the cluster that a node belongs to. The door and the admin port have the same.
 *
 *   GET  /v1/operator/cluster
 *   POST /v1/operator/cluster/move    {"shards": [3, 5], "to": "n2"}
 *   POST /v1/operator/cluster/pin     {"shards": [3], "to": "n2"}   `null` takes the pins back
 *   POST /v1/operator/cluster/drain   {"node": "n2", "on": true}
 *
 * Invariants: only a principal of kind `operator` gets past the door; a verb that was answered with 200 stands in coordination.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ShardId } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { ClusterVerbs } from "../runtime/cluster/verbs.ts";
import { identify } from "./auth.ts";
import { refuse, sendJson } from "./http-answer.ts";
import type { OperatorExchange } from "./http-operator.ts";
import { addressOf, readBody, readToken } from "./http-request.ts";
import type { GatewayContext } from "./options.ts";

export const clusterPath = "/v1/operator/cluster";

export const clusterVerbs = ["move", "pin", "drain"] as const;
export type ClusterVerb = (typeof clusterVerbs)[number];

export type ClusterRoute = { readonly kind: "list" } | { readonly kind: "verb"; readonly verb: string };

/** Undefined if the path is none of theirs. */
export function matchClusterRoute(path: string): ClusterRoute | undefined {
  if (path === clusterPath) return { kind: "list" };
  if (!path.startsWith(`${clusterPath}/`)) return undefined;
  return { kind: "verb", verb: path.slice(clusterPath.length + 1) };
}

/** At the door. @throws HoldfastError what is wrong with the request */
export async function serveCluster(
  context: GatewayContext,
  route: ClusterRoute,
  { request, response, search }: OperatorExchange,
): Promise<void> {
  const { principal } = await identify(context, readToken(request), { address: addressOf(request) });
  if (principal.kind !== "operator") refuse("forbidden", "Only an operator may do this.");
  if (search !== "") refuse("invalid-frame", "This takes no parameters.");
  const { cluster, limits } = context.service;
  await answerCluster({ cluster, limits, route, request, response });
}

export interface ClusterAsked {
  /** Undefined where there is no cluster. */
  readonly cluster: ClusterVerbs | undefined;
  readonly limits: Limits;
  readonly route: ClusterRoute;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Who asks is known to be an operator. @throws HoldfastError what is wrong with the request */
export async function answerCluster({ cluster, limits, route, request, response }: ClusterAsked): Promise<void> {
  if (cluster === undefined) refuse("not-found", "This node is no member of a cluster.");
  if (route.kind === "list") return sendJson(response, 200, await cluster.view());
  const { verb } = route;
  if (!(clusterVerbs as readonly string[]).includes(verb))
    refuse("not-found", `An operator may ${clusterVerbs.join(", ")}.`);
  const body = await readBody(request, limits);
  if (typeof body !== "object" || body === null || Array.isArray(body))
    refuse("invalid-input", "The body is an object.");
  await carryOut(cluster, verb as ClusterVerb, body as Fields);
  sendJson(response, 200, { done: true });
}

type Fields = Readonly<Record<string, unknown>>;

async function carryOut(cluster: ClusterVerbs, verb: ClusterVerb, body: Fields): Promise<void> {
  if (verb === "drain") {
    checkNames(body, ["node", "on"]);
    const { node, on } = body;
    if (typeof on !== "boolean") refuse("invalid-input", "`on` is true or false.");
    return await cluster.drain(nameOf(node, "node"), on);
  }
  checkNames(body, ["shards", "to"]);
  const shards = shardsOf(body["shards"]);
  const { to } = body;
  if (verb === "move") return await cluster.move(shards, nameOf(to, "to"));
  await cluster.pin(shards, to === null ? undefined : nameOf(to, "to"));
}

function checkNames(body: Fields, names: readonly string[]): void {
  const [first, second] = names;
  if (Object.keys(body).length !== 2 || names.some((name) => !(name in body)))
    refuse("invalid-input", `The body has \`${first}\` and \`${second}\`, and nothing else.`);
}

function nameOf(value: unknown, field: string): string {
  if (typeof value === "string" && value !== "") return value;
  return refuse("invalid-input", `\`${field}\` is the name of a node.`);
}

function shardsOf(value: unknown): readonly ShardId[] {
  const isList =
    Array.isArray(value) && value.length > 0 && value.every((one) => Number.isSafeInteger(one) && one >= 0);
  if (!isList) refuse("invalid-input", "`shards` is a list of shards' numbers, at least one.");
  return [...new Set(value as number[])];
}
