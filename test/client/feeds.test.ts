/** Feeds over WebSockets with the typed client: caught up, live, and resumed over cut wires and restarts. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "../../src/client/index.ts";
import type { ErrorCode } from "../../src/model/errors.ts";
import type { Limits } from "../../src/model/limits.ts";
import type { EmbeddedService } from "../../src/presets/embedded.ts";
import { applyPatch } from "../../src/std/patch.ts";
import type { Plain } from "../../src/std/plain.ts";
import { type Entities, pay, payMany, readerToken, send, shardCount, startService } from "../feeds/service.ts";
import { ofCode } from "./harness.ts";
import { hurried, Wire } from "./service.ts";

class Place implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "holdfast-feeds-client-"));
  readonly #limits: Partial<Limits>;
  service!: EmbeddedService;
  #port = 0;

  constructor(limits: Partial<Limits> = {}) {
    this.#limits = limits;
  }

  async start(): Promise<this> {
    this.service = await startService(this.#directory, this.#port, this.#limits);
    this.#port = this.service.gateway.port;
    return this;
  }

  get port(): number {
    return this.#port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.stop();
    rmSync(this.#directory, { recursive: true });
  }
}

const upTo = (count: number) => new Set(Array.from({ length: count }, (_, index) => index));

function clientOf(url: string, encoding: "msgpack" | "json" = "msgpack") {
  return connect<Entities>({ url, token: readerToken, encoding, clock: hurried(10) });
}

for (const encoding of ["msgpack", "json"] as const) {
  test(`a feed over ${encoding} catches up and goes on live, each event once, in the order of its shard`, async () => {
    await using place = await new Place().start();
    await payMany(place.service, 5_000, 50);
    await using client = clientOf(place.service.url, encoding);
    const amounts: number[] = [];
    const last = new Map<number, number>();
    let writing: Promise<void> | undefined;
    for await (const { items, lag } of client.feed({ form: "changes", filter: { types: ["account"] } })) {
      for (const item of items) {
        assert.ok(item.offset > (last.get(item.shard) ?? 0));
        last.set(item.shard, item.offset);
        if (item.event === "paid") amounts.push(item.payload.amount);
      }
      assert.ok(lag.records >= 0);
      writing ??= payMany(place.service, 2_000, 50, 5_000);
      if (amounts.length >= 7_000) break;
    }
    await writing;
    assert.equal(amounts.length, 7_000);
    assert.deepEqual(new Set(amounts), upTo(7_000));
    while (place.service.feeds.size > 0) await new Promise((resolve) => setImmediate(resolve));
  });
}

test("a feed goes on over cut wires and a restart of the node, without a gap and without a repetition", async () => {
  await using place = await new Place().start();
  await using wire = await new Wire(() => place.port).listen();
  await using client = clientOf(wire.url);
  const amounts: number[] = [];
  await payMany(place.service, 3_000, 50);
  const feed = client.feed({ form: "changes", filter: { types: ["account"] } }, { limit: 100, itemsAhead: 500 });
  const readTo = async (count: number, cutEvery: number): Promise<void> => {
    let batches = 0;
    while (amounts.length < count) {
      const { value } = await feed.next();
      for (const item of value.items) if (item.event === "paid") amounts.push(item.payload.amount);
      if (++batches % cutEvery === 0) wire.cut();
    }
  };
  await readTo(3_000, 4);
  assert.ok(wire.connections > 3);
  await place.service.stop();
  await place.start();
  const writing = payMany(place.service, 2_000, 50, 3_000);
  await readTo(5_000, 5);
  await writing;
  assert.equal(amounts.length, 5_000);
  assert.deepEqual(new Set(amounts), upTo(5_000));
});

test("a feed from now on that loses its connection before the first event misses nothing", async () => {
  await using place = await new Place().start();
  await using wire = await new Wire(() => place.port).listen();
  await using client = clientOf(wire.url);
  const feed = client.feed({ form: "changes", filter: { types: ["account"] }, start: "now" });
  const first = feed.next();
  while (place.service.feeds.size === 0) await new Promise((resolve) => setImmediate(resolve));
  // Whatever comes back after this ping was sent after the feed's first message.
  await client.entity("account", "b").execute("note", { text: "the feed has begun" });
  const { value } = await first;
  assert.equal(value.items[0]?.event, "noted");
  wire.cut();
  await pay(place.service, "a", 7);
  const next = await feed.next();
  assert.deepEqual(next.value.items[0]?.payload, { amount: 7 });
});

test("whoever keeps a cursor goes on from it with another client, and shards divide a feed", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 1_000, 50);
  await using one = clientOf(place.service.url);
  const { value } = await one.feed({ form: "changes", filter: { types: ["account"] } }, { limit: 200 }).next();
  assert.equal(value.items.length, 200);
  await using two = clientOf(place.service.url);
  let count = 200;
  for await (const { items } of two.feed({
    form: "changes",
    filter: { types: ["account"] },
    start: { cursor: value.cursor },
  }))
    if ((count += items.length) >= 1_000) break;
  assert.equal(count, 1_000);
  let sum = 0;
  for (let shard = 0; shard < shardCount; shard++) {
    const feed = two.feed({ form: "changes", filter: { types: ["account"], shards: [shard] } });
    for (let lag = 1; lag > 0; ) {
      const next = await feed.next();
      sum += next.value.items.length;
      assert.ok(next.value.items.every((item: { shard: number }) => item.shard === shard));
      lag = next.value.lag.records;
    }
    await feed.return?.();
  }
  assert.equal(sum, 1_000);
});

test("absolutes have the view that was asked for, and deltas lead to the same state, over cut wires too", async () => {
  await using place = await new Place().start();
  await using wire = await new Wire(() => place.port).listen();
  await using client = clientOf(wire.url);
  await payMany(place.service, 100, 4);
  const views = client.feed({ form: "absolutes", filter: { types: ["account"] }, view: "balance" });
  const balances = new Map<string, number>();
  while (balances.size < 4) {
    const { value } = await views.next();
    for (const { entity, value: view } of value.items) balances.set(entity.key, view.balance);
  }
  const held = new Map<string, Plain>();
  const kinds = new Set<string>();
  const deltas = client.feed({ form: "deltas", filter: { types: ["account"] } }, { limit: 2 });
  const total = () => [...held.values()].reduce((sum: number, state) => sum + (state as { count: number }).count, 0);
  for (let round = 1; round <= 6; round++) {
    while (total() < 100 * round) {
      const { value } = await deltas.next();
      for (const item of value.items) {
        kinds.add(item.kind);
        const before = held.get(item.entity.key) as Plain;
        held.set(item.entity.key, item.kind === "delta" ? applyPatch(before, item.patch) : (item.value as Plain));
      }
    }
    if (round % 2 === 0) wire.cut();
    if (round < 6) await payMany(place.service, 100, 4);
  }
  assert.equal(total(), 600);
  assert.deepEqual(kinds, new Set(["absolute", "delta"]));
});

test("a reader that stops reading is sent no more than it allows, and loses nothing", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 3_000, 20);
  const read = countRead(place.service);
  await using client = clientOf(place.service.url);
  const feed = client.feed({ form: "changes", filter: { types: ["account"] } }, { itemsAhead: 250, limit: 100 });
  let { length } = (await feed.next()).value.items;
  // Every answer to a query was sent after what the feed was allowed before it.
  for (let index = 0; index < 20; index++) await client.entity("account", "a0").execute("note", { text: "x" });
  assert.ok(read() <= 250 + length, `${read()} items were read for it`);
  while (length < 3_020) length += (await feed.next()).value.items.length;
  assert.equal(length, 3_020);
});

/** How many items the feeds of a service have given. */
function countRead(service: EmbeddedService): () => number {
  const { feeds } = service;
  const open = feeds.open.bind(feeds);
  let count = 0;
  feeds.open = async (ask) => {
    const feed = await open(ask);
    const next = feed.next.bind(feed);
    feed.next = async (limits) => {
      const batch = await next(limits);
      count += batch.items.length;
      return batch;
    };
    return feed;
  };
  return () => count;
}

test("what is refused for good ends the iteration with its code", async () => {
  await using place = await new Place().start();
  await using client = clientOf(place.service.url);
  const ends = async (ask: Parameters<typeof client.feed>[0], code: ErrorCode): Promise<void> => {
    await assert.rejects(client.feed(ask).next(), ofCode(code));
  };
  await ends({ form: "changes", filter: { types: ["secret"] } }, "forbidden");
  await ends({ form: "changes" }, "forbidden");
  await ends({ form: "changes", filter: { types: ["nobody" as "account"] } }, "unknown-type");
  await ends({ form: "absolutes", filter: { types: ["account"] }, view: "no-such" }, "unknown-view");
  await ends({ form: "absolutes", filter: { types: ["account"] }, view: "nosuch" }, "unknown-view");
  await ends({ form: "changes", filter: { types: ["account"] }, start: { cursor: "abc" } }, "invalid-cursor");
  await ends({ form: "changes", filter: { types: ["account"], shards: [99] } }, "invalid-input");
  await ends({ form: "changes", filter: { types: Array(20_000).fill("account") as "account"[] } }, "too-large");
  assert.equal(place.service.feeds.size, 0);
});

test("a signal, a `break` and the client's end end the feed at both sides", async (context: TestContext) => {
  await using place = await new Place().start();
  await pay(place.service, "a", 1);
  const client = clientOf(place.service.url);
  context.after(() => client.close());
  const ask = { form: "changes", filter: { types: ["account"] } } as const;
  const gone = async (): Promise<void> => {
    while (place.service.feeds.size > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const abort = new AbortController();
  const aborted = client.feed(ask, { signal: abort.signal });
  assert.equal((await aborted.next()).value.items.length, 1);
  const waiting = aborted.next();
  abort.abort();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  await gone();
  for await (const _ of client.feed(ask)) break;
  await gone();
  const last = client.feed(ask);
  await last.next();
  const ended = assert.rejects(last.next(), ofCode("disconnected"));
  await client.close();
  await ended;
  await gone();
  await assert.rejects(client.feed(ask).next(), ofCode("disconnected"));
});

test("batches too large for a frame come in parts and are handed over whole", async () => {
  await using place = await new Place({ frameBytesMax: 70 * 1024 }).start();
  const text = "x".repeat(20_000);
  for (let index = 0; index < 30; index++) await send(place.service, "a", "note", { text: `${index} ${text}` });
  await using client = clientOf(place.service.url);
  let count = 0;
  for await (const { items } of client.feed({ form: "changes", filter: { types: ["account"] } })) {
    for (const item of items) assert.ok((item.payload as { text: string }).text.startsWith(`${count++} `));
    if (count === 30) break;
  }
});
