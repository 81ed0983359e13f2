/** WebSocket frames that no honest client sends, each with its answer; the node goes on serving after each. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import type { Encoding } from "../../src/wire/codec.ts";
import type { ServerMessage } from "../../src/wire/protocol.ts";
import { open } from "./socket.ts";
import { requestId, sign, startTarget, type Target } from "./target.ts";

const bad = 4400;

/** A frame after hello that ends the connection. */
interface Fatal {
  readonly name: string;
  readonly encoding: Encoding;
  /** Sent as it is if bytes or text, else encoded. */
  readonly frame: unknown;
  /** Default invalid-frame. Undefined-able: `ws` itself closes without a word of ours. */
  readonly code?: "invalid-frame" | "too-large" | "none";
  /** Default 4400. */
  readonly closes?: number;
}

/** A message after hello that is answered while the connection goes on. */
interface Refused {
  readonly name: string;
  readonly message: Record<string, unknown>;
  readonly code: string;
}

const bytes = (...list: (number | string)[]): Uint8Array =>
  Buffer.concat(list.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from([part]))));
const own = { type: "wallet", key: "mallory" };

/** `[{t: "query", id: 1, ..., input: <bytes>}]` in msgpack, by hand. */
const withInput = (...input: (number | string)[]): Uint8Array =>
  bytes(
    0x91,
    0x86,
    0xa1,
    "t",
    0xa5,
    "query",
    0xa2,
    "id",
    0x01,
    0xa4,
    "type",
    0xa6,
    "wallet",
    0xa3,
    "key",
    0xa7,
    "mallory",
    0xa4,
    "name",
    0xa4,
    "echo",
    0xa5,
    "input",
    ...input,
  );
const jsonInput = (input: string): string =>
  `[{"t":"query","id":1,"type":"wallet","key":"mallory","name":"echo","input":${input}}]`;

const msgpackFrames: Fatal[] = [
  { name: "nothing", frame: bytes() },
  { name: "a byte that msgpack does not use", frame: bytes(0xc1) },
  { name: "a scalar", frame: bytes(0x07) },
  { name: "a message without an array", frame: { t: "ping" } },
  { name: "no messages", frame: [] },
  { name: "a message that is null", frame: [null] },
  { name: "a message that is an array", frame: [[1]] },
  { name: "a message that is text", frame: ["ping"] },
  { name: "a message without t", frame: [{}] },
  { name: "a message of an unknown kind without an id", frame: [{ t: "admin" }] },
  { name: "the kind constructor", frame: [{ t: "constructor" }] },
  { name: "the kind as an object", frame: [{ t: { toString: 1 } }] },
  { name: "a second hello", frame: [{ t: "hello", token: "x" }] },
  { name: "bytes after the frame", frame: bytes(0x91, 0x81, 0xa1, "t", 0xa4, "ping", 0x00) },
  { name: "half a frame's message", frame: bytes(0x91, 0x81, 0xa1, "t", 0xa4, "pi") },
  { name: "an array that announces 2^32 - 1 items", frame: bytes(0xdd, 0xff, 0xff, 0xff, 0xff) },
  { name: "a map that announces 2^32 - 1 members", frame: bytes(0x91, 0xdf, 0xff, 0xff, 0xff, 0xff) },
  { name: "a string that announces 4 GiB", frame: bytes(0x91, 0xdb, 0xff, 0xff, 0xff, 0xff, "x") },
  { name: "1,025 messages", frame: Array.from({ length: 1_025 }, () => ({ t: "ping" })), code: "too-large" as const },
  { name: "40,000 values", frame: bytes(0xdc, 0x9c, 0x40, "\u0001".repeat(40_000)), code: "too-large" as const },
  { name: "input of a binary type", frame: withInput(0xc4, 0x01, 0x00) },
  { name: "input of an extension", frame: withInput(0xd4, 0x01, 0x00) },
  { name: "input of a timestamp", frame: withInput(0xd6, 0xff, 0x00, 0x00, 0x00, 0x00) },
  { name: "input of msgpackr's undefined", frame: withInput(0xd4, 0x00, 0x00) },
  { name: "input of msgpackr's record", frame: withInput(0xd4, 0x72, 0x40, 0x91, 0xa1, "a", 0x01) },
  { name: "input of an error extension", frame: withInput(0xc7, 0x01, 0x65, 0x90) },
  { name: "input with a key that is a number", frame: withInput(0x81, 0x01, 0x01) },
  { name: "input with a key that is nil", frame: withInput(0x81, 0xc0, 0x01) },
  { name: "input with a key that is a map", frame: withInput(0x81, 0x80, 0x01) },
  { name: "input with a key twice", frame: withInput(0x82, 0xa1, "a", 0x01, 0xa1, "a", 0x02) },
  { name: "input with a key twice in two lengths", frame: withInput(0x82, 0xa1, "a", 0x01, 0xd9, 0x01, "a", 0x02) },
  { name: "NaN", frame: withInput(0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0) },
  { name: "Infinity", frame: withInput(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0) },
  { name: "Infinity in 32 bits", frame: withInput(0xca, 0xff, 0x80, 0, 0) },
  { name: "-0", frame: withInput(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0) },
  { name: "2^53 as an integer", frame: withInput(0xcf, 0x00, 0x20, 0, 0, 0, 0, 0, 0) },
  { name: "2^64 - 1", frame: withInput(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) },
  { name: "-2^63", frame: withInput(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0) },
  {
    name: "1e300, an integer that is not exact",
    frame: withInput(0xcb, 0x7e, 0x37, 0xe4, 0x3c, 0x88, 0x00, 0x75, 0x9c),
  },
  { name: "a string that is not UTF-8", frame: withInput(0xa2, 0xff, 0xfe) },
  { name: "a string that is overlong UTF-8", frame: withInput(0xa2, 0xc0, 0xaf) },
  { name: "a string with a surrogate", frame: withInput(0xa3, 0xed, 0xa0, 0x80) },
  { name: "a key that is not UTF-8", frame: withInput(0x81, 0xa1, 0xff, 0x01) },
  { name: "69 levels", frame: withInput("\u0091".repeat(69), 0x01) },
  { name: "100,000 levels", frame: withInput("\u0091".repeat(100_000), 0x01) },
  { name: "100,000 levels of maps", frame: withInput("\u0081\u00a1a".repeat(60_000), 0x01) },
  { name: "text", frame: '[{"t":"ping"}]' },
  { name: "more than a frame may have", frame: bytes("x".repeat(300_000)), code: "none" as const, closes: 1009 },
].map((fatal) => ({ encoding: "msgpack" as const, ...fatal }));

const jsonFrames: Fatal[] = [
  { name: "nothing", frame: "" },
  { name: "white space", frame: "   " },
  { name: "no JSON", frame: "ping" },
  { name: "a message without an array", frame: '{"t":"ping"}' },
  { name: "no messages", frame: "[]" },
  { name: "half", frame: '[{"t":"ping"' },
  { name: "two frames", frame: '[{"t":"ping"}][{"t":"ping"}]' },
  { name: "binary", frame: Buffer.from('[{"t":"ping"}]') },
  { name: "a key twice", frame: '[{"t":"ping","t":"ping"}]' },
  { name: "a key twice, once escaped", frame: '[{"t":"ping","\\u0074":"ping"}]' },
  {
    name: "1,025 messages",
    frame: `[${Array.from({ length: 1_025 }, () => '{"t":"ping"}').join()}]`,
    code: "too-large" as const,
  },
  { name: "NaN", frame: jsonInput("NaN") },
  { name: "1e999", frame: jsonInput("1e999") },
  { name: "-0", frame: jsonInput("-0") },
  { name: "2^53", frame: jsonInput("9007199254740992") },
  { name: "1,000 digits", frame: jsonInput("1".repeat(1_000)), code: "too-large" as const },
  { name: "a lone surrogate", frame: jsonInput('"\\udfff"') },
  { name: "100,000 levels", frame: jsonInput("[".repeat(100_000)) },
  { name: "a comment", frame: '[{"t":"ping"}/* */]' },
].map((fatal) => ({ encoding: "json" as const, ...fatal }));

const reservedFrames: Fatal[] = ["__proto__", "constructor", "prototype"].flatMap((key) => {
  const escaped = `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`;
  return [0, 1, 7, 60].flatMap((depth): Fatal[] => [
    {
      name: `input with ${key}, ${depth} levels down`,
      encoding: "msgpack",
      frame: withInput("\u0081\u00a1a".repeat(depth), 0x81, 0xa0 | key.length, key, 0x81, 0xa8, "polluted", 0xc3),
    },
    {
      name: `input with ${key}, ${depth} levels down`,
      encoding: "json",
      frame: jsonInput(`${'{"a":'.repeat(depth)}{"${key}":{"polluted":true}}${"}".repeat(depth)}`),
    },
    {
      name: `input with ${key} escaped, ${depth} levels down`,
      encoding: "json",
      frame: jsonInput(`${'{"a":'.repeat(depth)}{"${escaped}":1}${"}".repeat(depth)}`),
    },
  ]);
});

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
