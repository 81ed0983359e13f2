/** A client and the doors of its service, over real sockets: doors die, hang and stop, and user code does not notice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, connect } from "../../src/client/index.ts";
import { type Door, DoorsService, readerToken } from "./doors.harness.ts";
import type { Entities } from "./service.ts";

const token = "dev:ann";
const doorCount = 3;
const callers = 20;
const keys = 5;

interface Seen {
  readonly versions: number[];
  value: { readonly count: number } | undefined;
}

/** Watches every ledger; resolves with what was seen when all show `count` entries. */
function watchAll(client: Client<Entities>): { readonly seen: Seen[]; until(count: number): Promise<void> } {
  let wake = (): void => {};
  const seen = Array.from({ length: keys }, (_, key) => {
    const one: Seen = { versions: [], value: undefined };
    client.entity("ledger", String(key)).watch("summary", ({ value, version }) => {
      one.versions.push(version);
      one.value = value;
      wake();
    });
    return one;
  });
  const until = async (count: number): Promise<void> => {
    while (seen.some(({ value }) => value?.count !== count)) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { seen, until };
}

/**
 * Has 20 callers enter `rounds` numbers each, one after another, and the client's door disturbed now and then. Afterwards every
 * command was answered once and is there once, in the place its reply told, and the watches show the end.
 */
async function play(
  service: DoorsService,
  client: Client<Entities>,
  rounds: number,
  every: number,
  disturb: (door: Door, times: number) => Promise<void>,
): Promise<void> {
  const watches = watchAll(client);
  const replies = new Map<number, number>();
  let disturbances: Promise<void> = Promise.resolve();
  const all = Array.from({ length: callers }, async (_, caller) => {
    for (let round = 0; round < rounds; round++) {
      const number = caller * 100_000 + round;
      const { value } = await client.entity("ledger", String(caller % keys)).execute("enter", { number });
      assert.equal(value.number, number);
      assert.ok(!replies.has(number));
      replies.set(number, value.count);
      const times = replies.size / every;
      if (!Number.isInteger(times)) continue;
      disturbances = disturbances.then(() =>
        disturb(service.at(client.door ?? service.urls[0]?.replace("http", "ws")), times),
      );
    }
  });
  await Promise.all(all);
  await disturbances;
  assert.equal(replies.size, callers * rounds);
  await watches.until((callers / keys) * rounds);
  for (let key = 0; key < keys; key++) {
    const { value: entries } = await client.entity("ledger", String(key)).query("entries");
    assert.equal(entries.length, (callers / keys) * rounds);
    for (const [index, number] of entries.entries()) assert.equal(replies.get(number), index + 1);
    const { versions } = watches.seen[key] as Seen;
    assert.deepEqual(
      versions,
      [...new Set(versions)].sort((one, other) => one - other),
      "no version twice or backwards",
    );
  }
}

test("a client that knew one door goes on when doors are killed, one after another", async () => {
  await using service = await new DoorsService().start(doorCount);
  await using client = connect<Entities>({ url: service.urls[0] as string, token });
  await client.opened();
  let killed: Door | undefined;
  await play(service, client, 100, 300, async (door) => {
    await killed?.wire.revive();
    killed = door;
    await door.wire.kill();
  });
  const dialled = service.doors.map(({ wire }) => wire.connections);
  assert.ok(dialled.filter((count) => count > 0).length > 1, dialled.join(" "));
});

test("doors that hang are found by their silence, and left", async () => {
  await using service = await new DoorsService().start(doorCount);
  await using client = connect<Entities>({ url: service.urls, token, silenceMs: 200 });
  await client.opened();
  let hung: Door | undefined;
  await play(service, client, 50, 200, async (door) => {
    await hung?.wire.revive();
    hung = door;
    door.wire.hang();
  });
});

test("doors that stop in order let nothing be carried out or asked twice", async () => {
  await using service = await new DoorsService().start(doorCount);
  await using client = connect<Entities>({ url: service.urls, token });
  await client.opened();
  await play(service, client, 100, 200, (door) => service.replace(door));
  assert.equal(service.executions.size, callers * 100);
  assert.equal(Math.max(...service.executions.values()), 1, "the node heard of each once");
});

test("what is in flight when a door stops is answered there, and the next command goes elsewhere at once", async () => {
  await using service = await new DoorsService().start(2);
  await using client = connect<Entities>({ url: service.urls, token });
  await client.opened();
  const before = client.door;
  service.held = [];
  const slow = client.entity("ledger", "1").execute("enter", { number: 1 });
  while (service.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const replaced = service.replace(service.at(before));
  const next = client.entity("ledger", "1").execute("enter", { number: 2 });
  await sleep(50);
  assert.equal(client.door, before, "it waits for its answer");
  service.release();
  assert.deepEqual((await slow).value, { number: 1, count: 1 });
  assert.deepEqual((await next).value, { number: 2, count: 2 });
  assert.notEqual(client.door, before);
  assert.deepEqual([...service.executions.values()], [1, 1]);
  await replaced;
});

test("what a stopping door does not answer soon is asked elsewhere with the same id, and carried out once", async () => {
  await using service = await new DoorsService().start(2);
  await using client = connect<Entities>({ url: service.urls, token });
  await client.opened();
  const before = client.door;
  service.held = [];
  const slow = client.entity("ledger", "1").execute("enter", { number: 1 });
  while (service.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const replaced = service.replace(service.at(before));
  while (service.held.length === 1) await new Promise((resolve) => setImmediate(resolve));
  assert.notEqual(client.door, before);
  service.release();
  assert.deepEqual((await slow).value, { number: 1, count: 1 });
  assert.deepEqual([...service.executions.values()], [2]);
  assert.deepEqual((await client.entity("ledger", "1").query("entries")).value, [1]);
  await replaced;
});

test("doors that take the dial and never greet are gone round, also at the start", async () => {
  await using service = await new DoorsService().start(doorCount);
  for (const { wire } of service.doors.slice(1)) wire.hang();
  // In which order a client goes round is chance.
  for (let number = 0; number < 8; number++) {
    await using client = connect<Entities>({ url: service.urls, token, silenceMs: 100 });
    assert.equal((await client.entity("ledger", "1").execute("enter", { number })).value.count, number + 1);
    assert.equal(service.at(client.door), service.doors[0]);
  }
});

test("a feed goes on at another door from its cursor: nothing missed, nothing twice", async () => {
  await using service = await new DoorsService().start(doorCount);
  await using client = connect<Entities>({ url: service.urls, token: readerToken });
  await using writer = connect<Entities>({ url: service.urls, token });
  const count = 400;
  const written = (async () => {
    for (let number = 0; number < count; number++) await writer.entity("ledger", "1").execute("enter", { number });
  })();
  const seen: unknown[] = [];
  let kills = 0;
  let killed: Door | undefined;
  for await (const { items } of client.feed({ form: "changes", filter: { types: ["ledger"] } }, { limit: 10 })) {
    for (const { payload } of items) seen.push((payload as { readonly number: number }).number);
    if (seen.length >= count) break;
    if (seen.length < (kills + 1) * 50 || client.door === undefined) continue;
    kills++;
    await killed?.wire.revive();
    killed = service.at(client.door);
    await killed.wire.kill();
  }
  await written;
  assert.deepEqual(
    seen,
    Array.from({ length: count }, (_, number) => number),
  );
  assert.ok(kills >= 3, `${kills}`);
});

test("clients hear of doors that come and go", async () => {
  await using service = await new DoorsService().start(2);
  service.told = () => [service.urls[0] as string];
  await using client = connect<Entities>({ url: service.urls[0] as string, token });
  await client.opened();
  service.told = undefined;
  // The gateway looks about once a second.
  await sleep(1_500);
  await service.at(client.door).wire.kill();
  assert.equal((await client.entity("ledger", "1").execute("enter", { number: 1 })).value.count, 1);
  assert.equal(service.at(client.door), service.doors[1]);
});

test("a process that stood still itself does not leave its door for that", async () => {
  await using service = await new DoorsService().start(2);
  await using client = connect<Entities>({ url: service.urls, token, silenceMs: 200 });
  client.entity("ledger", "1").watch("summary", () => {});
  await client.opened();
  const before = client.door;
  for (let times = 0; times < 3; times++) {
    const untilMs = performance.now() + 500;
    while (performance.now() < untilMs);
    await sleep(50);
  }
  await client.entity("ledger", "1").execute("enter", { number: 1 });
  assert.equal(client.door, before);
  assert.equal(
    service.doors.reduce((sum, { wire }) => sum + wire.connections, 0),
    1,
  );
});
