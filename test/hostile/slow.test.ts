/** Senders that never finish, readers that never read, floods over every limit: each ends by a deadline or a refusal. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodePlain } from "../../src/wire/codec.ts";
import { send } from "./request.ts";
import { open, type Socket, tcp } from "./socket.ts";
import { requestId, sign, startTarget } from "./target.ts";

const quick = { handshakeMs: 300, requestMs: 300, pingMs: 200, keepAliveMs: 300, slowMs: 300 };
const own = { type: "wallet", key: "mallory" };
const upgrade = [
  "GET /v1/socket HTTP/1.1",
  "Host: 127.0.0.1",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  "Sec-WebSocket-Protocol: holdfast.v1.json",
  "",
  "",
].join("\r\n");

/** A masked frame (mask 0) of this opcode; `announced` may be more than what follows. */
function frame(first: number, payload: string, announced = payload.length): string {
  const length =
    announced < 126
      ? String.fromCharCode(0x80 | announced)
      : `\u00fe${String.fromCharCode(announced >> 8, announced & 255)}`;
  return `${String.fromCharCode(first)}${length}\0\0\0\0${payload}`;
}
const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");

const stalls: readonly { readonly name: string; readonly sent: string; readonly answer: RegExp }[] = [
  { name: "nothing at all", sent: "", answer: /^(HTTP\/1\.1 408|$)/ },
  { name: "half of a request line", sent: "GET /liv", answer: /^HTTP\/1\.1 408/ },
  { name: "headers that never end", sent: "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n", answer: /^HTTP\/1\.1 408/ },
  {
    name: "half of a body",
    sent: "POST /v1/entities/wallet/good/commands/note HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[1,",
    answer: /^HTTP\/1\.1 408/,
  },
  {
    name: "half of a chunked body",
    sent: "POST /v1/entities/wallet/good/commands/note HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n",
    answer: /^HTTP\/1\.1 408/,
  },
  { name: "an upgrade and then nothing", sent: upgrade, answer: /101[^]*No valid token/ },
  { name: "an upgrade and half of a frame header", sent: `${upgrade}\u0081`, answer: /101[^]*/ },
  { name: "an upgrade and half of a hello", sent: upgrade + frame(0x81, '[{"t":"he', 100), answer: /101[^]*/ },
  {
    name: "an upgrade and fragments that never end",
    sent: upgrade + frame(0x01, '[{"t":"he') + frame(0x00, "l") + frame(0x00, "l"),
    answer: /101[^]*/,
  },
  {
    name: "an upgrade and pings, but no hello",
    sent: upgrade + frame(0x89, "a") + frame(0x89, "b"),
    answer: /101[^]*/,
  },
];

for (const { name, sent, answer } of stalls) {
  test(`${name}: the connection is closed by a deadline`, async () => {
    await using target = await startTarget(quick);
    const { received } = tcp(target.port, bytes(sent.replace("TOKEN", await sign({ sub: "good" }))));
    assert.match(await received, answer);
    await target.stillServing();
    assert.deepEqual(target.problems, []);
  });
}

test("a chunked body is refused at the limit, not at its end", async () => {
  await using target = await startTarget();
  const head =
    "POST /v1/entities/wallet/good/commands/note HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  const chunk = `8000\r\n${"1".repeat(0x8000)}\r\n`;
  const { received } = tcp(target.port, head.replace("TOKEN", await sign({ sub: "good" })) + chunk.repeat(9));
  assert.match(await received, /^HTTP\/1\.1 413/);
  await target.stillServing();
});

test("a body that comes one byte at a time is cut off by the deadline", async () => {
  await using target = await startTarget(quick);
  const { socket, received } = tcp(
    target.port,
    "POST /v1/entities/wallet/good/commands/note HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n",
  );
  const drip = setInterval(() => socket.write("1"), 20);
  await received;
  clearInterval(drip);
  await target.stillServing();
});

test("a half-sent frame on a connection that is welcome is closed by a deadline", async () => {
  await using target = await startTarget({ ...quick, pingMs: 60_000 });
  const socket = await open(target.port, "json", await sign({ sub: "mallory" }));
  (socket.raw as unknown as { _socket: { write(data: Uint8Array): void } })._socket.write(
    bytes(frame(0x81, "[{", 200)),
  );
  assert.equal(await socket.closed, 4408);
  await target.stillServing();
});

test("a frame that comes one byte at a time is closed by a deadline, pings in between or not", async () => {
  await using target = await startTarget({ ...quick, pingMs: 60_000 });
  const socket = await open(target.port, "json", await sign({ sub: "mallory" }));
  const below = (socket.raw as unknown as { _socket: { write(data: Uint8Array): void } })._socket;
  below.write(bytes(frame(0x81, "[", 10_000)));
  const drip = setInterval(() => below.write(bytes("1")), 20);
  assert.equal(await socket.closed, 4408);
  clearInterval(drip);
  await target.stillServing();
});

test("a connection that answers no ping is closed, and one that does stays", async () => {
  await using target = await startTarget({ ...quick, requestMs: 5_000 });
  const token = await sign({ sub: "mallory" });
  const deaf = await open(target.port, "json", token);
  const alive = await open(target.port, "json", token);
  (deaf.raw as unknown as { _autoPong: boolean })._autoPong = false;
  assert.equal(await deaf.closed, 1006);
  await alive.ask([{ t: "ping" }], (message) => message.t === "pong");
  alive.end();
  await target.stillServing();
});

const garbage: readonly { readonly name: string; readonly sent: string; readonly answer: RegExp }[] = [
  {
    name: "no HTTP",
    sent: "\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003\r\n\r\n",
    answer: /^HTTP\/1\.1 400[^]*invalid-frame/,
  },
  { name: "a method nobody knows", sent: "STEAL / HTTP/1.1\r\nHost: x\r\n\r\n", answer: /^HTTP\/1\.1 400/ },
  { name: "no host", sent: "GET /livez HTTP/1.1\r\n\r\n", answer: /^HTTP\/1\.1 400/ },
  { name: "a NUL in a header", sent: "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n", answer: /^HTTP\/1\.1 400/ },
  { name: "a line feed without a return", sent: "GET /livez HTTP/1.1\nHost: x\n\n", answer: /^HTTP\/1\.1 400/ },
  {
    name: "two lengths",
    sent: "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    answer: /^HTTP\/1\.1 400/,
  },
  {
    name: "a length and chunks (smuggling)",
    sent: "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    answer: /^HTTP\/1\.1 400/,
  },
  {
    name: "a chunk size that is no number",
    sent: "POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    answer: /^HTTP\/1\.1 40[05]/,
  },
  {
    name: "a length below 0",
    sent: "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    answer: /^HTTP\/1\.1 400/,
  },
  {
    name: "headers of 20 KiB",
    sent: `GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`,
    answer: /^HTTP\/1\.1 431[^]*too-large/,
  },
  {
    name: "a path of 20 KiB",
    sent: `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    answer: /^HTTP\/1\.1 431/,
  },
  { name: "CONNECT", sent: "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", answer: /^$/ },
  { name: "HTTP/2 by prior knowledge", sent: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", answer: /^HTTP\/1\.1 400/ },
  {
    name: "an upgrade to something else",
    sent: "GET /v1/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    answer: /^HTTP\/1\.1 400/,
  },
  { name: "an upgrade by POST", sent: upgrade.replace("GET", "POST"), answer: /^HTTP\/1\.1 40[05]/ },
  { name: "an upgrade of an old version", sent: upgrade.replace("Version: 13", "Version: 7"), answer: /^HTTP\/1\.1 4/ },
  { name: "an upgrade without a key", sent: upgrade.replace(/Sec-WebSocket-Key.*\r\n/, ""), answer: /^HTTP\/1\.1 400/ },
  { name: "a frame without a mask", sent: `${upgrade}\u0081\u0002[]`, answer: /101[^]*\u0088/ },
  { name: "a frame of a reserved opcode", sent: upgrade + frame(0x83, "x"), answer: /101[^]*\u0088/ },
  { name: "a frame with a reserved bit", sent: upgrade + frame(0xc1, "x"), answer: /101[^]*\u0088/ },
  { name: "a continuation of nothing", sent: upgrade + frame(0x80, "x"), answer: /101[^]*\u0088/ },
  { name: "a ping of 126 bytes", sent: upgrade + frame(0x89, "x".repeat(126)), answer: /101[^]*\u0088/ },
  { name: "a fragmented ping", sent: upgrade + frame(0x09, "x"), answer: /101[^]*\u0088/ },
  {
    name: "a frame that announces 2^63 bytes",
    sent: `${upgrade}\u0082\u00ff\u007f\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\0\0\0\0`,
    answer: /101[^]*\u0088/,
  },
  { name: "a close with a code that is none", sent: upgrade + frame(0x88, "\u0000\u0001"), answer: /101[^]*\u0088/ },
];

for (const { name, sent, answer } of garbage) {
  test(`${name}: refused`, async () => {
    await using target = await startTarget({ ...quick, requestMs: 2_000 });
    const { socket, received } = tcp(target.port, bytes(sent));
    // What was answered but kept open is closed from here; only the answer counts.
    const done = setTimeout(() => socket.end(), 1_500);
    assert.match(await received, answer);
    clearTimeout(done);
    await target.stillServing();
    assert.deepEqual(target.problems, []);
  });
}

test("more connections from one address than it may have are told so", async () => {
  await using target = await startTarget({ connectionsPerAddressMax: 5 });
  await target.stillServing();
  const held: Socket[] = [];
  for (let index = 0; index < 3; index++) held.push(await open(target.port, "json"));
  // One of `stillServing`, its idle one of `fetch`, and three: the next is one too many.
  const answer = await tcp(target.port, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").received;
  assert.match(answer, /^HTTP\/1\.1 503[^]*Retry-After[^]*overloaded/);
  for (const socket of held) socket.end();
  await Promise.all(held.map((socket) => socket.closed));
  await target.stillServing();
});

test("more connections than the node may have are told so", async () => {
  await using target = await startTarget({ connectionsMax: 2 });
  await target.stillServing();
  assert.match(await tcp(target.port, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").received, /^HTTP\/1\.1 503/);
  await target.stillServing();
});

test("commands over the limit of one connection are answered overloaded, the others carried out", async () => {
  await using target = await startTarget({ inflightPerConnectionMax: 10 });
  const socket = await open(target.port, "msgpack", await sign({ sub: "mallory" }));
  const ids = Array.from({ length: 50 }, () => requestId());
  socket.send(ids.map((id) => ({ t: "command", id, ...own, name: "credit", input: { amount: 1 } })));
  const answers = await Promise.all(ids.map((id) => socket.hear((message) => "id" in message && message.id === id)));
  const refused = answers.filter(
    (message) => message.t === "error" && message.code === "overloaded" && message.retryAfterMs !== undefined,
  );
  assert.equal(answers.filter((message) => message.t === "reply").length, 10);
  assert.equal(refused.length, 40);
  socket.end();
  await target.stillServing();
});

test("subscriptions over the limit of one connection are answered overloaded", async () => {
  await using target = await startTarget({ subscriptionsPerConnectionMax: 3 });
  const socket = await open(target.port, "msgpack", await sign({ sub: "mallory" }));
  for (let id = 1; id <= 3; id++)
    await socket.ask(
      [{ t: "subscribe", id, ...own, view: "public" }],
      (message) => message.t === "absolute" && message.id === id,
    );
  const refusal = await socket.ask(
    [{ t: "subscribe", id: 4, ...own, view: "public" }],
    (message) => message.t === "error",
  );
  assert.equal((refusal as { code: string }).code, "overloaded");
  socket.send([{ t: "unsubscribe", id: 1 }]);
  await socket.ask(
    [{ t: "subscribe", id: 5, ...own, view: "public" }],
    (message) => message.t === "absolute" && message.id === 5,
  );
  socket.end();
  await target.stillServing();
});

test("entities over the quota of one principal are answered overloaded on both doors, others may go on", async () => {
  await using target = await startTarget({ createsPerMinuteMax: 2 });
  const token = await sign({ sub: "mallory" });
  const socket = await open(target.port, "msgpack", token);
  const credit = (key: string) =>
    send(target.port, {
      method: "POST",
      path: `/v1/entities/wallet/${key}/commands/credit`,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: '{"amount":1}',
    });
  assert.equal((await credit("mallory")).status, 200);
  assert.equal((await credit("mallory_2")).status, 200);
  const refused = await credit("mallory_3");
  assert.equal(refused.status, 503, refused.text);
  assert.equal(refused.code, "overloaded");
  assert.ok(Number(refused.headers["retry-after"]) > 0);
  const ids = Array.from({ length: 1_000 }, () => requestId());
  socket.send(
    ids.map((id, index) => ({
      t: "command",
      id,
      type: "wallet",
      key: `mallory_${index + 3}`,
      name: "credit",
      input: { amount: 1 },
    })),
  );
  for (const id of ids) {
    const answer = await socket.hear((message) => "id" in message && message.id === id);
    assert.equal((answer as { code?: string }).code, "overloaded");
  }
  // Only creating is used up: what exists goes on, and so does everybody else.
  assert.equal((await credit("mallory_2")).status, 200);
  await target.stillServing();
  socket.end();
});

test("a reader that reads nothing is closed with 4429", async () => {
  await using target = await startTarget({ outgoingBytesPerConnectionMax: 256 * 1024, slowMs: 300, handshakeMs: 300 });
  const token = await sign({ sub: "mallory" });
  const writer = await open(target.port, "msgpack", token);
  const reader = await open(target.port, "msgpack", token);
  await reader.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], (message) => message.t === "absolute");
  reader.raw.pause();
  // More than the sockets of both sides take, and for longer than a reader may be behind.
  const untilMs = performance.now() + 1_500;
  for (let index = 0; index < 300 || performance.now() < untilMs; index++) {
    const id = requestId();
    const note = `${index}${"x".repeat(50_000)}`;
    await writer.ask(
      [{ t: "command", id, ...own, name: "note", input: note }],
      (message) => message.t === "reply" && message.id === id,
    );
  }
  // Paused it does not see the close; reading again it gets what was queued and then the end.
  reader.raw.resume();
  assert.ok([4429, 1006].includes(await reader.closed));
  writer.end();
  await target.stillServing();
});

test("a caller that asks for much and reads nothing is cut off at the limit, not after a while", async () => {
  await using target = await startTarget({
    outgoingBytesPerConnectionMax: 256 * 1024,
    slowMs: 600_000,
    pingMs: 600_000,
  });
  const socket = await open(target.port, "msgpack", await sign({ sub: "mallory" }));
  const id = requestId();
  await socket.ask(
    [{ t: "command", id, ...own, name: "note", input: "x".repeat(60_000) }],
    (message) => message.t === "reply" && message.id === id,
  );
  socket.raw.pause();
  // 60 MB of answers: more than the sockets of both sides take.
  socket.send(Array.from({ length: 1_000 }, (_, index) => ({ t: "query", id: index + 1, ...own, name: "note" })));
  await target.stillServing();
  await new Promise((resolve) => setTimeout(resolve, 200));
  socket.raw.resume();
  assert.ok([4429, 1006].includes(await socket.closed));
  assert.ok(socket.messages.length < 1_000);
  await target.stillServing();
});

test("a reader that pauses for a while gets an absolute instead of what it missed", async () => {
  await using target = await startTarget({
    outgoingBytesPerConnectionMax: 512 * 1024,
    slowMs: 60_000,
    deltasKeptMax: 4,
  });
  const token = await sign({ sub: "mallory" });
  const writer = await open(target.port, "msgpack", token);
  const reader = await open(target.port, "msgpack", token);
  await reader.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], (message) => message.t === "absolute");
  reader.raw.pause();
  const rounds = 300;
  let last = 0;
  for (let index = 1; index <= rounds; index++) {
    const id = requestId();
    const reply = await writer.ask(
      [{ t: "command", id, ...own, name: "note", input: `${index}:${"x".repeat(50_000)}` }],
      (message) => message.t === "reply" && message.id === id,
    );
    last = (reply as { version: number }).version;
  }
  reader.raw.resume();
  const latest = await reader.hear(
    (message) => (message.t === "absolute" || message.t === "delta") && message.version === last,
  );
  assert.equal(latest.t, "absolute");
  assert.ok(reader.messages.length < rounds / 2, `${reader.messages.length} messages were queued`);
  writer.end();
  reader.end();
  await target.stillServing();
});

test("a flood of frames before the welcome is cut off", async () => {
  await using target = await startTarget({ inflightPerConnectionMax: 10 });
  const socket = await open(target.port, "msgpack");
  const token = await sign({ sub: "mallory" });
  socket.send(encodePlain([{ t: "hello", token }, ...Array.from({ length: 500 }, () => ({ t: "ping" }))], "msgpack"));
  assert.equal(await socket.closed, 4400);
  await target.stillServing();
});
