/** What the OpenAPI document says of the routes of projections. */
import type { ErrorCode } from "../model/errors.ts";
import { limitsDefault } from "../model/limits.ts";
import type { ProjectionDefinition } from "../model/projection.ts";
import { listLimit, projectionsPath } from "./http-projections.ts";
import type { DocumentParts } from "./openapi-calls.ts";

type Json = Record<string, unknown>;

/** Beside the common ones. */
export const ofProjections: readonly ErrorCode[] = ["invalid-input", "not-found", "projection-failed", "keys-damaged"];

const head: Json = {
  projection: { type: "string" },
  version: { type: "string", description: "Of the code that folded the answer" },
  phase: { enum: ["loading", "building", "serving", "failed", "stopped"] },
  lagSeconds: {
    type: ["number", "null"],
    description: "How old the answer may be; null while another version's documents are served",
  },
};
const events: Json = {
  schema: { type: "string" },
  example: 'retry: 1000\n\nid: run:7\nevent: absolute\ndata: {"version":7,"value":{"documents":[],"more":false}}\n\n',
};
const lastEventId: Json = {
  name: "Last-Event-ID",
  in: "header",
  description: "With `Accept: text/event-stream`: where the reader was.",
  schema: { type: "string" },
};

export function projectionPaths({ name, orderBy }: ProjectionDefinition, parts: DocumentParts): Json {
  const { keyParameter, common, problems } = parts;
  const base = `${projectionsPath}/${name}`;
  const answer = (description: string, properties: Json) => ({
    description,
    content: {
      "application/json": { schema: { type: "object", required: Object.keys(properties), properties } },
      "text/event-stream": events,
    },
  });
  const row = { type: "object", required: ["key", "value"], properties: { key: { type: "string" }, value: {} } };
  const list = {
    ...head,
    order: { type: "string" },
    documents: { type: "array", items: row },
    more: { type: "boolean" },
  };
  const { projectionListMax: maximum } = limitsDefault;
  const orders = orderBy.size === 0 ? [] : [{ name: "order", in: "query", schema: { enum: [...orderBy.keys()] } }];
  const limit = { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum, default: listLimit } };
  const refusals = problems([...common, ...ofProjections]);
  return {
    [base]: {
      get: {
        operationId: `projections.${name}.list`,
        tags: ["projections"],
        parameters: [limit, ...orders, lastEventId],
        responses: { "200": answer("The first documents of an order, the highest first.", list), ...refusals },
      },
    },
    [`${base}/{key}`]: {
      parameters: [keyParameter],
      get: {
        operationId: `projections.${name}.document`,
        tags: ["projections"],
        parameters: [lastEventId],
        responses: {
          "200": answer("One document; `value` is null if there is none.", {
            ...head,
            key: { type: "string" },
            value: {},
          }),
          ...refusals,
        },
      },
    },
  };
}
