/** What the OpenAPI document says of the routes for outside calls. */
import type { ErrorCode } from "../model/errors.ts";
import { callsListedMax, callsPath, callVerbs } from "./http-calls.ts";

type Json = Record<string, unknown>;

/** Pieces of the document that this part is made with. */
export interface DocumentParts {
  readonly keyParameter: Json;
  readonly common: readonly ErrorCode[];
  readonly problems: (codes: readonly ErrorCode[]) => Json;
  readonly success: (description: string) => Json;
}

/** Beside the common ones. */
export const ofCallVerbs: readonly ErrorCode[] = ["invalid-input", "not-found", "quarantined", "disk-full"];

const summaries: { readonly [Verb in (typeof callVerbs)[number]]: string } = {
  retry: "Has a parked call tried again, with as many attempts as it had.",
  drop: "Gives a call up, parked or not: the entity gets `dropped` as its outcome.",
};

export function callsPaths({ keyParameter, common, problems, success }: DocumentParts): Json {
  const query = (name: string, description: string, schema: Json) => ({ name, in: "query", description, schema });
  const paths: Json = {
    [callsPath]: {
      get: {
        operationId: "calls.list",
        tags: ["operator"],
        parameters: [
          query("parked", "Only those that wait for an operator", { type: "boolean" }),
          query("type", "Only of this entity type", { type: "string" }),
          query("limit", "At most so many, the oldest first", { type: "integer", minimum: 1, maximum: callsListedMax }),
        ],
        responses: {
          "200": {
            description: "Outside calls that are not settled",
            content: { "application/json": { schema: { $ref: "#/components/schemas/Calls" } } },
          },
          ...problems(common),
        },
      },
    },
  };
  const parameters = [
    { name: "type", in: "path", required: true, schema: { type: "string" } },
    keyParameter,
    { name: "call", in: "path", required: true, schema: { type: "string", pattern: "^[0-9]+\\.[0-9]+$" } },
  ];
  for (const verb of callVerbs) {
    paths[`${callsPath}/{type}/{key}/{call}/${verb}`] = {
      parameters,
      post: {
        operationId: `calls.${verb}`,
        tags: ["operator"],
        summary: summaries[verb],
        responses: { "200": success("Recorded, durable."), ...problems([...common, ...ofCallVerbs]) },
      },
    };
  }
  return paths;
}

export const callsSchema: Json = {
  type: "object",
  required: ["calls", "more"],
  properties: {
    more: { type: "boolean", description: "There are more than were asked for" },
    calls: {
      type: "array",
      items: {
        type: "object",
        required: ["entity", "call", "name", "input", "phase", "madeMs", "failed", "dueMs", "lastError", "key"],
        properties: {
          entity: { type: "object", properties: { type: { type: "string" }, key: { type: "string" } } },
          call: { type: "string", description: "Names it among its entity's: offset of its record, place in it" },
          name: { type: "string" },
          input: {},
          phase: { enum: ["underway", "waiting", "parked"] },
          madeMs: { type: "integer" },
          failed: { type: "integer", description: "Attempts that failed" },
          dueMs: { type: ["integer", "null"], description: "When the next attempt is due, while it waits" },
          lastError: { type: ["string", "null"] },
          key: { type: "string", description: "What its handler is given as `key`" },
        },
      },
    },
  },
};
