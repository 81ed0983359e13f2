/** What no honest reader of a feed says: each is answered with a code, costs nothing, and the node goes on serving. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { EmbeddedService } from "../../src/presets/embedded.ts";
import type { ServerMessage } from "../../src/wire/protocol.ts";
import { payMany, readerToken, startService } from "../feeds/service.ts";
import { open, type Socket } from "./socket.ts";

let directory = "";
let service: EmbeddedService;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-feeds-hostile-"));
  service = await startService(directory, 0, { feedsPerConnectionMax: 5 });
  await payMany(service, 2_000, 10);
});

after(async () => {
  await service.stop();
  rmSync(directory, { recursive: true });
});

type Items = Extract<ServerMessage, { t: "items" }>;
const isItems = (message: ServerMessage): message is Items => message.t === "items";
const follow = { t: "follow", id: 1, form: "changes", filter: { types: ["account"] }, start: "beginning", credit: 10 };

function connect(encoding: "msgpack" | "json" = "json"): Promise<Socket> {
  return open(service.gateway.port, encoding, readerToken);
}

async function nothingOpen(): Promise<void> {
  while (service.feeds.size > 0) await new Promise((resolve) => setImmediate(resolve));
}

/** Answered once a ping is: what came before it was worked off. */
async function settle(socket: Socket): Promise<void> {
  await socket.ask([{ t: "ping" }], ({ t }) => t === "pong");
}

for (const [name, changed, code] of [
  ["no form", { form: undefined }, "invalid-input"],
  ["a form that is none", { form: "everything" }, "invalid-input"],
  ["a form that is a list", { form: ["changes"] }, "invalid-input"],
  ["no start", { start: undefined }, "invalid-input"],
  ["a start that is none", { start: "middle" }, "invalid-input"],
  ["two starts", { start: { cursor: "a", timeMs: 1 } }, "invalid-input"],
  ["offsets, which are for readers in the process", { start: { offsets: { 0: 1 } } }, "invalid-input"],
  ["a cursor that is a number", { start: { cursor: 1 } }, "invalid-input"],
  ["a cursor that is none", { start: { cursor: "AAAA" } }, "invalid-cursor"],
  ["a cursor of 100,000 characters", { start: { cursor: "A".repeat(100_000) } }, "invalid-cursor"],
  ["a time below 0", { start: { timeMs: -1 } }, "invalid-input"],
  ["no credit", { credit: undefined }, "invalid-input"],
  ["a credit of 0", { credit: 0 }, "invalid-input"],
  ["a credit below 0", { credit: -5 }, "invalid-input"],
  ["half a credit", { credit: 0.5 }, "invalid-input"],
  ["a credit of 2^53 - 1", { credit: Number.MAX_SAFE_INTEGER }, "invalid-input"],
  ["a credit that is text", { credit: "10" }, "invalid-input"],
  ["a limit of 0", { limit: 0 }, "invalid-input"],
  ["a huge limit", { limit: 1e9 }, "invalid-input"],
  ["a huge linger", { lingerMs: 1e12 }, "invalid-input"],
  ["a filter that is a list", { filter: ["account"] }, "invalid-input"],
  ["a filter with a field nobody knows", { filter: { types: ["account"], principal: "x" } }, "invalid-input"],
  ["no types", { filter: { types: [] } }, "invalid-input"],
  ["types that are numbers", { filter: { types: [1] } }, "invalid-input"],
  ["a shard below 0", { filter: { types: ["account"], shards: [-1] } }, "invalid-input"],
  ["a shard that is not there", { filter: { types: ["account"], shards: [4] } }, "invalid-input"],
  ["the type __proto__", { filter: { types: ["__proto__"] } }, "unknown-type"],
  ["a type of Holdfast's own", { filter: { types: ["holdfast-subscriber"] } }, "unknown-type"],
  ["a type that may not be followed", { filter: { types: ["secret"] } }, "forbidden"],
  ["the view constructor", { form: "absolutes", view: "constructor" }, "unknown-view"],
  ["a view of a change log", { view: "balance" }, "invalid-input"],
  ["a principal of its own choice", { principal: { kind: "operator", id: "me" } }, "invalid-frame"],
] as const) {
  test(`a feed with ${name} is refused with ${code}`, async () => {
    const socket = await connect();
    const answer = await socket.ask(
      [{ ...follow, ...changed }],
      ({ t }) => t === "error" || t === "ended" || t === "items",
    );
    assert.ok(answer.t === "error" || answer.t === "ended", answer.t);
    assert.equal(answer.code, code, answer.detail);
    assert.equal(answer.id, 1);
    await settle(socket);
    assert.equal(service.feeds.size, 0);
    socket.end();
  });
}

for (const [name, message] of [
  ["a credit of nothing", { t: "credit", id: 1 }],
  ["a credit of 0", { t: "credit", id: 1, items: 0 }],
  ["a credit below 0", { t: "credit", id: 1, items: -1 }],
  ["a credit over every limit", { t: "credit", id: 1, items: 1e15 }],
  ["a credit with a field too many", { t: "credit", id: 1, items: 1, more: 1 }],
  ["an unfollow without an id", { t: "unfollow" }],
  ["a feed with an id that is none", { ...follow, id: -1 }],
] as const) {
  test(`${name} ends the connection`, async () => {
    const socket = await connect();
    socket.send([message]);
    assert.equal(await socket.closed, 4400);
  });
}

test("credit that adds up to more than a feed may be allowed ends that feed alone", async () => {
  const socket = await connect();
  await socket.ask(
    [
      { ...follow, start: "now", credit: 60_000 },
      { ...follow, id: 2, start: "now" },
    ],
    isItems,
  );
  const ended = await socket.ask([{ t: "credit", id: 1, items: 10_000 }], ({ t }) => t === "ended");
  assert.deepEqual(ended.t === "ended" && [ended.id, ended.code], [1, "invalid-input"]);
  // A credit that crossed the end is nobody's.
  socket.send([{ t: "credit", id: 1, items: 10 }]);
  await settle(socket);
  assert.equal(service.feeds.size, 1);
  socket.end();
  await nothingOpen();
});

test("a connection follows as many feeds as it may, and an id in use is refused", async () => {
  const socket = await connect("msgpack");
  for (let id = 1; id <= 5; id++) await socket.ask([{ ...follow, id, start: "now" }], isItems);
  const sixth = await socket.ask([{ ...follow, id: 6 }], ({ t }) => t === "error");
  assert.deepEqual(sixth.t === "error" && [sixth.id, sixth.code], [6, "overloaded"]);
  const twice = await socket.ask([{ ...follow, id: 3 }], ({ t }) => t === "error");
  assert.deepEqual(twice.t === "error" && [twice.id, twice.code], [undefined, "invalid-frame"]);
  const view = { t: "subscribe", id: 4, type: "account", key: "a0", view: "balance" };
  const other = await socket.ask([view], ({ t }) => t === "error");
  assert.equal(other.t === "error" && other.code, "invalid-frame");
  socket.send([
    { t: "unfollow", id: 3 },
    { t: "unfollow", id: 3 },
    { t: "unfollow", id: 99 },
  ]);
  assert.equal((await socket.ask([{ ...follow, id: 3, start: "now" }], isItems)).t, "items");
  socket.end();
  await nothingOpen();
});

test("no item comes that was not allowed, and each that was does", async () => {
  const socket = await connect("msgpack");
  socket.send([{ ...follow, credit: 7 }]);
  let count = 0;
  const hear = async (until: number): Promise<void> => {
    while (count < until) count += ((await socket.hear(isItems)) as Items).items.length;
  };
  await hear(7);
  for (let asked = 7; asked < 1_000; asked += 331) {
    socket.send([{ t: "credit", id: 1, items: 331 }]);
    await hear(asked + 331);
    await settle(socket);
    assert.equal(count, asked + 331);
    assert.ok(!socket.messages.some(isItems));
  }
  socket.end();
  await nothingOpen();
});

test("a reader with all the credit there is that takes nothing is cut off, and its feed with it", async () => {
  const place = mkdtempSync(join(tmpdir(), "holdfast-feeds-hostile-"));
  const other = await startService(place, 0, { pingMs: 100 });
  try {
    await payMany(other, 20_000, 10);
    const socket = await open(other.gateway.port, "msgpack", readerToken);
    socket.raw.pause();
    socket.send([{ ...follow, credit: 65_536 }]);
    while (other.feeds.size === 0) await new Promise((resolve) => setImmediate(resolve));
    while (other.feeds.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    socket.end();
  } finally {
    await other.stop();
    rmSync(place, { recursive: true });
  }
});

test("feeds that are opened and given up at once leave nothing behind", async () => {
  const socket = await connect("msgpack");
  for (let round = 0; round < 100; round++)
    socket.send([
      { ...follow, id: 1 },
      { t: "unfollow", id: 1 },
    ]);
  await settle(socket);
  await nothingOpen();
  for (let round = 0; round < 20; round++) {
    const other = await connect();
    other.send([1, 2, 3, 4, 5].map((id) => ({ ...follow, id })));
    other.end();
  }
  await nothingOpen();
  socket.end();
});
