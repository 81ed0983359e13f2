/** What the OpenAPI document says of feeds. What their events carry is in the AsyncAPI document. */
import type { ErrorCode } from "../model/errors.ts";
import { feedForms } from "../model/feeds.ts";
import { asyncApiPath } from "./asyncapi.ts";
import { pullItems } from "./feed-ask.ts";
import { feedsPath } from "./http-feeds.ts";
import type { DocumentParts } from "./openapi-calls.ts";

type Json = Record<string, unknown>;

/** Beside the common ones. */
export const ofFeeds: readonly ErrorCode[] = ["invalid-input", "invalid-cursor", "cursor-lost", "unknown-view"];

const text = { type: "string" };
const list = { type: "array", items: text };
const seconds = { type: "number", minimum: 0 };

/** Each parameter of a feed: its schema and what it does. */
const parameters: Readonly<Record<string, readonly [Json, string]>> = {
  type: [list, "Entity types. Left out: all, of which each must be allowed"],
  key: [text, "One entity of the one type"],
  prefix: [text, "Keys that begin like this"],
  event: [list, "Names of events"],
  view: [text, "Absolutes and deltas: of this view instead of the whole state"],
  shard: [{ type: "array", items: { type: "integer", minimum: 0 } }, "Shards, for readers that share a feed"],
  from: [text, "`beginning` (the default), `now`, ms since 1970, or a time of RFC 3339"],
  cursor: [text, "Goes on after the batch that this came with"],
  limit: [
    { type: "integer", minimum: 1 },
    `Events in one answer, or batch of a stream, at most. Default ${pullItems}, of a stream 256`,
  ],
  bytes: [{ type: "integer", minimum: 1 }, "Bytes of it, about"],
  wait: [seconds, "Seconds to wait for a first event"],
  linger: [seconds, "Seconds to wait for more after the first"],
  reader: [
    text,
    "Goes on with the feed of the answer before, which named it. Left out, deltas begin with absolutes again",
  ],
};

export function feedPaths({ common, problems }: DocumentParts): Json {
  const events = {
    schema: text,
    example: 'retry: 1000\nid: kgEEkw\n\nid: kgEEkx\nevent: change\ndata: {"specversion":"1.0"}\n\n',
  };
  const paths: Json = {
    [asyncApiPath]: {
      get: {
        operationId: "asyncapi",
        tags: ["feeds"],
        security: [],
        responses: {
          "200": {
            description: "What the feeds carry, as an AsyncAPI 3.0 document",
            content: { "application/json": { schema: { type: "object" } } },
          },
        },
      },
    },
  };
  for (const form of feedForms) {
    paths[`${feedsPath}/${form}`] = {
      get: {
        operationId: `feeds.${form}`,
        tags: ["feeds"],
        parameters: [
          ...Object.entries(parameters)
            .filter(([name]) => name !== (form === "changes" ? "view" : undefined))
            .filter(([name]) => name !== "reader" || form !== "changes")
            .map(([name, [schema, description]]) => ({ name, in: "query", description, schema })),
          {
            name: "Last-Event-ID",
            in: "header",
            description: "With `Accept: text/event-stream`: goes on after this; stands above `from` and `cursor`.",
            schema: text,
          },
        ],
        responses: {
          "200": {
            description: "The next events, in the order of their shards; or a stream of them, one message each.",
            content: {
              "application/json": { schema: { $ref: "#/components/schemas/FeedPage" } },
              "text/event-stream": events,
            },
          },
          ...problems([...common, ...ofFeeds]),
        },
      },
    };
  }
  return paths;
}

export const feedSchemas: Json = {
  FeedPage: {
    type: "object",
    required: ["cursor", "lag", "events"],
    properties: {
      cursor: { type: "string", description: "After all of the events: for the next request" },
      reader: { type: "string", description: "Absolutes and deltas: for the next request, so that deltas follow" },
      lag: {
        type: "object",
        required: ["records", "bytes", "seconds"],
        properties: {
          records: { type: "integer" },
          bytes: { type: "integer", description: "About" },
          seconds: { type: "number" },
        },
      },
      events: {
        type: "array",
        items: { type: "object", description: "A CloudEvent 1.0; see the AsyncAPI document" },
      },
    },
  },
};
