/** Feeds over HTTP: pulled with a cursor, long polled, and as server-sent events; nothing is missed, nothing comes twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { applyPatch, type PatchOperation } from "../../src/std/patch.ts";
import type { Plain } from "../../src/std/plain.ts";
import { pay, payMany, readerToken, send, shardCount } from "../feeds/service.ts";
import { type Answer, amountOf, changes, type Event, events, Place, upTo } from "./feeds.harness.ts";

test("a puller that goes from cursor to cursor gets every event once, in the order of its shard, over restarts", async () => {
  await using place = await new Place().start();
  const got: Event[] = [];
  let cursor = "";
  const pullAll = async (limit: number): Promise<void> => {
    for (;;) {
      const at = cursor === "" ? "from=beginning" : `cursor=${cursor}`;
      const answer = await place.pull(`${changes}&limit=${limit}&${at}`);
      ({ cursor } = answer);
      got.push(...answer.events);
      if (answer.events.length === 0) return assert.equal(answer.lag.records, 0);
    }
  };
  await payMany(place.service, 3_000, 50);
  await pullAll(700);
  await payMany(place.service, 2_000, 50, 3_000);
  await place.service.stop();
  await place.start();
  await payMany(place.service, 1_000, 50, 5_000);
  await pullAll(16_384);
  assert.equal(got.length, 6_000);
  assert.deepEqual(new Set(got.map(amountOf)), new Set(upTo(6_000)));
  assert.equal(new Set(got.map(({ id }) => id)).size, 6_000);
  for (let shard = 0; shard < shardCount; shard++) {
    const sequences = got.filter((event) => event.shard === shard).map(({ sequence }) => sequence);
    assert.deepEqual(sequences, sequences.toSorted());
  }
});

test("a long poll is answered by what happens next, and by nothing when nothing does", async () => {
  await using place = await new Place().start();
  const { cursor } = await place.pull(`${changes}&from=now`);
  const waiting = place.pull(`${changes}&cursor=${cursor}&wait=30`);
  const version = await pay(place.service, "a", 7);
  const answer = await waiting;
  assert.deepEqual(answer.events.map(amountOf), [7]);
  assert.equal(Number((answer.events[0] as Event).sequence.slice(0, 16)), version);
  assert.deepEqual((await place.pull(`${changes}&cursor=${answer.cursor}&wait=0.01`)).events, []);
});

test("a long poll that its caller gives up ends its feed", async () => {
  await using place = await new Place().start();
  const abort = new AbortController();
  const waiting = fetch(`${place.service.url}/v1/feeds/${changes}&from=now&wait=50`, {
    headers: { authorization: `Bearer ${readerToken}` },
    signal: abort.signal,
  });
  while (place.service.feeds.size === 0) await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await assert.rejects(waiting);
  while (place.service.feeds.size > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("a stop answers a long poll with what there is, so that its puller goes on elsewhere", async () => {
  await using place = await new Place().start();
  const waiting = place.pull(`${changes}&from=now&wait=50`);
  while (place.service.feeds.size === 0) await new Promise((resolve) => setImmediate(resolve));
  await place.service.stop();
  const { cursor, events: none } = await waiting;
  assert.deepEqual(none, []);
  await place.start();
  await pay(place.service, "a", 1);
  assert.deepEqual((await place.pull(`${changes}&cursor=${cursor}`)).events.map(amountOf), [1]);
});

test("the same cursor may be used again, and all that comes after it comes again", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 100, 5);
  const { cursor } = await place.pull(`${changes}&limit=40`);
  const ids = async () => new Set((await place.pull(`${changes}&cursor=${cursor}`)).events.map(({ id }) => id));
  const first = await ids();
  assert.equal(first.size, 60);
  assert.deepEqual(await ids(), first);
});

test("filters by type, key, prefix, event and shard go together, and shards divide a feed", async () => {
  await using place = await new Place().start();
  for (const key of ["ann", "anna", "bob"]) await pay(place.service, key, 1);
  await send(place.service, "bob", "note", { text: "x" });
  const subjects = async (rest: string) => (await place.pull(`changes?${rest}`)).events.map(({ subject }) => subject);
  assert.deepEqual(await subjects("type=account&key=bob"), ["account/bob", "account/bob"]);
  assert.deepEqual(await subjects("type=account&key=bob&event=noted"), ["account/bob"]);
  assert.deepEqual((await subjects("type=account&prefix=ann")).toSorted(), ["account/ann", "account/anna"]);
  assert.equal((await subjects("type=account&event=noted,paid")).length, 4);
  const shares = await Promise.all(upTo(shardCount).map((shard) => subjects(`type=account&shard=${shard}`)));
  assert.equal(shares.flat().length, 4);
  assert.equal((await subjects("type=account&shard=0&shard=1,2&shard=3")).length, 4);
});

test("a feed starts at a time, by ms or RFC 3339", async () => {
  await using place = await new Place().start();
  await pay(place.service, "a", 1);
  const from = Date.now() + 1;
  while (Date.now() <= from) await new Promise((resolve) => setImmediate(resolve));
  await pay(place.service, "a", 2);
  for (const text of [
    String(from),
    new Date(from).toISOString(),
    new Date(from).toISOString().replace("Z", "%2B00:00"),
  ])
    assert.deepEqual((await place.pull(`${changes}&from=${text}`)).events.map(amountOf), [2], text);
});

test("absolutes give the newest state of each entity that changed, or a view of it", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 100, 4);
  const answer = await place.pull("absolutes?type=account&view=balance");
  assert.deepEqual(
    answer.events.map(({ subject }) => subject).toSorted(),
    ["a0", "a1", "a2", "a3"].map((key) => `account/${key}`),
  );
  const sum = answer.events.reduce((total, { data }) => total + (data as { balance: number }).balance, 0);
  assert.equal(sum, (99 * 100) / 2);
});

test("absolutes come in batches of about as many bytes as were asked for", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 200, 200);
  let at = "from=beginning";
  const sizes: number[] = [];
  for (;;) {
    const answer = await place.pull(`absolutes?type=account&limit=1000&bytes=4096&${at}`);
    if (answer.events.length === 0) break;
    sizes.push(answer.events.length);
    at = `cursor=${answer.cursor}&reader=${answer.reader}`;
  }
  assert.equal(
    sizes.reduce((sum, size) => sum + size),
    200,
  );
  // The first one is small, for the states might be large; these have about 300 bytes.
  assert.equal(sizes[0], 1);
  for (const size of sizes.slice(1)) assert.ok(size < 30, sizes.join());
});

test("an answer that was lost is given again, in each form, though the feed had gone on", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 60, 30);
  for (const form of ["changes", "absolutes", "deltas"]) {
    const first = await place.pull(`${form}?type=account&limit=10`);
    const reader = first.reader === undefined ? "" : `&reader=${first.reader}`;
    const path = `${form}?type=account&cursor=${first.cursor}${reader}&limit=1000`;
    const lost = await place.pull(path);
    const again = await place.pull(path);
    // Deltas begin anew, with absolutes: what they lead from may have been lost.
    const nameOf = ({ subject, sequence }: Event) => `${subject} ${sequence}`;
    const names = new Set(again.events.map(nameOf));
    assert.ok(lost.events.length > 10);
    for (const event of lost.events) assert.ok(names.has(nameOf(event)), form);
    if (form === "deltas") assert.ok(again.events.every(({ type }) => type.endsWith(".absolute")));
    else assert.equal(names.size, lost.events.length);
  }
});

test("deltas lead from one value to the next for the reader that holds it; any other starts with an absolute", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 8, 2);
  const held = new Map<string, Plain>();
  const take = ({ events: items }: Answer): void => {
    for (const { type, subject, data } of items)
      held.set(
        subject,
        type.endsWith(".delta") ? applyPatch(held.get(subject) as Plain, data as unknown as PatchOperation[]) : data,
      );
  };
  const first = await place.pull("deltas?type=account");
  take(first);
  await payMany(place.service, 8, 2, 100);
  const path = `deltas?type=account&cursor=${first.cursor}`;
  const another = await place.pull(path);
  assert.deepEqual(new Set(another.events.map(({ type }) => type)), new Set(["shop.account.absolute"]));
  const second = await place.pull(`${path}&reader=${first.reader}`);
  assert.deepEqual(new Set(second.events.map(({ type }) => type)), new Set(["shop.account.delta"]));
  assert.deepEqual(
    new Set(second.events.map(({ fromsequence }) => fromsequence)),
    new Set(first.events.map(({ sequence }) => sequence)),
  );
  take(second);
  for (const { subject, data } of another.events) assert.deepEqual(held.get(subject), data);
});

test("what is asked wrongly is refused with a code, and opens nothing", async () => {
  await using place = await new Place({ feedBatchItemsMax: 500, feedStreamItemsMax: 500 }).start();
  for (const [path, code] of [
    ["changes?type=account&colour=red", "invalid-input"],
    ["changes?type=account&limit=0", "invalid-input"],
    ["changes?type=account&limit=501", "invalid-input"],
    ["changes?type=account&limit=1&limit=2", "invalid-input"],
    ["changes?type=account&limit=1e2", "invalid-input"],
    ["changes?type=account&bytes=99999999999", "invalid-input"],
    ["changes?type=account&wait=56", "invalid-input"],
    ["changes?type=account&wait=-1", "invalid-input"],
    ["changes?type=account&linger=forever", "invalid-input"],
    ["changes?type=account&from=yesterday", "invalid-input"],
    ["changes?type=account&from=2026-13-45T00:00:00Z", "invalid-input"],
    ["changes?type=account&from=now&cursor=abc", "invalid-input"],
    ["changes?type=account&shard=4", "invalid-input"],
    ["changes?type=account&shard=x", "invalid-input"],
    ["changes?key=a", "invalid-input"],
    ["changes?type=account&view=balance", "invalid-input"],
    ["changes?type=account&reader=x", "invalid-input"],
    ["changes?type=account&form=deltas", "invalid-input"],
    ["changes?type=account&cursor=abc", "invalid-cursor"],
    ["changes?type=account&cursor=", "invalid-cursor"],
    ["changes?type=nobody", "unknown-type"],
    ["changes?type=", "unknown-type"],
    ["changes?type=__proto__", "unknown-type"],
    ["absolutes?type=account&view=nothing", "unknown-view"],
    ["changes?type=secret", "forbidden"],
    ["changes", "forbidden"],
    ["nothing", "not-found"],
    ["", "not-found"],
  ] as const)
    assert.equal(await place.refusal(path), code, path);
  assert.equal(await place.refusal("changes?type=account", {}, "dev:stranger"), "forbidden");
  assert.equal(await place.refusal("changes?type=account", {}, "nonsense"), "unauthenticated");
  assert.equal(await place.refusal("changes?type=account&wait=1", events), "invalid-input");
  assert.equal(await place.refusal("changes?type=account", { ...events, "last-event-id": "abc" }), "invalid-cursor");
  const posted = await fetch(`${place.service.url}/v1/feeds/changes`, { method: "POST" });
  assert.equal(posted.status, 405);
  assert.equal(place.service.feeds.size, 0);
});

test("what may be followed by one principal is not handed on to another that comes with the same cursor", async () => {
  await using place = await new Place().start();
  await pay(place.service, "a", 1);
  const { cursor } = await place.pull(changes);
  assert.equal(await place.refusal(`${changes}&cursor=${cursor}`, {}, "dev:stranger"), "forbidden");
});

test("feeds kept for pullers are closed when they are too many", async () => {
  await using place = await new Place({ feedStreamBytesMax: 1024, feedsKeptBytesMax: 3 * 1024 }).start();
  for (let index = 0; index < 10; index++) await place.pull(`${changes}&prefix=p${index}`);
  assert.equal(place.service.feeds.size, 3);
});

test("a feed that nobody uses makes room for one that somebody asks for", async () => {
  await using place = await new Place({ feedsMax: 2 }).start();
  for (let index = 0; index < 10; index++) await place.pull(`${changes}&prefix=p${index}`);
  assert.equal(place.service.feeds.size, 2);
});
