/** WebSocket frames that no honest client sends, each with its answer; the node goes on serving after each. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import type { ServerMessage } from "../../src/wire/protocol.ts";
import { jsonFrames, msgpackFrames, reservedFrames } from "./frame-cases.ts";
import { open } from "./socket.ts";
import { requestId, sign, startTarget, type Target } from "./target.ts";

const bad = 4400;

/** A message after hello that is answered while the connection goes on. */
interface Refused {
  readonly name: string;
  readonly message: Record<string, unknown>;
  readonly code: string;
}

const own = { type: "wallet", key: "mallory" };
const command = (): Record<string, unknown> => ({
  t: "command",
  id: requestId(),
  ...own,
  name: "credit",
  input: { amount: 1 },
});
const query = { t: "query", id: 5, ...own, name: "balance" };
const subscribe = { t: "subscribe", id: 6, ...own, view: "public" };

const refused: Refused[] = [
  { name: "a kind nobody knows", message: { t: "admin", id: 1 }, code: "invalid-frame" },
  { name: "a kind that is missing", message: { id: 1 }, code: "invalid-frame" },
  { name: "a kind that is a number", message: { t: 7, id: 1 }, code: "invalid-frame" },
  { name: "a command's id that is no UUID", message: { ...command(), id: "abc" }, code: "invalid-request-id" },
  { name: "a command's id that is a number", message: { ...command(), id: 7 }, code: "invalid-request-id" },
  {
    name: "a command's id of an hour ago",
    message: { ...command(), id: requestId(3_600_000) },
    code: "request-expired",
  },
  {
    name: "a command's id of tomorrow",
    message: { ...command(), id: requestId(-86_400_000) },
    code: "invalid-request-id",
  },
  { name: "a command with a field too many", message: { ...command(), principal: "good" }, code: "invalid-frame" },
  { name: "a command that says it may create", message: { ...command(), mayCreate: true }, code: "invalid-frame" },
  { name: "a command with a version that is text", message: { ...command(), ifVersion: "1" }, code: "invalid-frame" },
  { name: "a command with a version below 0", message: { ...command(), ifVersion: -1 }, code: "invalid-frame" },
  { name: "a command with half a version", message: { ...command(), ifVersion: 1.5 }, code: "invalid-frame" },
  { name: "a command with a version that is null", message: { ...command(), ifVersion: null }, code: "invalid-frame" },
  {
    name: "a command at a version that is not",
    message: { ...command(), ifVersion: 999_999 },
    code: "version-mismatch",
  },
  { name: "a command nobody knows", message: { ...command(), name: "steal" }, code: "unknown-command" },
  { name: "the command constructor", message: { ...command(), name: "constructor" }, code: "unknown-command" },
  { name: "the command toString", message: { ...command(), name: "toString" }, code: "unknown-command" },
  { name: "a command's name that is an array", message: { ...command(), name: ["credit"] }, code: "unknown-command" },
  { name: "a type nobody knows", message: { ...command(), type: "casino" }, code: "unknown-type" },
  { name: "the type __proto__", message: { ...command(), type: "__proto__" }, code: "unknown-type" },
  { name: "the type hasOwnProperty", message: { ...query, type: "hasOwnProperty" }, code: "unknown-type" },
  ...[
    ".",
    "..",
    "*",
    ">",
    "a/b",
    "a\0",
    "\u202edoog",
    "",
    " ",
    "k".repeat(129),
    "__proto__",
    "'; DROP TABLE shards; --",
    "ä",
  ].map((key) => ({
    name: `the key ${JSON.stringify(key).slice(0, 30)}`,
    message: { ...command(), key },
    code: "invalid-key",
  })),
  { name: "a key that is a number", message: { ...query, key: 7 }, code: "invalid-key" },
  {
    name: "a key that is missing",
    message: { t: "query", id: 5, type: "wallet", name: "balance" },
    code: "invalid-key",
  },
  { name: "input of the wrong type", message: { ...command(), input: { amount: "5" } }, code: "invalid-input" },
  {
    name: "input that is missing",
    message: { t: "command", id: requestId(), ...own, name: "credit" },
    code: "invalid-input",
  },
  { name: "input over its limit", message: { ...query, name: "echo", input: "x".repeat(100_000) }, code: "too-large" },
  { name: "a command on another's wallet", message: { ...command(), key: "good" }, code: "forbidden" },
  { name: "a query on another's wallet", message: { ...query, key: "good" }, code: "forbidden" },
  {
    name: "a query on a wallet that is not there: the same answer",
    message: { ...query, key: "nobody" },
    code: "forbidden",
  },
  { name: "a view of another's wallet", message: { ...subscribe, key: "good" }, code: "forbidden" },
  { name: "a query nobody knows", message: { ...query, name: "steal" }, code: "unknown-query" },
  { name: "a view nobody knows", message: { ...subscribe, view: "steal" }, code: "unknown-view" },
  { name: "a query with id 0", message: { ...query, id: 0 }, code: "frame" },
  {
    name: "a query with id 2^53 - 1 and a field too many",
    message: { ...query, id: 2 ** 53 - 1, as: "good" },
    code: "invalid-frame",
  },
  { name: "a subscription from a version that is text", message: { ...subscribe, from: "1" }, code: "invalid-frame" },
  { name: "a subscription of a run that is an object", message: { ...subscribe, run: {} }, code: "invalid-frame" },
  {
    name: "a command that throws",
    message: { t: "command", id: requestId(), ...own, name: "fail" },
    code: "decide-failed",
  },
];

let target: Target;
let token: string;

before(async () => {
  target = await startTarget();
  token = await sign({ sub: "mallory" });
});
after(() => target[Symbol.asyncDispose]());

for (const { name, encoding, frame, code = "invalid-frame", closes = bad } of [
  ...msgpackFrames,
  ...jsonFrames,
  ...reservedFrames,
]) {
  test(`${name} (${encoding}): closes with ${closes}`, async () => {
    const socket = await open(target.port, encoding, token);
    socket.send(frame);
    assert.equal(await socket.closed, closes);
    const said = socket.messages.find((message) => message.t === "error");
    assert.equal(said?.code ?? "none", code);
    assert.equal(said?.id, undefined);
    await target.stillServing();
    assert.deepEqual(target.problems, []);
  });
}

for (const { name, message, code } of refused) {
  for (const encoding of ["msgpack", "json"] as const) {
    test(`${name} (${encoding}): ${code}`, async () => {
      const socket = await open(target.port, encoding, token);
      socket.send([message]);
      if (code === "frame") {
        assert.equal(await socket.closed, bad);
      } else {
        const answer = await socket.hear(
          (heard) => (heard.t === "error" || heard.t === "ended") && heard.id === message["id"],
        );
        assert.equal((answer as Extract<ServerMessage, { t: "error" }>).code, code);
        await socket.ask([{ t: "ping" }], (heard) => heard.t === "pong");
      }
      socket.end();
      await target.stillServing();
      assert.deepEqual(target.problems, []);
    });
  }
}

test("one bad message of a frame is answered and the others are carried out", async () => {
  const socket = await open(target.port, "msgpack", token);
  const first = command();
  const last = command();
  socket.send([first, { ...command(), id: "bad-id" }, { t: "query", id: 1, ...own, name: "nope" }, last]);
  await socket.hear((message) => message.t === "reply" && message.id === first["id"]);
  await socket.hear(
    (message) => message.t === "error" && message.id === "bad-id" && message.code === "invalid-request-id",
  );
  await socket.hear((message) => message.t === "error" && message.id === 1 && message.code === "unknown-query");
  await socket.hear((message) => message.t === "reply" && message.id === last["id"]);
  socket.end();
  await target.stillServing();
});

test("an id that is in use is refused without an id, and its first message is answered once", async () => {
  const socket = await open(target.port, "json", token);
  const one = command();
  socket.send([one, { ...one, name: "debit" }]);
  const refusal = await socket.hear((message) => message.t === "error");
  assert.equal((refusal as { id?: unknown }).id, undefined);
  assert.equal((refusal as { code: string }).code, "invalid-frame");
  await socket.hear((message) => message.t === "reply" && message.id === one["id"]);
  await socket.ask([{ t: "ping" }], (message) => message.t === "pong");
  assert.deepEqual(socket.messages, []);
  socket.end();
  await target.stillServing();
});

test("a query with the id of a subscription is refused without an id", async () => {
  const socket = await open(target.port, "json", token);
  await socket.ask([subscribe], (message) => message.t === "absolute");
  const refusal = await socket.ask([{ ...query, id: subscribe.id }], (message) => message.t === "error");
  assert.equal((refusal as { id?: unknown }).id, undefined);
  socket.end();
  await target.stillServing();
});

test("the same command again on the same and on another connection has one effect and one answer", async () => {
  const one = await open(target.port, "msgpack", token);
  const two = await open(target.port, "json", token);
  const sent = command();
  const answered = (message: ServerMessage): boolean => message.t === "reply" && message.id === sent["id"];
  const first = await one.ask([sent], answered);
  assert.deepEqual(await one.ask([sent], answered), first);
  assert.deepEqual(await two.ask([sent], answered), first);
  one.end();
  two.end();
  await target.stillServing();
});

const strangers: readonly string[] = [
  "https://evil.example",
  "http://evil.example",
  "null",
  "",
  "file://",
  "http://127.0.0.1",
  "https://127.0.0.1:1",
  "http://localhost.evil.example",
  "http://127.0.0.1.evil.example",
  "http://evil.example/127.0.0.1",
  "chrome-extension://abcdefgh",
  "http://127.0.0.1:99999",
];
for (const origin of strangers) {
  test(`a WebSocket of a page from ${JSON.stringify(origin)} is refused`, async () => {
    await assert.rejects(open(target.port, "msgpack", token, { origin }), /403/);
    await target.stillServing();
  });
}

test("a WebSocket of a page from this port is taken", async () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    const socket = await open(target.port, "msgpack", token, { origin: `http://${host}:${target.port}` });
    socket.end();
  }
});

const handshakes: readonly {
  readonly name: string;
  readonly path?: string;
  readonly protocols?: string[];
  readonly answer: RegExp;
}[] = [
  { name: "at another path", path: "/", answer: /404/ },
  { name: "at another path below", path: "/v1/socket/x", answer: /404/ },
  { name: "with a token in the URL", path: "/v1/socket?token=x", answer: /404/ },
  { name: "without a subprotocol", protocols: [], answer: /400/ },
  { name: "with a subprotocol nobody knows", protocols: ["holdfast.v9"], answer: /400/ },
  { name: "with a token as subprotocol", protocols: ["bearer.abc"], answer: /400/ },
];
for (const { name, path = "/v1/socket", protocols = ["holdfast.v1"], answer } of handshakes) {
  test(`a WebSocket ${name} is refused`, async () => {
    const raw = new WebSocket(`ws://127.0.0.1:${target.port}${path}`, protocols);
    const error = await new Promise<Error>((resolve) => raw.on("error", resolve));
    assert.match(error.message, answer);
    await target.stillServing();
  });
}

test("what comes before hello is refused with 4401", async () => {
  for (const first of [[{ t: "ping" }], [command()], [{ t: "refresh", token }], [{ t: "fault", id: 1 }]]) {
    const socket = await open(target.port, "json");
    socket.send(first);
    assert.equal(await socket.closed, 4401);
  }
  await target.stillServing();
});
