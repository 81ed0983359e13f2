/** HTTP requests that no honest client sends, each with its answer; the node goes on serving after each. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Answer, type Sent, send } from "./request.ts";
import { requestId, sign, startTarget, type Target } from "./target.ts";

interface Case extends Sent {
  readonly name: string;
  /** `none`: no token. Default: the token of `mallory`. */
  readonly as?: "none" | "auditor";
  readonly status: number;
  readonly code?: string;
  readonly also?: (answer: Answer) => void;
}

const json = { "content-type": "application/json" };
const own = "/v1/entities/wallet/mallory";
const other = "/v1/entities/wallet/good";
const post = { method: "POST", headers: json };
const note = { ...post, path: `${own}/commands/note` };
const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

const paths: Case[] = [
  { name: "an unknown path", path: "/v2/entities", status: 404, code: "not-found" },
  { name: "the root without a page", path: "/", status: 404, code: "not-found" },
  {
    name: "an unknown entity type",
    path: "/v1/entities/casino/mallory/queries/balance",
    status: 404,
    code: "unknown-type",
  },
  {
    name: "an unknown command",
    ...post,
    path: `${own}/commands/steal`,
    body: "{}",
    status: 404,
    code: "unknown-command",
  },
  { name: "an unknown query", path: `${own}/queries/steal`, status: 404, code: "unknown-query" },
  { name: "an unknown view", path: `${own}/views/steal`, status: 404, code: "unknown-view" },
  {
    name: "the command __proto__",
    ...post,
    path: `${own}/commands/__proto__`,
    body: "{}",
    status: 404,
    code: "unknown-command",
  },
  {
    name: "the command constructor",
    ...post,
    path: `${own}/commands/constructor`,
    body: "{}",
    status: 404,
    code: "unknown-command",
  },
  {
    name: "the command toString",
    ...post,
    path: `${own}/commands/toString`,
    body: "{}",
    status: 404,
    code: "unknown-command",
  },
  { name: "the query hasOwnProperty", path: `${own}/queries/hasOwnProperty`, status: 404, code: "unknown-query" },
  { name: "the view valueOf", path: `${own}/views/valueOf`, status: 404, code: "unknown-view" },
  {
    name: "the type constructor",
    path: "/v1/entities/constructor/mallory/queries/balance",
    status: 404,
    code: "unknown-type",
  },
  {
    name: "the type __proto__",
    path: "/v1/entities/__proto__/mallory/queries/balance",
    status: 404,
    code: "unknown-type",
  },
  {
    name: "a type in upper case",
    path: "/v1/entities/WALLET/mallory/queries/balance",
    status: 404,
    code: "unknown-type",
  },
  { name: "the key .", path: "/v1/entities/wallet/./queries/balance", status: 400, code: "invalid-key" },
  { name: "the key ..", path: "/v1/entities/wallet/../queries/balance", status: 400, code: "invalid-key" },
  { name: "the key *", path: "/v1/entities/wallet/*/queries/balance", status: 400, code: "invalid-key" },
  { name: "the key >", path: "/v1/entities/wallet/%3E/queries/balance", status: 400, code: "invalid-key" },
  {
    name: "a key with an escaped separator",
    path: "/v1/entities/wallet/a%2Fb/queries/balance",
    status: 400,
    code: "invalid-key",
  },
  {
    name: "a key with an escaped NUL",
    path: "/v1/entities/wallet/a%00/queries/balance",
    status: 400,
    code: "invalid-key",
  },
  {
    name: "a key that is turned around by RTL override",
    path: "/v1/entities/wallet/%E2%80%AEdoog/queries/balance",
    status: 400,
    code: "invalid-key",
  },
  {
    name: "a key of 129",
    path: `/v1/entities/wallet/${"k".repeat(129)}/queries/balance`,
    status: 400,
    code: "invalid-key",
  },
  { name: "an empty key", path: "/v1/entities/wallet//queries/balance", status: 400, code: "invalid-key" },
  {
    name: "the key __proto__",
    path: "/v1/entities/wallet/__proto__/queries/balance",
    status: 400,
    code: "invalid-key",
  },
  {
    name: "a key with SQL in it",
    path: "/v1/entities/wallet/'%20OR%201=1--/queries/balance",
    status: 400,
    code: "invalid-key",
  },
  { name: "a path with a part too many", path: `${own}/queries/balance/more`, status: 404, code: "not-found" },
  { name: "a path with a part too few", path: `${own}/queries`, status: 404, code: "not-found" },
  {
    name: "a path with a doubled separator",
    path: `//v1/entities/wallet/mallory/queries/balance`,
    status: 404,
    code: "not-found",
  },
  {
    name: "path traversal out of the API",
    path: "/v1/entities/wallet/mallory/queries/../../../../../etc/passwd",
    status: 404,
    code: "not-found",
  },
  { name: "escaped path traversal", path: "/%2e%2e/%2e%2e/etc/passwd", status: 404, code: "not-found" },
  { name: "a whole URL as target", path: "http://evil.example/livez", status: 404, code: "not-found" },
  { name: "the WebSocket's path without an upgrade", path: "/v1/socket", status: 404, code: "not-found" },
];

const methods: Case[] = [
  {
    name: "GET of a command",
    path: `${own}/commands/credit`,
    status: 405,
    code: "method-not-allowed",
    also: allows("POST, OPTIONS"),
  },
  {
    name: "HEAD of a command",
    method: "HEAD",
    path: `${own}/commands/credit`,
    status: 405,
    also: allows("POST, OPTIONS"),
  },
  { name: "PUT of a command", method: "PUT", path: `${own}/commands/credit`, status: 405, code: "method-not-allowed" },
  {
    name: "DELETE of an entity's view",
    method: "DELETE",
    path: `${own}/views/public`,
    status: 405,
    code: "method-not-allowed",
    also: allows("GET, HEAD, OPTIONS"),
  },
  { name: "POST to a view", ...post, path: `${own}/views/public`, body: "{}", status: 405, code: "method-not-allowed" },
  { name: "POST to livez", ...post, path: "/livez", body: "{}", status: 405, code: "method-not-allowed" },
  { name: "PATCH of readyz", method: "PATCH", path: "/readyz", status: 405, code: "method-not-allowed" },
  { name: "TRACE", method: "TRACE", path: `${own}/queries/balance`, status: 405, code: "method-not-allowed" },
  {
    name: "a method override in a header",
    method: "GET",
    headers: { "x-http-method-override": "POST" },
    path: `${own}/commands/credit`,
    status: 405,
    code: "method-not-allowed",
  },
  { name: "PROPFIND", method: "PROPFIND", path: `${own}/queries/balance`, status: 405, code: "method-not-allowed" },
];

const bodies: Case[] = [
  { name: "no JSON", ...note, body: "hello", status: 400, code: "invalid-frame" },
  { name: "half of JSON", ...note, body: '{"a":', status: 400, code: "invalid-frame" },
  { name: "two values", ...note, body: "{}{}", status: 400, code: "invalid-frame" },
  { name: "single quotes", ...note, body: "{'a':1}", status: 400, code: "invalid-frame" },
  { name: "a comma too many", ...note, body: "[1,]", status: 400, code: "invalid-frame" },
  { name: "a byte order mark", ...note, body: "\ufeff{}", status: 400, code: "invalid-frame" },
  { name: "no UTF-8", ...note, body: Uint8Array.of(0x22, 0xff, 0xfe, 0x22), status: 400, code: "invalid-frame" },
  { name: "overlong UTF-8", ...note, body: Uint8Array.of(0x22, 0xc0, 0xaf, 0x22), status: 400, code: "invalid-frame" },
  {
    name: "a surrogate in UTF-8",
    ...note,
    body: Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22),
    status: 400,
    code: "invalid-frame",
  },
  { name: "a lone surrogate, escaped", ...note, body: '"\\ud800"', status: 400, code: "invalid-frame" },
  { name: "surrogates in the wrong order", ...note, body: '"\\udc00\\ud800"', status: 400, code: "invalid-frame" },
  { name: "NaN", ...note, body: "NaN", status: 400, code: "invalid-frame" },
  { name: "Infinity", ...note, body: "[Infinity]", status: 400, code: "invalid-frame" },
  { name: "1e999", ...note, body: "1e999", status: 400, code: "invalid-frame" },
  { name: "-0", ...note, body: "[-0]", status: 400, code: "invalid-frame" },
  { name: "-0.0e5", ...note, body: "[-0.0e5]", status: 400, code: "invalid-frame" },
  { name: "2^53 + 1", ...note, body: "9007199254740993", status: 400, code: "invalid-frame" },
  { name: "a number of 41 digits", ...note, body: `0.${"1".repeat(39)}`, status: 413, code: "too-large" },
  { name: "a number of 100,000 digits", ...note, body: "1".repeat(100_000), status: 413, code: "too-large" },
  { name: "a key twice", ...note, body: '{"a":1,"a":2}', status: 400, code: "invalid-frame" },
  { name: "a key twice, once escaped", ...note, body: '{"a":1,"\\u0061":2}', status: 400, code: "invalid-frame" },
  {
    name: "a key twice, deep down",
    ...note,
    body: '[{"b":[{"a":1,"c":{"a":3},"a":2}]}]',
    status: 400,
    code: "invalid-frame",
  },
  { name: "65 levels", ...note, body: nested(65), status: 400, code: "invalid-frame" },
  { name: "100,000 levels", ...note, body: nested(100_000), status: 400, code: "invalid-frame" },
  { name: "100,000 levels that never end", ...note, body: "[".repeat(100_000), status: 400, code: "invalid-frame" },
  { name: "too many values", ...note, body: `[${"1,".repeat(40_000)}1]`, status: 413, code: "too-large" },
  { name: "too many objects", ...note, body: `[${"{},".repeat(20_000)}1]`, status: 413, code: "too-large" },
  { name: "a body over the limit", ...note, body: `"${"x".repeat(300_000)}"`, status: 413, code: "too-large" },
  {
    name: "an input over the limit in a body under it",
    ...note,
    body: `"${"x".repeat(100_000)}"`,
    status: 413,
    code: "too-large",
  },
  {
    name: "the wrong type for a field",
    ...post,
    path: `${own}/commands/credit`,
    body: '{"amount":"5"}',
    status: 400,
    code: "invalid-input",
  },
  {
    name: "a negative amount",
    ...post,
    path: `${own}/commands/credit`,
    body: '{"amount":-5}',
    status: 400,
    code: "invalid-input",
  },
  {
    name: "a fraction of an amount",
    ...post,
    path: `${own}/commands/credit`,
    body: '{"amount":0.5}',
    status: 400,
    code: "invalid-input",
  },
  {
    name: "no input where one is needed",
    method: "POST",
    path: `${own}/commands/credit`,
    status: 400,
    code: "invalid-input",
  },
  { name: "null as input", ...post, path: `${own}/commands/credit`, body: "null", status: 400, code: "invalid-input" },
  {
    name: "text/plain, which needs no preflight",
    method: "POST",
    headers: { "content-type": "text/plain" },
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "a form, which needs no preflight",
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    path: `${own}/commands/credit`,
    body: "amount=5",
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "a body without a type",
    method: "POST",
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "JSON in UTF-16",
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-16" },
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
  {
    name: "a compressed body",
    method: "POST",
    headers: { ...json, "content-encoding": "gzip" },
    path: `${own}/commands/credit`,
    body: '{"amount":5}',
    status: 415,
    code: "unsupported-media-type",
  },
];

const reserved: Case[] = ["__proto__", "constructor", "prototype"].flatMap((name) => {
  const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
  const deep = (key: string, depth: number): string =>
    `${'{"a":['.repeat(depth)}{"${key}":{"polluted":true}}${"]}".repeat(depth)}`;
  return [name, escaped].flatMap((key) =>
    [0, 1, 5, 31].map(
      (depth): Case => ({
        name: `the key ${key}, ${depth} levels down`,
        ...note,
        body: deep(key, depth),
        status: 400,
        code: "invalid-frame",
      }),
    ),
  );
});

const headers: Case[] = [
  {
    name: "a request id that is none",
    ...note,
    headers: { ...json, "idempotency-key": "abc" },
    body: "1",
    status: 400,
    code: "invalid-request-id",
  },
  {
    name: "a request id of version 4",
    ...note,
    headers: { ...json, "idempotency-key": "7f0c0c9e-5b5e-4b43-9d3c-2f1f6e7f2a11" },
    body: "1",
    status: 400,
    code: "invalid-request-id",
  },
  {
    name: "a request id of an hour ago",
    ...note,
    headers: { ...json, "idempotency-key": requestId(3_600_000) },
    body: "1",
    status: 410,
    code: "request-expired",
  },
  {
    name: "a request id of tomorrow",
    ...note,
    headers: { ...json, "idempotency-key": requestId(-86_400_000) },
    body: "1",
    status: 400,
    code: "invalid-request-id",
  },
  {
    name: "If-Match without quotes",
    ...note,
    headers: { ...json, "if-match": "7" },
    body: "1",
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "If-Match with a list",
    ...note,
    headers: { ...json, "if-match": '"7", "8"' },
    body: "1",
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "If-Match beyond 2^53",
    ...note,
    headers: { ...json, "if-match": '"9007199254740993"' },
    body: "1",
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "If-Match of a version that is not",
    ...note,
    headers: { ...json, "if-match": '"999999"' },
    body: "1",
    status: 412,
    code: "version-mismatch",
  },
  {
    name: "If-Match and If-None-Match",
    ...note,
    headers: { ...json, "if-match": '"1"', "if-none-match": "*" },
    body: "1",
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "a parameter for a command",
    ...note,
    path: `${own}/commands/note?admin=true`,
    body: "1",
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "a parameter a query does not have",
    path: `${own}/queries/balance?token=x`,
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "the parameter input twice",
    path: `${own}/queries/echo?input=1&input=2`,
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "the parameter input with a broken escape",
    path: `${own}/queries/echo?input=%zz`,
    status: 400,
    code: "invalid-frame",
  },
  {
    name: "the parameter input with __proto__",
    path: `${own}/queries/echo?input=${encodeURIComponent('{"__proto__":1}')}`,
    status: 400,
    code: "invalid-frame",
  },
  { name: "a parameter for a view", path: `${own}/views/public?as=good`, status: 400, code: "invalid-frame" },
  {
    name: "another page's origin",
    path: `${own}/queries/balance`,
    headers: { origin: "https://evil.example" },
    status: 403,
    code: "origin-refused",
  },
  {
    name: "the origin null",
    path: `${own}/queries/balance`,
    headers: { origin: "null" },
    status: 403,
    code: "origin-refused",
  },
  {
    name: "another page's origin for a health check",
    path: "/readyz",
    headers: { origin: "https://evil.example" },
    status: 403,
    code: "origin-refused",
  },
  {
    name: "a preflight from another page",
    method: "OPTIONS",
    path: `${own}/commands/credit`,
    headers: { origin: "https://evil.example", "access-control-request-method": "POST" },
    status: 403,
    code: "origin-refused",
    also: (answer) => assert.equal(answer.headers["access-control-allow-origin"], undefined),
  },
  {
    name: "a host name that was pointed here",
    path: "/openapi.json",
    headers: { host: "evil.example" },
    status: 403,
    code: "origin-refused",
  },
];

const access: Case[] = [
  {
    name: "a command on another's wallet",
    ...post,
    path: `${other}/commands/debit`,
    body: '{"amount":1}',
    status: 403,
    code: "forbidden",
  },
  { name: "a query on another's wallet", path: `${other}/queries/balance`, status: 403, code: "forbidden" },
  { name: "a view of another's wallet", path: `${other}/views/own`, status: 403, code: "forbidden" },
  {
    name: "events of another's wallet",
    path: `${other}/views/own`,
    headers: { accept: "text/event-stream" },
    status: 403,
    code: "forbidden",
  },
  {
    name: "a query on a wallet that is not there: the same answer",
    path: "/v1/entities/wallet/nobody/queries/balance",
    status: 403,
    code: "forbidden",
  },
  {
    name: "creating somebody else's wallet",
    ...post,
    path: "/v1/entities/wallet/nobody/commands/credit",
    body: '{"amount":1}',
    status: 403,
    code: "forbidden",
  },
  {
    name: "an auditor's command",
    as: "auditor",
    ...post,
    path: `${other}/commands/debit`,
    body: '{"amount":1}',
    status: 403,
    code: "forbidden",
  },
  {
    name: "no token for a query",
    as: "none",
    path: `${own}/queries/balance`,
    status: 401,
    code: "unauthenticated",
    also: challenges,
  },
  {
    name: "no token for a type that is not there",
    as: "none",
    path: "/v1/entities/casino/x/queries/y",
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "no token, but one in the URL",
    as: "none",
    path: `${own}/queries/balance?access_token=x`,
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "no token, but a cookie",
    as: "none",
    headers: { cookie: "token=x; session=y" },
    path: `${own}/queries/balance`,
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "basic authentication",
    as: "none",
    headers: { authorization: "Basic bWFsbG9yeTp4" },
    path: `${own}/queries/balance`,
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "a bearer that is empty",
    as: "none",
    headers: { authorization: "Bearer " },
    path: `${own}/queries/balance`,
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "a bearer of 10,000 characters",
    as: "none",
    headers: { authorization: `Bearer ${"a".repeat(10_000)}` },
    path: `${own}/queries/balance`,
    status: 401,
    code: "unauthenticated",
  },
  {
    name: "a command that throws",
    method: "POST",
    path: `${own}/commands/fail`,
    status: 500,
    code: "decide-failed",
    also: (answer) => assert.ok(!answer.text.includes("canary-thrown")),
  },
];

function allows(methods: string): (answer: Answer) => void {
  return (answer) => assert.equal(answer.headers.allow, methods);
}

function challenges(answer: Answer): void {
  assert.match(answer.headers["www-authenticate"] ?? "", /^Bearer/);
}

let target: Target;
const tokens = new Map<string, string>();

before(async () => {
  target = await startTarget();
  tokens.set("mallory", await sign({ sub: "mallory" }));
  tokens.set("auditor", await sign({ sub: "auditor", roles: ["auditor"] }));
});
after(() => target[Symbol.asyncDispose]());

for (const { name, as, status, code, also, ...sent } of [
  ...paths,
  ...methods,
  ...bodies,
  ...reserved,
  ...headers,
  ...access,
]) {
  test(`${name}: ${status}`, async () => {
    const authorization = as === "none" ? {} : { authorization: `Bearer ${tokens.get(as ?? "mallory")}` };
    const answer = await send(target.port, { ...sent, headers: { ...authorization, ...sent.headers } });
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.code, code ?? answer.code);
    assert.equal(answer.headers["x-content-type-options"], "nosniff");
    assert.equal(answer.headers["cache-control"], "no-store");
    if (status >= 400 && answer.text !== "") {
      const problem = JSON.parse(answer.text) as Record<string, unknown>;
      assert.equal(problem["status"], status);
      assert.equal(problem["type"], `urn:holdfast:error:${String(problem["code"])}`);
      assert.equal(typeof problem["detail"], "string");
      assert.equal(typeof problem["retryable"], "boolean");
    }
    also?.(answer);
    await target.stillServing();
    assert.deepEqual(target.problems, []);
  });
}

test("the same command with the same id twice has one effect and one answer", async () => {
  const headers = { ...json, authorization: `Bearer ${tokens.get("mallory")}`, "idempotency-key": requestId() };
  const command = { method: "POST", path: `${own}/commands/credit`, headers, body: '{"amount":5}' };
  const first = await send(target.port, command);
  const again = await send(target.port, command);
  assert.equal(first.status, 200);
  assert.equal(again.text, first.text);
  await target.stillServing();
});

test("another's command captured and sent again under one's own token is refused", async () => {
  const id = requestId();
  const sent = { method: "POST", path: `${own}/commands/credit`, body: '{"amount":5}' };
  const first = await send(target.port, {
    ...sent,
    headers: { ...json, authorization: `Bearer ${tokens.get("mallory")}`, "idempotency-key": id },
  });
  assert.equal(first.status, 200);
  const replayed = await send(target.port, {
    ...sent,
    headers: { ...json, authorization: `Bearer ${tokens.get("auditor")}`, "idempotency-key": id },
  });
  assert.equal(replayed.status, 403, replayed.text);
  await target.stillServing();
});
