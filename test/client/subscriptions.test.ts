/** Watches: resuming, gaps, sharing, the end; every event decided by the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientLimits } from "../../src/client/limits.ts";
import type { ViewUpdate } from "../../src/client/types.ts";
import type { HoldfastError } from "../../src/model/errors.ts";
import { ofCode, subscribes, World } from "./harness.ts";

type Update = ViewUpdate<unknown>;

function part(update: Update | undefined, name: string): unknown {
  return (update?.value as Record<string, unknown> | undefined)?.[name];
}

async function watching(world: World, view = "seat") {
  const updates: Update[] = [];
  const ended: HoldfastError[] = [];
  const watch = world.client.entity("table", "1").watch(view, (update) => void updates.push(update), {
    onEnded: (error) => void ended.push(error),
  });
  await world.settle();
  return { updates, ended, watch };
}

test("a watcher gets the absolute, then what the deltas make of it, sharing what did not change", async () => {
  const world = new World();
  const socket = await world.open();
  const { updates, watch } = await watching(world);
  const [{ id, ...subscribe } = { id: 0 }] = subscribes(socket.heard());
  assert.deepEqual(subscribe, { t: "subscribe", type: "table", key: "1", view: "seat" });
  socket.say({ t: "absolute", id, version: 3, value: { pot: 1, seats: [{ name: "a" }] } });
  socket.say({ t: "delta", id, from: 3, version: 5, patch: [{ op: "replace", path: "/pot", value: 2 }] });
  assert.deepEqual(updates, [
    { version: 3, value: { pot: 1, seats: [{ name: "a" }] } },
    { version: 5, value: { pot: 2, seats: [{ name: "a" }] }, patch: [{ op: "replace", path: "/pot", value: 2 }] },
  ]);
  assert.equal(part(updates[0], "seats"), part(updates[1], "seats"));
  assert.deepEqual(watch.current, { version: 5, value: updates[1]?.value });
  watch.stop();
  await world.settle();
  assert.deepEqual(socket.heard(), [{ t: "unsubscribe", id }]);
});

test("a delta that starts elsewhere, or does not fit, leads to an absolute", async () => {
  for (const patch of [
    { from: 4, path: "/pot" },
    { from: 3, path: "/none/at/all" },
  ]) {
    const world = new World();
    const socket = await world.open();
    const { updates } = await watching(world);
    const id = subscribes(socket.heard())[0]?.id ?? 0;
    socket.say({ t: "absolute", id, version: 3, value: { pot: 1, seats: [] } });
    socket.say({
      t: "delta",
      id,
      from: patch.from,
      version: 5,
      patch: [{ op: "replace", path: patch.path, value: 2 }],
    });
    socket.say({ t: "delta", id, from: 5, version: 6, patch: [] });
    await world.settle();
    const [left, again, ...more] = socket.heard();
    assert.deepEqual(left, { t: "unsubscribe", id });
    assert.ok(again?.t === "subscribe" && again.id !== id && more.length === 0);
    assert.notEqual(again.run, "run-1", "the server must not answer with deltas");
    assert.equal(updates.length, 1);
    socket.say({ t: "absolute", id: again.id, version: 6, value: { pot: 3, seats: [] } });
    assert.deepEqual(updates[1], {
      version: 6,
      value: { pot: 3, seats: [] },
      patch: [{ op: "replace", path: "/pot", value: 3 }],
    });
    socket.say({ t: "delta", id: again.id, from: 6, version: 7, patch: [{ op: "replace", path: "/pot", value: 4 }] });
    assert.equal(updates.length, 3);
  }
});

test("after a reconnection the subscription is resumed from what is held", async () => {
  const world = new World();
  const socket = await world.open();
  const { updates, watch } = await watching(world);
  const id = subscribes(socket.heard())[0]?.id ?? 0;
  socket.say({ t: "absolute", id, version: 3, value: { pot: 1 } });
  socket.closeWith(1006);
  assert.deepEqual(watch.current, { version: 3, value: { pot: 1 } }, "the last value stays visible");
  const again = await world.reopen();
  const [resumed] = subscribes(again.heard());
  assert.equal(resumed?.from, 3);
  assert.equal(resumed?.run, "run-1");
  again.say({ t: "delta", id: resumed?.id ?? 0, from: 3, version: 3, patch: [] });
  assert.equal(updates.length, 1, "nothing new, nothing told");
  again.say({
    t: "delta",
    id: resumed?.id ?? 0,
    from: 3,
    version: 4,
    patch: [{ op: "replace", path: "/pot", value: 2 }],
  });
  assert.deepEqual(updates[1]?.value, { pot: 2 });
});

test("deltas of another running of the server are not applied to what the old one showed", async () => {
  const world = new World();
  const socket = await world.open();
  const { updates } = await watching(world);
  socket.say({ t: "absolute", id: subscribes(socket.heard())[0]?.id ?? 0, version: 3, value: { pot: 1, same: [] } });
  socket.closeWith(1006);
  const again = await world.reopen({ run: "run-2" });
  const id = subscribes(again.heard())[0]?.id ?? 0;
  again.say({ t: "absolute", id, version: 2, value: { pot: 9, same: [] } });
  assert.equal(updates.length, 1, "an older version might be a door's that has not heard the newest");
  await world.pass(clientLimits.olderViewMs);
  assert.deepEqual(updates[1]?.value, { pot: 9, same: [] });
  assert.equal(part(updates[1], "same"), part(updates[0], "same"));
  again.say({ t: "delta", id, from: 2, version: 4, patch: [{ op: "replace", path: "/pot", value: 8 }] });
  assert.equal(updates.length, 3);
});

test("a door that has not heard the newest version yet takes nobody back to an older one", async () => {
  const world = new World();
  const socket = await world.open();
  const { updates, watch } = await watching(world);
  socket.say({ t: "absolute", id: subscribes(socket.heard())[0]?.id ?? 0, version: 5, value: { pot: 5, same: [] } });
  socket.closeWith(1006);
  const again = await world.reopen({ run: "run-2" });
  const id = subscribes(again.heard())[0]?.id ?? 0;
  again.say({ t: "absolute", id, version: 3, value: { pot: 3, same: [] } });
  again.say({ t: "delta", id, from: 3, version: 5, patch: [{ op: "replace", path: "/pot", value: 5 }] });
  assert.equal(updates.length, 1, "nothing new, nothing told");
  assert.equal(watch.current?.version, 5);
  again.say({ t: "delta", id, from: 5, version: 6, patch: [{ op: "replace", path: "/pot", value: 6 }] });
  await world.pass(clientLimits.olderViewMs);
  assert.deepEqual(
    updates.map(({ version }) => version),
    [5, 6],
  );
  assert.deepEqual(updates[1]?.patch, [{ op: "replace", path: "/pot", value: 6 }]);
  assert.equal(part(updates[1], "same"), part(updates[0], "same"), "what never changed is one object throughout");
});

test("watches of one view share one subscription; the later one is told what is held", async () => {
  const world = new World();
  const socket = await world.open();
  const first = await watching(world);
  const id = subscribes(socket.heard())[0]?.id ?? 0;
  socket.say({ t: "absolute", id, version: 3, value: { pot: 1 } });
  const second = await watching(world);
  assert.deepEqual(socket.heard(), []);
  assert.deepEqual(second.updates, [{ version: 3, value: { pot: 1 } }]);
  first.watch.stop();
  socket.say({ t: "delta", id, from: 3, version: 4, patch: [{ op: "replace", path: "/pot", value: 2 }] });
  await world.settle();
  assert.equal(first.updates.length, 1);
  assert.equal(second.updates.length, 2);
  assert.deepEqual(socket.heard(), []);
  second.watch[Symbol.dispose]();
  await world.settle();
  assert.equal(socket.heard()[0]?.t, "unsubscribe");
  const third = await watching(world);
  assert.equal(subscribes(socket.heard()).length, 1);
  assert.equal(third.updates.length, 0);
});

test("a subscription that ends for now is made again, from what is held; one that is refused ends", async () => {
  const world = new World();
  const socket = await world.open();
  const { updates, ended, watch } = await watching(world);
  const id = subscribes(socket.heard())[0]?.id ?? 0;
  socket.say({ t: "absolute", id, version: 3, value: 1 });
  socket.say({ t: "ended", id, code: "unavailable", detail: "Moving." });
  assert.equal(watch.problem?.code, "unavailable");
  await world.pass(100);
  const [again] = subscribes(socket.heard());
  assert.equal(again?.from, 3);
  socket.say({ t: "delta", id: again?.id ?? 0, from: 3, version: 3, patch: [] });
  assert.equal(watch.problem, undefined);
  socket.say({ t: "ended", id: again?.id ?? 0, code: "forbidden", detail: "Not yours any more." });
  assert.deepEqual(
    ended.map(({ code }) => code),
    ["forbidden"],
  );
  await world.pass(60_000);
  assert.equal(subscribes(socket.heard()).length, 0);
  assert.equal(updates.length, 1);
});

test("a watch that waits for its subscription to be made again can be stopped", async () => {
  const world = new World();
  const socket = await world.open();
  const { watch } = await watching(world);
  const id = subscribes(socket.heard())[0]?.id ?? 0;
  socket.say({ t: "error", id, code: "overloaded", detail: "Too many.", retryAfterMs: 250 });
  watch.stop();
  await world.pass(5_000);
  assert.equal(subscribes(socket.heard()).length, 0);
  await world.client.close();
  assert.equal(world.clock.timers, 0);
});

test("watches made while disconnected are subscribed when it opens; those of a closed client end", async () => {
  const world = new World();
  const { ended } = await watching(world);
  const socket = await world.open();
  assert.equal(subscribes(socket.heard()).length, 1);
  await world.client.close();
  assert.deepEqual(
    ended.map(({ code }) => code),
    ["disconnected"],
  );
  const late = await watching(world);
  assert.deepEqual(
    late.ended.map(({ code }) => code),
    ["disconnected"],
  );
});

test("the signal of a watch stops it", async () => {
  const world = new World();
  const socket = await world.open();
  const controller = new AbortController();
  world.client.entity("table", "1").watch("seat", () => assert.fail(), { signal: controller.signal });
  world.client.entity("table", "2").watch("seat", () => assert.fail(), { signal: AbortSignal.abort() });
  await world.settle();
  const sent = subscribes(socket.heard());
  assert.deepEqual(
    sent.map(({ key }) => key),
    ["1"],
  );
  controller.abort();
  socket.say({ t: "absolute", id: sent[0]?.id ?? 0, version: 1, value: 1 });
  await world.settle();
  assert.equal(socket.heard()[0]?.t, "unsubscribe");
});

test("updates is the newest, for who reads slowly, and ends with its signal or its error", async () => {
  const world = new World();
  const socket = await world.open();
  const controller = new AbortController();
  const updates = world.client.entity("table", "1").updates("seat", { signal: controller.signal });
  const first = updates.next();
  await world.settle();
  const id = subscribes(socket.heard())[0]?.id ?? 0;
  socket.say({ t: "absolute", id, version: 1, value: [1] });
  assert.deepEqual(await first, { done: false, value: { version: 1, value: [1] } });
  socket.say({ t: "delta", id, from: 1, version: 2, patch: [{ op: "add", path: "/1", value: 2 }] });
  socket.say({ t: "delta", id, from: 2, version: 3, patch: [{ op: "add", path: "/2", value: 3 }] });
  assert.deepEqual(await updates.next(), { done: false, value: { version: 3, value: [1, 2, 3] } });
  const waiting = updates.next();
  controller.abort();
  assert.equal((await waiting).done, true);
  await world.settle();
  assert.equal(socket.heard()[0]?.t, "unsubscribe");

  const refused = world.client.entity("table", "1").updates("none");
  const next = assert.rejects(refused.next(), ofCode("unknown-view"));
  await world.settle();
  socket.say({ t: "error", id: subscribes(socket.heard())[0]?.id ?? 0, code: "unknown-view", detail: "No such view." });
  await next;
  assert.equal((await refused.next()).done, true);

  for await (const _update of world.client.entity("table", "1").updates("seat", { signal: AbortSignal.abort() }))
    assert.fail();
});
