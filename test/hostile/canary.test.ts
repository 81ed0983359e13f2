/** Nothing of a token, an input, a key or what user code throws reaches an error, a log or another principal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { send } from "./request.ts";
import { open } from "./socket.ts";
import { requestId, sign, startTarget } from "./target.ts";

const canary = "cAnArY7531";

test("what callers send does not come back in errors, reports or on the console", async () => {
  await using target = await startTarget();
  const written: string[] = [];
  const streams = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write.bind(stream) }));
  for (const { stream } of streams) {
    stream.write = ((chunk: string | Uint8Array): boolean => {
      written.push(String(chunk));
      return true;
    }) as typeof stream.write;
  }
  const answers: string[] = [];
  try {
    const token = await sign({ sub: "mallory", secret: canary });
    const json = { "content-type": "application/json" };
    const authorized = { ...json, authorization: `Bearer ${token}` };
    const own = "/v1/entities/wallet/mallory";
    const bodies = [
      `{"amount":"${canary}"}`,
      `{"amount":-1,"${canary}":1}`,
      `{"${canary}":1,"${canary}":2}`,
      `{"__proto__":"${canary}"}`,
      `"${canary}`,
      `${canary}`,
      `["${canary}\\ud800"]`,
    ];
    for (const body of bodies)
      answers.push(
        (await send(target.port, { method: "POST", path: `${own}/commands/credit`, headers: authorized, body })).text,
      );
    for (const header of [
      `Bearer ${canary}`,
      `Basic ${canary}`,
      `Bearer ${canary}.${canary}.${canary}`,
      `Bearer ${token}${canary}`,
    ]) {
      answers.push(
        (await send(target.port, { path: `${own}/queries/balance`, headers: { authorization: header } })).text,
      );
    }
    for (const path of [
      `/v1/entities/wallet/${canary}/queries/balance`,
      `/v1/entities/wallet/mallory/queries/${canary}!`,
      `/${canary}`,
      `${own}/queries/balance?${canary}=1`,
      `${own}/queries/echo?input=${canary}`,
    ]) {
      answers.push((await send(target.port, { path, headers: authorized })).text);
    }
    answers.push(
      (
        await send(target.port, {
          method: "POST",
          path: `${own}/commands/fail`,
          headers: authorized,
          body: `"${canary}"`,
        })
      ).text,
    );
    answers.push((await send(target.port, { path: "/livez", headers: { origin: `https://${canary}.example` } })).text);
    answers.push(
      (
        await send(target.port, {
          method: "POST",
          path: `${own}/commands/credit`,
          headers: { ...authorized, "idempotency-key": canary, "if-match": canary },
          body: "1",
        })
      ).text,
    );

    const frames: unknown[] = [
      [{ t: canary }],
      [{ t: "hello", token: canary }],
      [{ t: "query", id: 1, type: "wallet", key: "mallory", name: "balance", [canary]: 1 }],
      [{ t: "query", id: 1, type: "wallet", key: `${canary}!`, name: "balance" }],
      [{ t: "command", id: requestId(), type: "wallet", key: "mallory", name: "credit", input: { amount: canary } }],
      [{ t: "command", id: requestId(), type: "wallet", key: "mallory", name: "fail", input: canary }],
      [{ t: "refresh", token: canary }],
      `[{"t":"${canary}"`,
    ];
    for (const frame of frames) {
      const socket = await open(target.port, "json", token);
      socket.send(frame);
      socket.send("[]");
      await socket.closed;
      answers.push(JSON.stringify(socket.messages));
    }
  } finally {
    for (const { stream, write } of streams) stream.write = write;
  }
  for (const text of [...answers, ...written, JSON.stringify(target.problems), JSON.stringify(target.faults)]) {
    assert.ok(!text.includes(canary), text);
    assert.ok(!text.includes("canary-thrown"), text);
    assert.ok(!text.includes("node_modules") && !text.includes(".ts:"), `a stack: ${text}`);
  }
  assert.ok(answers.length > 20);
  await target.stillServing();
});
