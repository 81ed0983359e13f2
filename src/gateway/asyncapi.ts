/**
 * The AsyncAPI 3.0 document of a service's feeds, generated from its definitions: a channel per entity type and form, and the
 * CloudEvents that come on it.
 *
 * Invariant: every event, state and view that a feed can carry has its message. Schemas of what they carry are those that the definitions
 * publish, where their library can say them as JSON Schema; where there is none, any JSON is described, never a guess.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { EntityDefinition } from "../model/entity.ts";
import { type FeedForm, feedForms } from "../model/feeds.ts";
import { isOwnType } from "../model/ids.ts";
import { cloudEventMediaType } from "../wire/cloud-events.ts";
import { jsonSchemaOf } from "./json-schema.ts";

type Json = Record<string, unknown>;

export const asyncApiPath = "/asyncapi.json";

export interface FeedsTitle {
  readonly title: string;
  readonly version: string;
  /** Name of the service: begins the type and the source of its events. */
  readonly service: string;
}

interface Message {
  readonly name: string;
  readonly body: Json;
}

/** The document. Same definitions, same document. */
export function describeFeeds(definitions: ReadonlyMap<string, EntityDefinition>, about: FeedsTitle): Json {
  const channels: Json = {};
  const operations: Json = {};
  const messages: Json = {};
  for (const definition of definitions.values()) {
    if (isOwnType(definition.name)) continue;
    for (const form of feedForms) {
      const name = `${definition.name}.${form}`;
      const made = messagesOf(definition, form, about.service);
      for (const message of made) messages[message.name] = message.body;
      channels[name] = channelOf(definition.name, form, made);
      operations[`${name}.follow`] = operationOf(definition.name, form, name);
    }
  }
  return {
    asyncapi: "3.0.0",
    info: { title: about.title, version: about.version, description },
    defaultContentType: cloudEventMediaType,
    channels,
    operations,
    components: { messages, schemas: { CloudEvent: cloudEvent } },
  };
}

const description =
  "What happens in the service, as CloudEvents 1.0. Pull them page by page with a cursor, or follow them as server-sent events " +
  "with `Accept: text/event-stream`. Events of one shard come in order; `source` and `id` name each for ever.";

function channelOf(type: string, form: FeedForm, messages: readonly Message[]): Json {
  return {
    address: `/v1/feeds/${form}`,
    title: `${form} of ${type}`,
    messages: Object.fromEntries(messages.map(({ name }) => [name, { $ref: `#/components/messages/${name}` }])),
  };
}

function operationOf(type: string, form: FeedForm, channel: string): Json {
  const query = { type: "object", required: ["type"], properties: { type: { type: "string", const: type } } };
  return {
    action: "send",
    channel: { $ref: `#/channels/${channel}` },
    summary: `GET /v1/feeds/${form}?type=${type}`,
    bindings: { http: { method: "GET", query, bindingVersion: "0.3.0" } },
  };
}

function messagesOf(definition: EntityDefinition, form: FeedForm, service: string): Message[] {
  const { name: type, published } = definition;
  if (form === "changes") {
    const made = [...definition.events].map(([event, { version }]) =>
      messageOf(
        service,
        type,
        event,
        `The event \`${event}\`, at version ${version} now.`,
        said(published?.events.get(event)),
      ),
    );
    made.push(messageOf(service, type, "@state-set", "An operator set the state.", said(published?.state)));
    made.push(messageOf(service, type, "@erased", "Personal data of this entity were erased.", { type: "null" }));
    return made;
  }
  const values = [
    said(published?.state),
    ...[...definition.views.keys()].map((view) => said(published?.views.get(view))),
  ];
  const value = values.some((schema) => Object.keys(schema).length === 0) ? {} : { anyOf: values };
  const absolute = messageOf(service, type, "absolute", "The state, or the view that was asked for.", value);
  if (form === "absolutes") return [absolute];
  return [absolute, messageOf(service, type, "delta", "What changed since `fromsequence`: RFC 6902.", jsonPatch)];
}

function messageOf(service: string, type: string, what: string, summary: string, data: Json): Message {
  const name = `${type}.${what.replace("@", "")}`;
  const properties = { type: { type: "string", const: `${service}.${type}.${what}` }, data };
  return {
    name,
    body: {
      name,
      summary,
      contentType: cloudEventMediaType,
      payload: { allOf: [{ $ref: "#/components/schemas/CloudEvent" }, { type: "object", properties }] },
    },
  };
}

/** AsyncAPI's own schemas are those of draft-07. */
function said(schema: StandardSchemaV1 | undefined): Json {
  return schema === undefined ? {} : jsonSchemaOf(schema, "output", "draft-07");
}

const jsonPatch: Json = {
  type: "array",
  items: {
    type: "object",
    required: ["op", "path"],
    properties: { op: { enum: ["add", "remove", "replace"] }, path: { type: "string" }, value: {} },
  },
};

const text: Json = { type: "string" };

const cloudEvent: Json = {
  type: "object",
  required: ["specversion", "id", "source", "type", "subject", "sequence", "shard", "partitionkey", "datacontenttype"],
  properties: {
    specversion: { type: "string", const: "1.0" },
    id: { ...text, description: "With `source` it names the event for ever" },
    source: { ...text, description: "/<service>/<entity type>/<key>" },
    type: text,
    subject: { ...text, description: "<entity type>/<key>" },
    time: { ...text, format: "date-time", description: "Of changes: when it was recorded" },
    datacontenttype: text,
    sequence: { ...text, description: "Orders the events of a shard, as a string" },
    shard: { type: "integer" },
    partitionkey: { ...text, description: "As the subject" },
    fromsequence: { ...text, description: "Of deltas: the value that the patch applies to" },
    eventversion: { type: "integer", description: "Of changes: version of the event's shape" },
    command: { ...text, description: "Of changes: what decided it" },
    requestid: { ...text, description: "Of changes: the request that caused it, if one did" },
    data: {},
  },
};
