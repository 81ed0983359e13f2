/** Stopping: what is under way is answered, then connections end, and nothing is left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { send } from "../hostile/request.ts";
import { open } from "../hostile/socket.ts";
import { requestId, sign, startTarget } from "../hostile/target.ts";

const own = { type: "wallet", key: "ann" };

test("commands that were taken are answered before the connection closes with 4001", async () => {
  await using target = await startTarget();
  const socket = await open(target.port, "msgpack", await sign({ sub: "ann" }));
  const ids = Array.from({ length: 200 }, () => requestId());
  socket.send(ids.map((id) => ({ t: "command", id, ...own, name: "credit", input: { amount: 1 } })));
  // The first answer shows that the frame was taken.
  await socket.hear((message) => message.t === "reply" && message.id === ids[0]);
  const closing = target.gateway.close();
  for (const id of ids.slice(1)) await socket.hear((message) => message.t === "reply" && message.id === id);
  assert.equal(await socket.closed, 4001);
  await closing;
});

test("a stopped gateway refuses connections and leaves none open", async () => {
  await using target = await startTarget();
  const socket = await open(target.port, "msgpack", await sign({ sub: "ann" }));
  const events = await fetch(`${target.url}/v1/entities/wallet/ann/views/own`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${await sign({ sub: "ann" })}` },
  });
  const silent = await open(target.port, "json");
  await target.gateway.close();
  await target.gateway.close();
  assert.equal(await socket.closed, 4001);
  assert.equal(await silent.closed, 4001);
  assert.match(await events.text(), /event: absolute/);
  await assert.rejects(send(target.port, { path: "/livez" }), /ECONNREFUSED/);
});

test("a client that does not close its side costs no more than the deadline", async () => {
  await using target = await startTarget({ drainMs: 200 });
  const socket = await open(target.port, "msgpack", await sign({ sub: "ann" }));
  socket.raw.pause();
  await target.gateway.close();
  socket.raw.resume();
  await socket.closed;
});
