/** What the OpenAPI document says of the routes for durable subscribers. */
import type { ErrorCode } from "../model/errors.ts";
import { feedForms } from "../model/feeds.ts";
import { rejectedPolicies, slowPolicies } from "../model/subscribers.ts";
import { type SubscriberVerb, subscriberVerbs } from "../propagation/subscribers.ts";
import { pullPath, pullVerbs } from "./http-pull.ts";
import { subscribersPath } from "./http-subscribers.ts";
import type { DocumentParts } from "./openapi-calls.ts";

type Json = Record<string, unknown>;

/** Beside the common ones. */
export const ofSubscribers: readonly ErrorCode[] = [
  "not-found",
  "invalid-input",
  "invalid-cursor",
  "cursor-lost",
  "unknown-view",
  "rejected",
  "disk-full",
];

const summaries: { readonly [Verb in SubscriberVerb]: string } = {
  pause: "Lets it rest where it stands.",
  resume: "Lets it go on; also one that is parked.",
  rewind: "Sets it to another start; what it was given before may come again.",
  skip: "Leaves out the batch that it is parked in front of.",
  replay: "Delivers again what its sink refused and that was set aside.",
  drop: "Gives up what was set aside.",
  delete: "Ends it; nothing is kept for it any more.",
};

const bodies: { readonly [Verb in SubscriberVerb]?: Json } = {
  rewind: { type: "object", required: ["start"], properties: { start: { $ref: "#/components/schemas/FeedStart" } } },
  replay: { type: "object", properties: { ids: { type: "array", items: { type: "integer" } } } },
  drop: { type: "object", properties: { ids: { type: "array", items: { type: "integer" } } } },
};

const nameParameter: Json = {
  name: "name",
  in: "path",
  required: true,
  schema: { type: "string", pattern: "^[A-Za-z0-9_-]{1,128}$" },
};

const json = (schema: Json) => ({ content: { "application/json": { schema } } });
const one = { $ref: "#/components/schemas/Subscriber" };

export function subscribersPaths({ common, problems }: DocumentParts): Json {
  const failures = problems([...common, ...ofSubscribers]);
  const tags = ["operator"];
  const list = {
    type: "object",
    required: ["subscribers"],
    properties: { subscribers: { type: "array", items: one } },
  };
  const base = `${subscribersPath}/{name}`;
  const paths: Json = {
    [subscribersPath]: {
      get: {
        operationId: "subscribers.list",
        tags,
        responses: { "200": { description: "Those there are", ...json(list) }, ...failures },
      },
    },
    [base]: {
      parameters: [nameParameter],
      get: {
        operationId: "subscribers.show",
        tags,
        responses: { "200": { description: "How it goes", ...json(one) }, ...failures },
      },
      post: {
        operationId: "subscribers.create",
        tags,
        requestBody: { required: true, ...json({ $ref: "#/components/schemas/SubscriberAsk" }) },
        responses: { "200": { description: "Created, durable", ...json(one) }, ...failures },
      },
    },
    [`${base}/aside`]: {
      parameters: [nameParameter],
      get: {
        operationId: "subscribers.aside",
        tags,
        responses: {
          "200": { description: "Records that its sink refused", ...json({ type: "object" }) },
          ...failures,
        },
      },
    },
  };
  for (const verb of subscriberVerbs) {
    const body = bodies[verb];
    paths[`${base}/${verb}`] = {
      parameters: [nameParameter],
      post: {
        operationId: `subscribers.${verb}`,
        tags,
        summary: summaries[verb],
        ...(body === undefined ? {} : { requestBody: { required: verb === "rewind", ...json(body) } }),
        responses: { "200": { description: "Recorded, durable", ...json({ type: "object" }) }, ...failures },
      },
    };
  }
  return { ...paths, ...pullPaths(failures) };
}

const pulls: { readonly [Verb in (typeof pullVerbs)[number]]: { summary: string; members: Json; answer: Json } } = {
  fetch: {
    summary: "The next items of the member's shards.",
    members: {
      items: { type: "integer", minimum: 1 },
      waitMs: { type: "integer", minimum: 0, description: "How long to wait for a first item" },
      after: { type: "string", description: "Go on behind this batch; left out: behind what is acknowledged" },
    },
    answer: {
      items: { type: "array", items: { type: "object" } },
      cursor: { type: "string", description: "Acknowledges the batch" },
      generation: { type: "integer" },
      shards: { type: "array", items: { type: "integer" } },
      lag: { type: "object" },
    },
  },
  ack: {
    summary: "What was given up to this cursor is taken.",
    members: { cursor: { type: "string" } },
    answer: { moved: { type: "array", items: { type: "integer" }, description: "Shards that another member has now" } },
  },
  join: {
    summary: "The member is there for another lease.",
    members: {},
    answer: {
      generation: { type: "integer" },
      shards: { type: "array", items: { type: "integer" } },
      leaseMs: { type: "integer" },
    },
  },
  leave: { summary: "Gives the member's shards to the others.", members: {}, answer: {} },
};

/** For the owners of subscribers without a sink. */
function pullPaths(failures: Json): Json {
  const paths: Json = {};
  for (const verb of pullVerbs) {
    const { summary, members, answer } = pulls[verb];
    const member = { type: "string", description: "Of a group that shares the shards; left out: alone" };
    const schema = {
      type: "object",
      additionalProperties: false,
      properties: { member, ...members },
      ...(verb === "ack" ? { required: ["cursor"] } : {}),
    };
    paths[`${pullPath}/{name}/${verb}`] = {
      parameters: [nameParameter],
      post: {
        operationId: `pull.${verb}`,
        tags: ["subscribers"],
        summary,
        requestBody: { required: verb === "ack", ...json(schema) },
        responses: { "200": { description: "Done", ...json({ type: "object", properties: answer }) }, ...failures },
      },
    };
  }
  return paths;
}

const count = { type: "integer", minimum: 0 };
const filter = {
  type: "object",
  additionalProperties: false,
  properties: {
    types: { type: "array", items: { type: "string" } },
    key: { type: "string" },
    keyPrefix: { type: "string" },
    events: { type: "array", items: { type: "string" } },
    shards: { type: "array", items: count },
  },
};
const owner = { type: "object", properties: { kind: { type: "string" }, id: { type: "string" } } };

const asked: Json = {
  form: { enum: feedForms },
  filter,
  view: { type: "string" },
  start: { $ref: "#/components/schemas/FeedStart" },
  sink: { type: "string", description: "One of the service's sinks; left out it is pulled by its owner" },
  owner,
  slow: { enum: slowPolicies },
  rejected: { enum: rejectedPolicies },
  lagRecords: count,
  lagMs: count,
  batchItems: count,
  batchBytes: count,
  batchLingerMs: count,
  tries: count,
};

export const subscriberSchemas: Json = {
  FeedStart: {
    description: "beginning, now, a cursor, a time in ms since 1970, or an offset per shard",
    oneOf: [
      { enum: ["beginning", "now"] },
      { type: "object", required: ["cursor"], properties: { cursor: { type: "string" } } },
      { type: "object", required: ["timeMs"], properties: { timeMs: count } },
      { type: "object", required: ["offsets"], properties: { offsets: { type: "object" } } },
    ],
  },
  SubscriberAsk: { type: "object", additionalProperties: false, required: ["form"], properties: asked },
  Subscriber: {
    type: "object",
    required: ["name", "state", "config", "lag", "held", "epoch", "items", "aside"],
    properties: {
      name: { type: "string" },
      state: { enum: ["running", "lagging", "paused", "parked", "failed"] },
      config: { type: "object" },
      trouble: { type: ["object", "null"], description: "Why it does not run: code, detail, since when, which batch" },
      lag: {
        type: "object",
        properties: { records: count, bytes: count, seconds: { type: "number" } },
      },
      held: { type: "boolean", description: "What it has not read is kept for it" },
      cursor: { type: ["string", "null"] },
      epoch: count,
      node: { type: "string" },
      items: count,
      batches: count,
      aside: count,
      lastError: { type: ["string", "null"] },
      createdMs: count,
    },
  },
};
