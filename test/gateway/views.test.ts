/** Subscriptions over WebSockets and server-sent events: absolute first, then deltas, resumed where a reader left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { applyPatch } from "../../src/std/patch.ts";
import type { Plain } from "../../src/std/plain.ts";
import type { ServerMessage } from "../../src/wire/protocol.ts";
import { open, type Socket } from "../hostile/socket.ts";
import { requestId, sign, startTarget, type Target } from "../hostile/target.ts";

const own = { type: "wallet", key: "ann" };
const filler = Array.from({ length: 50 }, (_, index) => ({ index, text: `line ${index}` }));

async function connect(target: Target): Promise<Socket> {
  return open(target.port, "msgpack", await sign({ sub: "ann" }));
}

/** Changes one small part of a large view. @returns the version after it */
async function change(socket: Socket, text: string): Promise<number> {
  const id = requestId();
  const reply = await socket.ask(
    [{ t: "command", id, ...own, name: "note", input: { filler, text } }],
    (message) => message.t === "reply" && message.id === id,
  );
  return (reply as { version: number }).version;
}

type ViewMessage = Extract<ServerMessage, { t: "absolute" | "delta" }>;

function follow(view: { value: Plain; version: number }, message: ViewMessage): { value: Plain; version: number } {
  if (message.t === "absolute") return { value: message.value, version: message.version };
  assert.equal(message.from, view.version, "a delta follows what was sent before it");
  return { value: applyPatch(view.value, message.patch), version: message.version };
}

const isView = (message: ServerMessage): message is ViewMessage => message.t === "absolute" || message.t === "delta";

test("an absolute comes first, then deltas that make the view of each version", async () => {
  await using target = await startTarget();
  const socket = await connect(target);
  await change(socket, "start");
  const first = (await socket.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], isView)) as ViewMessage;
  assert.equal(first.t, "absolute");
  let view = follow({ value: null, version: 0 }, first);
  for (let index = 0; index < 20; index++) {
    const version = await change(socket, `change ${index}`);
    const news = (await socket.hear((message) => isView(message) && message.version === version)) as ViewMessage;
    assert.equal(news.t, "delta");
    view = follow(view, news);
    assert.deepEqual(view.value, { balance: 0, note: { filler, text: `change ${index}` }, viewer: "ann" });
  }
  socket.end();
});

test("views of every size arrive whole and in order among answers, in both encodings", async () => {
  await using target = await startTarget({ inputBytesMax: 128 * 1024 });
  for (const encoding of ["msgpack", "json"] as const) {
    const token = await sign({ sub: "ann" });
    const [writer, reader] = [await connect(target), await open(target.port, encoding, token)];
    let view = follow(
      { value: null, version: 0 },
      (await reader.ask([{ t: "subscribe", id: 300, ...own, view: "own" }], isView)) as ViewMessage,
    );
    for (const size of [0, 40, 60, 80, 125, 126, 60_000, 65_400, 65_500, 65_536, 70_000, 1]) {
      const id = requestId();
      const input = { text: `é${"x".repeat(size)}` };
      const answer = await writer.ask(
        [{ t: "command", id, ...own, name: "note", input }],
        (message) => message.t === "reply" && message.id === id,
      );
      const { version } = answer as { version: number };
      const news = (await reader.hear((message) => isView(message) && message.version === version)) as ViewMessage;
      assert.equal(news.id, 300);
      view = follow(view, news);
      assert.deepEqual(view.value, { balance: 0, note: input, viewer: "ann" });
    }
    writer.end();
    reader.end();
  }
});

test("a subscription of an entity that does not exist yet starts with its initial state at version 0", async () => {
  await using target = await startTarget();
  const socket = await connect(target);
  const first = await socket.ask([{ t: "subscribe", id: 1, ...own, view: "public" }], isView);
  assert.deepEqual(first, { t: "absolute", id: 1, version: 0, value: { balance: 0 } });
  socket.end();
});

test("who comes back with `from` and `run` gets the deltas in between, without an absolute", async () => {
  await using target = await startTarget();
  const writer = await connect(target);
  await change(writer, "start");
  const reader = await open(target.port, "msgpack");
  const welcome = await reader.ask(
    [{ t: "hello", token: await sign({ sub: "ann" }) }],
    (message) => message.t === "welcome",
  );
  const { run } = welcome as { run: string };
  let view = follow(
    { value: null, version: 0 },
    (await reader.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], isView)) as ViewMessage,
  );
  reader.end();
  await reader.closed;
  let version = 0;
  for (let index = 0; index < 5; index++) version = await change(writer, `missed ${index}`);
  const back = await connect(target);
  back.send([{ t: "subscribe", id: 9, ...own, view: "own", from: view.version, run }]);
  for (let index = 0; index < 5; index++) {
    const news = (await back.hear(isView)) as ViewMessage;
    assert.equal(news.t, "delta");
    view = follow(view, news);
  }
  assert.equal(view.version, version);
  assert.deepEqual((view.value as { note: { text: string } }).note.text, "missed 4");
  // Nothing missed: an empty delta says so.
  const again = await connect(target);
  assert.deepEqual(await again.ask([{ t: "subscribe", id: 2, ...own, view: "own", from: version, run }], isView), {
    t: "delta",
    id: 2,
    from: version,
    version,
    patch: [],
  });
  for (const socket of [writer, back, again]) socket.end();
});

test("who comes back too late, or from another running, gets an absolute", async () => {
  await using target = await startTarget({ deltasKeptMax: 3 });
  const writer = await connect(target);
  const from = await change(writer, "start");
  const reader = await connect(target);
  await reader.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], isView);
  for (let index = 0; index < 6; index++) await change(writer, `missed ${index}`);
  const welcome = await (await open(target.port, "msgpack")).ask(
    [{ t: "hello", token: await sign({ sub: "ann" }) }],
    (message) => message.t === "welcome",
  );
  const { run } = welcome as { run: string };
  for (const resume of [{ from, run }, { from: from + 5, run: "another" }, { from: 999_999, run }, { from }]) {
    const back = await connect(target);
    const news = (await back.ask([{ t: "subscribe", id: 9, ...own, view: "own", ...resume }], isView)) as ViewMessage;
    assert.equal(news.t, "absolute", JSON.stringify(resume));
    back.end();
  }
  writer.end();
  reader.end();
});

test("a change larger than the view is sent as an absolute", async () => {
  await using target = await startTarget();
  const socket = await connect(target);
  await socket.ask([{ t: "subscribe", id: 1, ...own, view: "public" }], isView);
  const id = requestId();
  socket.send([{ t: "command", id, ...own, name: "credit", input: { amount: 7 } }]);
  const news = await socket.hear((message) => isView(message) && message.version > 0);
  assert.equal(news.t, "absolute");
  socket.end();
});

test("nothing of a subscription comes after it was ended by the client", async () => {
  await using target = await startTarget();
  const socket = await connect(target);
  await socket.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], isView);
  socket.send([
    { t: "unsubscribe", id: 1 },
    { t: "unsubscribe", id: 77 },
  ]);
  await change(socket, "unseen");
  await socket.ask([{ t: "ping" }], (message) => message.t === "pong");
  assert.deepEqual(socket.messages, []);
  // The id is free again.
  await socket.ask([{ t: "subscribe", id: 1, ...own, view: "own" }], isView);
  socket.end();
});

test("replies of one group commit leave in few frames", async () => {
  await using target = await startTarget();
  const socket = await connect(target);
  let frames = 0;
  socket.raw.on("message", () => frames++);
  const ids = Array.from({ length: 500 }, () => requestId());
  socket.send(ids.map((id) => ({ t: "command", id, ...own, name: "credit", input: { amount: 1 } })));
  for (const id of ids) await socket.hear((message) => message.t === "reply" && message.id === id);
  assert.ok(frames <= 20, `${frames} frames`);
  socket.end();
});

interface Event {
  readonly id: string;
  readonly event: string;
  readonly data: { readonly version: number; readonly value?: Plain; readonly from?: number; readonly patch?: never };
}

/** Reads a stream of events by hand: `EventSource` cannot carry a token. */
async function stream(
  target: Target,
  lastEventId?: string,
): Promise<{ next(): Promise<Event>; head: string[]; end(): void; response: Response }> {
  const abort = new AbortController();
  const response = await fetch(`${target.url}/v1/entities/wallet/ann/views/own`, {
    headers: {
      accept: "text/event-stream",
      authorization: `Bearer ${await sign({ sub: "ann" })}`,
      ...(lastEventId === undefined ? undefined : { "last-event-id": lastEventId }),
    },
    signal: abort.signal,
  });
  assert.equal(response.status, 200);
  const reader = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream() as never)
    .getReader() as ReadableStreamDefaultReader<string>;
  let text = "";
  const head: string[] = [];
  const next = async (): Promise<Event> => {
    for (;;) {
      const end = text.indexOf("\n\n");
      if (end === -1) {
        const { value, done } = await reader.read();
        if (done) throw new Error("the stream ended");
        text += value;
        continue;
      }
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      const fields = Object.fromEntries(
        block
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trimStart()]),
      );
      if (fields["data"] === undefined) head.push(block);
      else
        return {
          id: fields["id"] ?? "",
          event: fields["event"] ?? "",
          data: JSON.parse(fields["data"]) as Event["data"],
        };
    }
  };
  return { next, head, end: () => abort.abort(), response };
}

test("events have a cursor, and who comes back with Last-Event-ID gets the deltas it missed", async () => {
  await using target = await startTarget();
  const writer = await connect(target);
  await change(writer, "start");
  const events = await stream(target);
  assert.match(events.response.headers.get("content-type") ?? "", /^text\/event-stream/);
  const first = await events.next();
  assert.deepEqual(events.head, ["retry: 1000"]);
  assert.equal(first.event, "absolute");
  assert.match(first.id, new RegExp(`^[A-Za-z0-9_-]+:${first.data.version}$`));
  await change(writer, "seen");
  const second = await events.next();
  assert.deepEqual([second.event, second.data.from], ["delta", first.data.version]);
  events.end();
  await change(writer, "missed 1");
  const version = await change(writer, "missed 2");
  const back = await stream(target, second.id);
  assert.deepEqual([(await back.next()).data.from, (await back.next()).data.version], [second.data.version, version]);
  back.end();
  for (const id of ["another:7", "nonsense", `${first.id}0`]) {
    const anew = await stream(target, id);
    assert.equal((await anew.next()).event, "absolute");
    anew.end();
  }
  writer.end();
});

test("a stream without news gets a heartbeat", async () => {
  await using target = await startTarget({ pingMs: 60 });
  const events = await stream(target);
  await events.next();
  void events.next().catch(() => {});
  while (!events.head.some((block) => block.startsWith(":"))) await new Promise((resolve) => setTimeout(resolve, 10));
  events.end();
});

test("a stream ends when its token does", async () => {
  await using target = await startTarget({ pingMs: 200 });
  const response = await fetch(`${target.url}/v1/entities/wallet/ann/views/own`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${await sign({ sub: "ann" }, 1)}` },
  });
  const text = await response.text();
  assert.match(text, /event: ended\ndata: \{"code":"unauthenticated"/);
});
