/** HTTP requests for what is somebody else's, or for nobody's token, each with its answer. */
import assert from "node:assert/strict";
import { type Case, own, post } from "./http-cases.ts";
import type { Answer } from "./request.ts";

const other = "/v1/entities/wallet/good";

export const access: Case[] = [
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

function challenges(answer: Answer): void {
  assert.match(answer.headers["www-authenticate"] ?? "", /^Bearer/);
}
