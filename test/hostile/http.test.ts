/** HTTP requests that no honest client sends, each with its answer; the node goes on serving after each. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { access } from "./http-access-cases.ts";
import { bodies, reserved } from "./http-body-cases.ts";
import { headers, json, methods, own, paths } from "./http-cases.ts";
import { send } from "./request.ts";
import { requestId, sign, startTarget, type Target } from "./target.ts";

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
