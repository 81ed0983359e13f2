/** HTTP requests that no honest client sends, by path, method, header and right, each with its answer. */
import assert from "node:assert/strict";
import type { Answer, Sent } from "./request.ts";
import { requestId } from "./target.ts";

export interface Case extends Sent {
  readonly name: string;
  /** `none`: no token. Default: the token of `mallory`. */
  readonly as?: "none" | "auditor";
  readonly status: number;
  readonly code?: string;
  readonly also?: (answer: Answer) => void;
}

export const json = { "content-type": "application/json" };
export const own = "/v1/entities/wallet/mallory";
export const post = { method: "POST", headers: json };
export const note = { ...post, path: `${own}/commands/note` };
export const paths: Case[] = [
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

export const methods: Case[] = [
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

export const headers: Case[] = [
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

function allows(methods: string): (answer: Answer) => void {
  return (answer) => assert.equal(answer.headers.allow, methods);
}
