/** What must hold of watches: shared, kept a while for who comes back, and never more than a bound. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { Limits } from "../model/limits.ts";
import type { WatchCall, WatchNews } from "../model/records.ts";
import { startNode } from "../runtime/node.ts";
import { type Subscriber, type Watchable, WatchHub } from "./subscriptions.ts";

const counter = defineEntity("counter", {
  state: () => ({ count: 0 }),
  events: {
    added: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({ add: command((_state, _input, context) => context.emit("added", {})) }),
  views: { count: (state) => state.count },
  access: () => true,
});

const start = (limits: Partial<Limits>) =>
  startNode({
    entities: [counter],
    log: openMemoryLog({ shardCount: 1 }),
    shardCount: 1,
    clock: systemClock,
    random: systemRandom,
    limits,
  });

const watchOf = (key: string, id = "ann", roles?: readonly string[]): WatchCall => ({
  entity: { type: "counter", key },
  view: "count",
  principal: { kind: "user", id, ...(roles === undefined ? undefined : { roles }) },
});

/** A subscriber and its first absolute. */
function listener(): { subscriber: Subscriber; first: Promise<void> } {
  let heard = (): void => {};
  const first = new Promise<void>((resolve) => {
    heard = resolve;
  });
  return { subscriber: { ready: () => true, show: heard, ended: () => {} }, first };
}

test("subscribers of one principal share a watch; another principal, or other roles, have their own", async () => {
  await using node = await start({});
  const hub = new WatchHub(node, systemClock);
  const calls = [watchOf("a"), watchOf("a"), watchOf("a", "bob"), watchOf("a", "ann", ["admin"]), watchOf("b")];
  for (const call of calls) {
    const { subscriber, first } = listener();
    hub.subscribe(call, {}, subscriber);
    await first;
  }
  assert.equal(hub.size, 4);
  hub.close();
  assert.equal(hub.size, 0);
});

test("names of principals cannot be made to look like another's", async () => {
  await using node = await start({});
  const hub = new WatchHub(node, systemClock);
  hub.subscribe(watchOf("a", 'ann",["x"]'), {}, listener().subscriber);
  hub.subscribe(watchOf("a", "ann", ["x"]), {}, listener().subscriber);
  hub.subscribe(watchOf("a", "ann", ['x","y']), {}, listener().subscriber);
  hub.subscribe(watchOf("a", "ann", ["x", "y"]), {}, listener().subscriber);
  assert.equal(hub.size, 4);
  hub.close();
});

test("watches without subscribers are bounded and end by themselves", async () => {
  await using node = await start({ watchesLingeringMax: 3, watchLingerMs: 50 });
  const hub = new WatchHub(node, systemClock);
  for (let index = 0; index < 10; index++) {
    const { subscriber, first } = listener();
    const subscription = hub.subscribe(watchOf(`k${index}`), {}, subscriber);
    await first;
    hub.unsubscribe(subscription);
    hub.unsubscribe(subscription);
  }
  assert.ok(hub.size <= 3);
  while (hub.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  hub.close();
});

test("a watch that nobody got a value of is ended at once", async () => {
  await using node = await start({});
  const hub = new WatchHub(node, systemClock);
  hub.unsubscribe(hub.subscribe(watchOf("a"), {}, listener().subscriber));
  assert.equal(hub.size, 0);
  hub.close();
});

test("a version older than another watch of the same values has told is not shown: its own newer one follows", async () => {
  await using node = await start({});
  const listeners: ((news: WatchNews) => void)[] = [];
  const service: Watchable = {
    limits: node.limits,
    run: node.run,
    definitions: node.definitions,
    watch: (_call, told) => {
      listeners.push(told);
      return () => {};
    },
  };
  const hub = new WatchHub(service, systemClock);
  const shown = [0, 0];
  for (const [at, id] of ["ann", "bob"].entries())
    hub.subscribe(watchOf("a", id), {}, { ready: () => true, show: () => (shown[at] as number)++, ended: () => {} });
  const [ann, bob] = listeners as [(news: WatchNews) => void, (news: WatchNews) => void];
  ann({ ok: true, version: 10, value: 10 });
  // As from an owner of before that does not know it yet.
  bob({ ok: true, version: 9, value: 9 });
  assert.deepEqual(shown, [1, 0]);
  bob({ ok: true, version: 10, value: 10 });
  assert.deepEqual(shown, [1, 1]);
  hub.close();
});
