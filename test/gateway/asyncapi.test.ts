/** The AsyncAPI document describes what feeds carry, and is one by the official specification. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import specs from "@asyncapi/specs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv } from "ajv";
import { z } from "zod";
import { describeFeeds } from "../../src/gateway/asyncapi.ts";
import { defineEntity } from "../../src/model/entity.ts";
import type { EmbeddedService } from "../../src/presets/embedded.ts";
import { pay, readerToken, send, startService } from "../feeds/service.ts";

interface Document {
  readonly channels: Record<
    string,
    { readonly address: string; readonly messages: Record<string, { readonly $ref: string }> }
  >;
  readonly components: {
    readonly messages: Record<string, { readonly payload: object; readonly contentType: string }>;
    readonly schemas: Record<string, object>;
  };
}

let directory = "";
let service: EmbeddedService;
let document: Document;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-asyncapi-"));
  service = await startService(directory);
  document = (await (await fetch(`${service.url}/asyncapi.json`)).json()) as Document;
});

after(async () => {
  await service.stop();
  rmSync(directory, { recursive: true });
});

function ajv(): Ajv {
  return new Ajv({ strict: false, validateFormats: false, allErrors: true });
}

test("the document is one by the official JSON Schema of AsyncAPI 3.0", () => {
  // It brings draft-07 itself, by which its own schemas are written.
  const validate = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false }).compile(
    specs.schemas["3.0.0"] as object,
  );
  assert.ok(validate(document), JSON.stringify(validate.errors, undefined, 2));
  assert.ok(!validate({ ...document, channels: { "wallet.changes": { address: 7 } } }), "the schema finds a fault");
});

test("the OpenAPI document of a service with feeds has their paths, and is one by the official JSON Schema", async () => {
  const api = (await (await fetch(`${service.url}/openapi.json`)).json()) as { paths: Record<string, object> };
  for (const path of ["/v1/feeds/changes", "/v1/feeds/absolutes", "/v1/feeds/deltas", "/asyncapi.json"])
    assert.ok(api.paths[path], path);
  const { valid, errors } = await new Validator().validate(api);
  assert.ok(valid, JSON.stringify(errors, undefined, 2));
});

test("each entity type has a channel per form, with a message per event; Holdfast's own types have none", () => {
  const names = Object.keys(document.channels);
  assert.deepEqual(
    names,
    ["account", "secret"].flatMap((type) => ["changes", "absolutes", "deltas"].map((form) => `${type}.${form}`)),
  );
  assert.deepEqual(Object.keys(document.channels["account.changes"]?.messages ?? {}), [
    "account.paid",
    "account.noted",
    "account.state-set",
    "account.erased",
  ]);
  for (const { address, messages } of Object.values(document.channels)) {
    assert.ok(address.startsWith("/v1/feeds/"));
    for (const { $ref } of Object.values(messages))
      assert.ok(document.components.messages[$ref.replace("#/components/messages/", "")], $ref);
  }
});

test("what the feeds carry fits the schemas that are published for it, and nothing else does", async () => {
  await pay(service, "a", 5);
  await send(service, "a", "note", { text: "hello" });
  const headers = { authorization: `Bearer ${readerToken}` };
  const pull = async (path: string) =>
    ((await (await fetch(`${service.url}/v1/feeds/${path}`, { headers })).json()) as { events: { type: string }[] })
      .events;
  const events = [
    ...(await pull("changes?type=account")),
    ...(await pull("absolutes?type=account")),
    ...(await pull("absolutes?type=account&view=balance")),
  ];
  assert.equal(events.length, 4);
  for (const event of events) {
    const fits = (other: object) => {
      const name = event.type.slice("shop.".length);
      const payload = document.components.messages[name]?.payload as { allOf: object[] };
      return ajv().compile({ allOf: payload.allOf, components: document.components })(other);
    };
    assert.ok(fits(event), event.type);
    assert.ok(!fits({ ...event, shard: "1" }));
    if (event.type !== "shop.account.absolute") assert.ok(!fits({ ...event, data: { amount: "five" } }), event.type);
  }
});

test("schemas that a definition publishes are said where their library can, and any JSON where not", () => {
  const odd = defineEntity("odd", {
    state: () => ({ count: 0 }),
    events: { dated: () => {}, silent: () => {} },
    commands: () => ({}),
    views: { count: (state) => state.count },
    published: {
      events: { dated: z.object({ when: z.date() }) },
      state: z.object({ count: z.int() }),
      views: { count: z.int() },
    },
  });
  const { components } = describeFeeds(new Map([["odd", odd]]), {
    title: "t",
    version: "1",
    service: "s",
  }) as unknown as Document;
  const dataOf = (name: string) =>
    (components.messages[name]?.payload as { allOf: { properties: { data: object } }[] } | undefined)?.allOf[1]
      ?.properties.data;
  assert.deepEqual(dataOf("odd.dated"), {});
  assert.deepEqual(dataOf("odd.silent"), {});
  assert.equal((dataOf("odd.absolute") as { anyOf: object[] }).anyOf.length, 2);
});

test("a schema that is published of nothing is refused with the definition", () => {
  const define = (published: object) => () =>
    defineEntity("odd", { state: () => 0, events: {}, commands: () => ({}), published });
  assert.throws(define({ events: { none: z.string() } }), /publishes the schema of the event "none"/);
  assert.throws(define({ views: { none: z.string() } }), /publishes the schema of the view "none"/);
});
