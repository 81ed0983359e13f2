/** The OpenAPI document describes what the gateway does, and is one by the official specification. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { describeApi } from "../../src/gateway/openapi.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { send } from "../hostile/request.ts";
import { sign, startTarget } from "../hostile/target.ts";

interface Operation {
  readonly operationId: string;
  readonly responses: Record<string, unknown>;
  readonly requestBody?: { readonly content: Record<string, { readonly schema: Record<string, unknown> }> };
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: {
    readonly responses: Record<
      string,
      {
        readonly content: Record<
          string,
          {
            readonly schema: {
              readonly allOf: readonly [
                unknown,
                { readonly properties: { readonly code: { readonly enum: readonly string[] } } },
              ];
            };
          }
        >;
      }
    >;
  };
}

async function fetchDocument(): Promise<Document> {
  await using target = await startTarget();
  const answer = await send(target.port, { path: "/openapi.json" });
  assert.equal(answer.status, 200);
  return JSON.parse(answer.text) as Document;
}

test("the document is one by the official JSON Schema of OpenAPI 3.1", async (context) => {
  const name = "@seriousme/openapi-schema-validator";
  const library = await import(name).catch(() => undefined);
  if (library === undefined) return context.skip(`${name} is not installed`);
  const { valid, errors } = await new library.Validator().validate(await fetchDocument());
  assert.ok(valid, JSON.stringify(errors, undefined, 2));
});

test("every command, query and view has an operation, and each id is there once", async () => {
  const { paths } = await fetchDocument();
  const base = "/v1/entities/wallet/{key}";
  for (const name of ["credit", "debit", "note", "fail"]) assert.ok(paths[`${base}/commands/${name}`]?.["post"], name);
  for (const name of ["balance", "note", "echo"]) assert.ok(paths[`${base}/queries/${name}`]?.["get"], name);
  for (const name of ["public", "own"]) assert.ok(paths[`${base}/views/${name}`]?.["get"], name);
  const ids = Object.values(paths).flatMap((path) =>
    ["get", "post"].flatMap((method) => path[method]?.operationId ?? []),
  );
  assert.equal(new Set(ids).size, ids.length);
});

test("input schemas are those of the definitions, where their library can say them", async () => {
  const { paths } = await fetchDocument();
  const schemaOf = (name: string) =>
    paths[`/v1/entities/wallet/{key}/commands/${name}`]?.["post"]?.requestBody?.content["application/json"]?.schema;
  assert.deepEqual(schemaOf("credit")?.["required"], ["amount"]);
  const properties = schemaOf("credit")?.["properties"] as { amount: { type: string } } | undefined;
  assert.equal(properties?.amount.type, "integer");
  assert.deepEqual(schemaOf("note"), {}, "this schema says nothing of itself");
  const odd = defineEntity("odd", {
    state: () => 0,
    events: {},
    commands: (command) => ({ run: command(z.object({ when: z.date() }), () => undefined) }),
    access: () => true,
  });
  const document = describeApi(new Map([["odd", odd]]), { title: "t", version: "1" }) as unknown as Document;
  assert.deepEqual(
    document.paths["/v1/entities/odd/{key}/commands/run"]?.["post"]?.requestBody?.content["application/json"]?.schema,
    {},
  );
});

test("what the gateway answers is described", async () => {
  await using target = await startTarget();
  const { paths, components } = await fetchDocument();
  const headers = { authorization: `Bearer ${await sign({ sub: "ann" })}`, "content-type": "application/json" };
  const credit = { method: "POST", path: "/v1/entities/wallet/ann/commands/credit", headers };
  const tries = [
    { ...credit, body: '{"amount":1}' },
    { ...credit, body: "x" },
    { ...credit, body: '{"amount":"1"}' },
    { ...credit, headers: {}, body: '{"amount":1}' },
    { ...credit, path: "/v1/entities/wallet/bob/commands/credit", body: '{"amount":1}' },
    { ...credit, headers: { ...headers, "if-match": '"99999"' }, body: '{"amount":1}' },
    { ...credit, headers: { ...headers, "content-type": "text/plain" }, body: '{"amount":1}' },
    { ...credit, path: "/v1/entities/wallet/ann/commands/debit", body: '{"amount":100}' },
    {
      ...credit,
      headers: { ...headers, "idempotency-key": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f" },
      body: '{"amount":1}',
    },
    { ...credit, body: `"${"x".repeat(300_000)}"` },
  ];
  for (const sent of tries) {
    const answer = await send(target.port, sent);
    const command = sent.path.endsWith("debit") ? "debit" : "credit";
    const responses = paths[`/v1/entities/wallet/{key}/commands/${command}`]?.["post"]?.responses ?? {};
    assert.ok(responses[answer.status], `${answer.status} is not described`);
    if (answer.code === undefined) continue;
    const problem =
      components.responses[`problem-${answer.status}`]?.content["application/problem+json"]?.schema.allOf[1];
    assert.ok(problem?.properties.code.enum.includes(answer.code), answer.code);
  }
});

test("the same definitions make the same document", async () => {
  assert.deepEqual(await fetchDocument(), await fetchDocument());
});
