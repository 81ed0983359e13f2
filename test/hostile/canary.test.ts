/** Nothing of a token, an input, a key or what user code throws reaches an error, a report or the console. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Sent, send } from "./request.ts";
import { open } from "./socket.ts";
import { requestId, sign, startTarget, type Target } from "./target.ts";

const canary = "cAnArY7531";
const own = "/v1/entities/wallet/mallory";

function requests(token: string): Sent[] {
  const json = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const credit = { method: "POST", path: `${own}/commands/credit`, headers: json };
  const bodies = [
    `{"amount":"${canary}"}`,
    `{"amount":-1,"${canary}":1}`,
    `{"${canary}":1,"${canary}":2}`,
    `{"__proto__":"${canary}"}`,
    `"${canary}`,
    canary,
    `["${canary}\\ud800"]`,
  ];
  const tokens = [
    `Bearer ${canary}`,
    `Basic ${canary}`,
    `Bearer ${canary}.${canary}.${canary}`,
    `Bearer ${token}${canary}`,
  ];
  const paths = [
    `/v1/entities/wallet/${canary}/queries/balance`,
    `${own}/queries/${canary}!`,
    `/${canary}`,
    `${own}/queries/balance?${canary}=1`,
    `${own}/queries/echo?input=${canary}`,
  ];
  return [
    ...bodies.map((body) => ({ ...credit, body })),
    ...tokens.map((authorization) => ({ path: `${own}/queries/balance`, headers: { authorization } })),
    ...paths.map((path) => ({ path, headers: json })),
    { method: "POST", path: `${own}/commands/fail`, headers: json, body: `"${canary}"` },
    { path: "/livez", headers: { origin: `https://${canary}.example` } },
    { ...credit, headers: { ...json, "idempotency-key": canary }, body: "1" },
    { ...credit, headers: { ...json, "if-match": canary }, body: "1" },
  ];
}

function frames(): unknown[] {
  const place = { type: "wallet", key: "mallory" };
  return [
    [{ t: canary }],
    [{ t: "hello", token: canary }],
    [{ t: "query", id: 1, ...place, name: "balance", [canary]: 1 }],
    [{ t: "query", id: 1, type: "wallet", key: `${canary}!`, name: "balance" }],
    [{ t: "command", id: requestId(), ...place, name: "credit", input: { amount: canary } }],
    [{ t: "command", id: requestId(), ...place, name: "fail", input: canary }],
    [{ t: "refresh", token: canary }],
    `[{"t":"${canary}"`,
  ];
}

async function askEverything(target: Target): Promise<string[]> {
  const token = await sign({ sub: "mallory", secret: canary });
  const answers: string[] = [];
  for (const request of requests(token)) {
    const answer = await send(target.port, request);
    answers.push(answer.text, JSON.stringify(answer.headers));
  }
  for (const frame of frames()) {
    const socket = await open(target.port, "json", token);
    socket.send(frame);
    socket.send("[]"); // ends the connection after the answer
    await socket.closed;
    answers.push(JSON.stringify(socket.messages));
  }
  return answers;
}

/** Runs `work` and returns what was written to the console meanwhile. */
async function listen(work: () => Promise<void>): Promise<string[]> {
  const written: string[] = [];
  const streams = [process.stdout, process.stderr].map((stream) => ({ stream, write: stream.write.bind(stream) }));
  for (const { stream } of streams) {
    stream.write = ((chunk: string | Uint8Array): boolean => {
      written.push(String(chunk));
      return true;
    }) as typeof stream.write;
  }
  try {
    await work();
  } finally {
    for (const { stream, write } of streams) stream.write = write;
  }
  return written;
}

test("what callers send does not come back in errors, reports or on the console", async () => {
  await using target = await startTarget();
  let answers: string[] = [];
  const written = await listen(async () => {
    answers = await askEverything(target);
  });
  for (const text of [...answers, ...written, JSON.stringify(target.problems), JSON.stringify(target.faults)]) {
    assert.ok(!text.includes(canary), text);
    assert.ok(!text.includes("canary-thrown"), text);
    assert.ok(!text.includes("node_modules") && !text.includes(".ts:"), `a stack: ${text}`);
  }
  assert.ok(answers.length > 40);
  await target.stillServing();
});
