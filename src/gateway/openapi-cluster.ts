/** What the OpenAPI document says of the routes for the cluster. */
import type { ErrorCode } from "../model/errors.ts";
import { type ClusterVerb, clusterPath, clusterVerbs } from "./http-cluster.ts";
import type { DocumentParts } from "./openapi-calls.ts";

type Json = Record<string, unknown>;

/** Beside the common ones. */
const ofCluster: readonly ErrorCode[] = ["invalid-input", "not-found"];

const summaries: { readonly [Verb in ClusterVerb]: string } = {
  move: "Moves shards to a node, live. Answered when it is decided.",
  pin: "Wants shards on a node while that is a member; `null` takes the pins back.",
  drain: "Has a node give its shards away and take none, until `on` is false.",
};

const shards = { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } };
const bodies: { readonly [Verb in ClusterVerb]: Json } = {
  move: { shards, to: { type: "string" } },
  pin: { shards, to: { type: ["string", "null"] } },
  drain: { node: { type: "string" }, on: { type: "boolean" } },
};

const json = (schema: Json) => ({ content: { "application/json": { schema } } });

/** Of a service that is one of several nodes. */
export function clusterPaths({ common, problems }: Pick<DocumentParts, "common" | "problems">): Json {
  const failures = problems([...common, ...ofCluster]);
  const paths: Json = {
    [clusterPath]: {
      get: {
        operationId: "cluster.show",
        tags: ["operator"],
        description: "Nodes, shards, standbys, moves and pins, as this node knows them",
        responses: { "200": { description: "The cluster", ...json({ type: "object" }) }, ...failures },
      },
    },
  };
  for (const verb of clusterVerbs) {
    const properties = bodies[verb];
    const schema = { type: "object", additionalProperties: false, required: Object.keys(properties), properties };
    paths[`${clusterPath}/${verb}`] = {
      post: {
        operationId: `cluster.${verb}`,
        tags: ["operator"],
        summary: summaries[verb],
        requestBody: { required: true, ...json(schema) },
        responses: { "200": { description: "It stands in coordination.", ...json({ type: "object" }) }, ...failures },
      },
    };
  }
  return paths;
}
