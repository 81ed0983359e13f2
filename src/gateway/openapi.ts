/**
 * The OpenAPI 3.1 document of a service, generated from its definitions.
 *
 * Invariant: every command, query and view has an operation, with each error it can answer. Input schemas are those of
 * the definitions where their library can say them as JSON Schema (the `jsonSchema` of Standard JSON Schema); where it
 * cannot, any JSON is described, never a guess.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { EntityDefinition } from "../model/entity.ts";
import { catalogue, type ErrorCode } from "../model/errors.ts";
import { isOwnType } from "../model/ids.ts";
import { type OperatorVerb, operatorVerbs } from "../model/marks.ts";
import type { ProjectionDefinition } from "../model/projection.ts";
import { problemType } from "./http-answer.ts";
import { erasurePath } from "./http-erasure.ts";
import { operatorPath, statusPath } from "./http-operator.ts";
import { jsonSchemaOf } from "./json-schema.ts";
import { callsPaths, callsSchema, ofCallVerbs } from "./openapi-calls.ts";
import { clusterPaths } from "./openapi-cluster.ts";
import { feedPaths, feedSchemas, ofFeeds } from "./openapi-feeds.ts";
import { healthPaths } from "./openapi-health.ts";
import { ofProjections, projectionPaths } from "./openapi-projections.ts";
import { ofSubscribers, subscriberSchemas, subscribersPaths } from "./openapi-subscribers.ts";

type Json = Record<string, unknown>;

const common: readonly ErrorCode[] = [
  "invalid-frame",
  "invalid-key",
  "unauthenticated",
  "forbidden",
  "origin-refused",
  "unknown-type",
  "request-timeout",
  "overloaded",
  "unavailable",
  "fenced",
  "outcome-unknown",
  "internal",
];
const ofCommands: readonly ErrorCode[] = [
  "invalid-input",
  "invalid-request-id",
  "too-large",
  "unsupported-media-type",
  "unknown-command",
  "rejected",
  "version-mismatch",
  "request-expired",
  "decide-failed",
  "quarantined",
  "disk-full",
];
const ofQueries: readonly ErrorCode[] = [
  "invalid-input",
  "too-large",
  "unsupported-media-type",
  "unknown-query",
  "decide-failed",
  "quarantined",
];
const ofViews: readonly ErrorCode[] = ["too-large", "unknown-view", "quarantined", "decide-failed"];
const ofOperators: readonly ErrorCode[] = [
  "invalid-input",
  "too-large",
  "unsupported-media-type",
  "rejected",
  "version-mismatch",
  "disk-full",
];

export interface ApiTitle {
  readonly title: string;
  readonly version: string;
  /** Whether the service has feeds. */
  readonly feeds?: boolean;
  /** Whether it is one of several nodes. */
  readonly cluster?: boolean;
  readonly projections?: readonly ProjectionDefinition[];
}

/** The document. Same definitions, same document. */
export function describeApi(definitions: ReadonlyMap<string, EntityDefinition>, about: ApiTitle): Json {
  const { title, version, feeds = false, cluster = false, projections = [] } = about;
  const parts = { keyParameter, common, problems, success };
  const paths: Json = {
    ...healthPaths(),
    ...operatorPaths(),
    ...callsPaths(parts),
    ...subscribersPaths(parts),
    ...(feeds ? feedPaths(parts) : {}),
    ...(cluster ? clusterPaths(parts) : {}),
  };
  for (const projection of projections) Object.assign(paths, projectionPaths(projection, parts));
  for (const definition of [...definitions.values()].filter(({ name }) => !isOwnType(name))) {
    const base = `/v1/entities/${definition.name}/{key}`;
    for (const [name, command] of definition.commands)
      paths[`${base}/commands/${name}`] = commandPath(definition, name, command);
    for (const [name, { input }] of definition.queries)
      paths[`${base}/queries/${name}`] = queryPath(definition, name, input);
    for (const name of definition.views.keys()) paths[`${base}/views/${name}`] = viewPath(definition, name);
  }
  return {
    openapi: "3.1.0",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: { title, version },
    paths,
    security: [{ bearer: [] }],
    components: {
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description: "What the authentication hook takes; a JWT by default.",
        },
      },
      schemas: schemas(),
      responses: problemResponses(),
    },
  };
}

type Command = EntityDefinition["commands"] extends ReadonlyMap<string, infer One> ? One : never;

function commandPath(definition: EntityDefinition, name: string, { input, durability }: Command): Json {
  const done =
    typeof durability === "object"
      ? `Carried out. With \`durable: false\` it is not on disk yet, but within ${durability.relaxed.windowMs} ms.`
      : "Carried out, durable.";
  return {
    parameters: [keyParameter],
    post: {
      operationId: `${definition.name}.commands.${name}`,
      tags: [definition.name],
      parameters: [
        {
          name: "Idempotency-Key",
          in: "header",
          description: "Request id, a UUIDv7; the same on every retry. Made by the server if absent.",
          schema: { type: "string", format: "uuid" },
        },
        {
          name: "If-Match",
          in: "header",
          description: 'Only at this version, such as "7".',
          schema: { type: "string" },
        },
        {
          name: "If-None-Match",
          in: "header",
          description: "`*`: only if the entity does not exist yet.",
          schema: { type: "string", const: "*" },
        },
      ],
      ...(input === undefined ? undefined : { requestBody: body(input) }),
      responses: { "200": success(done), ...problems([...common, ...ofCommands]) },
    },
  };
}

function queryPath(definition: EntityDefinition, name: string, input: StandardSchemaV1 | undefined): Json {
  const id = `${definition.name}.queries.${name}`;
  const responses = { "200": success("The answer, from durable state."), ...problems([...common, ...ofQueries]) };
  const shared = [keyParameter, ...readParameters];
  if (input === undefined) return { parameters: shared, get: { operationId: id, tags: [definition.name], responses } };
  const parameter = {
    name: "input",
    in: "query",
    required: true,
    content: { "application/json": { schema: jsonSchemaOf(input, "input", "draft-2020-12") } },
  };
  return {
    parameters: shared,
    get: { operationId: id, tags: [definition.name], parameters: [parameter], responses },
    post: { operationId: `${id}.post`, tags: [definition.name], requestBody: body(input), responses },
  };
}

function viewPath(definition: EntityDefinition, name: string): Json {
  const events = {
    schema: { type: "string" },
    example: 'retry: 1000\n\nid: run:7\nevent: absolute\ndata: {"version":7,"value":{}}\n\n',
  };
  return {
    parameters: [keyParameter],
    get: {
      operationId: `${definition.name}.views.${name}`,
      tags: [definition.name],
      parameters: [
        {
          name: "Last-Event-ID",
          in: "header",
          description: "With `Accept: text/event-stream`: where the reader was.",
          schema: { type: "string" },
        },
      ],
      responses: {
        "200": {
          description: "The view now; as events: the view now, then each change as RFC 6902 operations.",
          headers: { ETag: etag },
          content: { "application/json": { schema: ref("Result") }, "text/event-stream": events },
        },
        ...problems([...common, ...ofViews]),
      },
    },
  };
}

const summaries: { readonly [Verb in OperatorVerb]: string } = {
  inspect: "The state at its last good version, the command that broke it with its input, and the error.",
  skip: "Leaves out the command or the record that broke it.",
  repair: "Replaces its state.",
  resume: "Takes it back into service.",
};

/** For operators only; each verb is a record of the log. */
function operatorPaths(): Json {
  const paths: Json = {
    [statusPath]: {
      get: {
        operationId: "status",
        tags: ["operator"],
        description: "How the node is, in figures",
        responses: {
          "200": { description: "Figures", content: { "application/json": { schema: { type: "object" } } } },
          ...problems(common),
        },
      },
    },
    [operatorPath]: {
      get: {
        operationId: "quarantine.list",
        tags: ["operator"],
        responses: {
          "200": {
            description: "The parked entities",
            content: { "application/json": { schema: ref("Quarantine") } },
          },
          ...problems(common),
        },
      },
    },
  };
  paths[`${erasurePath}/{type}/{key}`] = {
    parameters: [{ name: "type", in: "path", required: true, schema: { type: "string" } }, keyParameter],
    post: {
      operationId: "erase",
      tags: ["operator"],
      summary: "Destroys the key of a subject's personal data.",
      responses: { "200": success("Destroyed, and recorded."), ...problems([...common, ...ofOperators]) },
    },
  };
  for (const verb of operatorVerbs) {
    const properties = {
      ifParkedAt: { type: "integer", description: "Only if `parkedAt` is this" },
      ...(verb === "repair" ? { state: { type: "object" } } : undefined),
    };
    const repairs = verb === "repair";
    const schema = {
      type: "object",
      additionalProperties: false,
      properties,
      ...(repairs ? { required: ["state"] } : {}),
    };
    paths[`${operatorPath}/{type}/{key}/${verb}`] = {
      parameters: [{ name: "type", in: "path", required: true, schema: { type: "string" } }, keyParameter],
      post: {
        operationId: `quarantine.${verb}`,
        tags: ["operator"],
        summary: summaries[verb],
        requestBody: { required: repairs, content: { "application/json": { schema } } },
        responses: { "200": success("Recorded, durable."), ...problems([...common, ...ofOperators]) },
      },
    };
  }
  return paths;
}

const etag = { description: "The entity's version, in quotes", schema: { type: "string" } };
const readParameters = [
  {
    name: "consistency",
    in: "query",
    description: "`local`: the node that is asked may answer from its copy",
    schema: { enum: ["consistent", "local"], default: "consistent" },
  },
  {
    name: "lagMs",
    in: "query",
    description: "Of `local`: how old the answer may be, ms",
    schema: { type: "integer", minimum: 0, default: 1_000 },
  },
];
const keyParameter = {
  name: "key",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^[A-Za-z0-9_-]{1,128}$" },
};

function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function success(description: string): Json {
  return { description, headers: { ETag: etag }, content: { "application/json": { schema: ref("Result") } } };
}

function body(input: StandardSchemaV1): Json {
  return { required: true, content: { "application/json": { schema: jsonSchemaOf(input, "input", "draft-2020-12") } } };
}

/** One response per status; a status that several errors share lists them. */
function problems(codes: readonly ErrorCode[]): Json {
  const responses: Json = {};
  for (const code of codes)
    responses[String(catalogue[code].status)] = { $ref: `#/components/responses/problem-${catalogue[code].status}` };
  return responses;
}

function problemResponses(): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  const verbs = [...ofOperators, ...ofCallVerbs, ...ofProjections, ...ofSubscribers, ...ofFeeds];
  for (const code of [...common, ...ofCommands, ...ofQueries, ...ofViews, ...verbs]) {
    const list = byStatus.get(catalogue[code].status) ?? [];
    if (!list.includes(code)) list.push(code);
    byStatus.set(catalogue[code].status, list);
  }
  const responses: Json = {};
  for (const [status, codes] of byStatus) {
    responses[`problem-${status}`] = {
      description: codes.map((code) => `\`${code}\`: ${catalogue[code].title}`).join(". "),
      ...(status === 503
        ? { headers: { "Retry-After": { description: "Seconds", schema: { type: "integer" } } } }
        : undefined),
      content: { [problemType]: { schema: { allOf: [ref("Problem"), { properties: { code: { enum: codes } } }] } } },
    };
  }
  return responses;
}

function schemas(): Json {
  const version = { type: "integer", minimum: 0, description: "Offset of the record that this rests on" };
  const durable = { const: false, description: "Answered before it was on disk, as its durability `relaxed` allows" };
  return {
    Result: { type: "object", required: ["value", "version"], properties: { value: {}, version, durable } },
    Problem: {
      type: "object",
      required: ["type", "title", "status", "code", "detail", "retryable"],
      properties: {
        type: { type: "string", format: "uri" },
        title: { type: "string" },
        status: { type: "integer" },
        code: { type: "string" },
        detail: { type: "string" },
        retryable: { type: "boolean", description: "Whether asking again, with the same Idempotency-Key, may succeed" },
        reason: { type: "string", description: "The application's word, with code `rejected`" },
        details: {},
        version,
        durable,
      },
    },
    ...{ Calls: callsSchema, ...subscriberSchemas, ...feedSchemas },
    Quarantine: {
      type: "object",
      required: ["parked"],
      properties: {
        parked: {
          type: "array",
          items: {
            type: "object",
            required: ["entity", "parkedAt", "sinceMs", "why", "readable", "version"],
            properties: {
              entity: { type: "object", properties: { type: { type: "string" }, key: { type: "string" } } },
              parkedAt: { type: "integer" },
              sinceMs: { type: "integer" },
              why: { enum: ["evolve", "replay", "throws", "too-large"] },
              readable: { type: "boolean" },
              version,
            },
          },
        },
      },
    },
    Health: {
      type: "object",
      required: ["phase"],
      properties: {
        phase: { enum: ["starting", "recovering", "serving", "draining", "stopped"] },
        recovered: { type: "integer" },
        toRecover: { type: "integer" },
        etaMs: { type: "integer", description: "How long the recovery will take still, if that can be told" },
        readOnly: { type: "boolean" },
      },
    },
  };
}
