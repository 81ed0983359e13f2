/** Feeds as server-sent events: resumed after the last id, over cut wires, and by nobody for free. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { pay, payMany, readerToken, shardCount } from "../feeds/service.ts";
import { amountOf, changes, type Event, events, type Message, messagesOf, Place, upTo } from "./feeds.harness.ts";

test("a stream gives what was and what comes, and resumes after its last id without a gap", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 2_500, 20);
  const got: Event[] = [];
  let last: string | undefined;
  const since: Event[] = [];
  const read = async (until: number): Promise<void> => {
    const abort = new AbortController();
    const answer = await fetch(`${place.service.url}/v1/feeds/${changes}&limit=100`, {
      headers: {
        authorization: `Bearer ${readerToken}`,
        ...events,
        ...(last === undefined ? {} : { "last-event-id": last }),
      },
      signal: abort.signal,
    });
    since.length = 0;
    for await (const { id, event, data } of messagesOf(answer)) {
      if (data !== undefined) {
        assert.equal(event, "change");
        since.push(data);
      }
      if (id !== undefined) {
        last = id;
        got.push(...since.splice(0));
      }
      if (got.length + since.length >= until) break;
    }
    abort.abort();
  };
  await read(1_234);
  const writing = payMany(place.service, 500, 20, 2_500);
  await read(2_700);
  await writing;
  await place.service.stop();
  await place.start();
  await read(3_000);
  got.push(...since);
  assert.equal(got.length, 3_000);
  assert.deepEqual(new Set(got.map(amountOf)), new Set(upTo(3_000)));
});

test("a stream from now on that breaks before its first event misses nothing", async () => {
  await using place = await new Place().start();
  const first = await place.fetch(`${changes}&from=now`, events);
  const { value } = await messagesOf(first).next();
  const { id } = value as Message;
  assert.ok(id);
  await pay(place.service, "a", 5);
  for await (const { data } of messagesOf(
    await place.fetch(`${changes}&from=now`, { ...events, "last-event-id": id }),
  )) {
    if (data === undefined) continue;
    assert.equal(amountOf(data), 5);
    break;
  }
});

test("the standard EventSource gets everything over a wire that is cut, and twice only what a cut batch had", async () => {
  const script = fileURLToPath(new URL("../feeds/event-source.ts", import.meta.url));
  const flags = ["--conditions=source", "--experimental-eventsource", "--disable-warning=ExperimentalWarning"];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, script]);
  const { amounts, connections } = JSON.parse(stdout) as { amounts: number[]; connections: number };
  assert.deepEqual(new Set(amounts), new Set(upTo(1_500)));
  assert.ok(connections >= 3);
  assert.ok(amounts.length <= 1_500 + 100 * (connections - 1), `${amounts.length} over ${connections} connections`);
});

test("a cursor of a log that had more than this one is lost, and the answer says where", async () => {
  await using place = await new Place().start();
  await payMany(place.service, 100, 20);
  const { cursor } = await place.pull(changes);
  await using other = await new Place().start();
  const answer = await other.fetch(`${changes}&cursor=${cursor}`);
  assert.equal(answer.status, 410);
  const { code, details } = (await answer.json()) as { code: string; details: { shard: number; offset: number } };
  assert.equal(code, "cursor-lost");
  assert.ok(details.shard < shardCount && details.offset > 1);
  assert.equal(await other.refusal(changes, { ...events, "last-event-id": cursor }), "cursor-lost");
});

test("a stream without news says that it is still there", async () => {
  await using place = await new Place({ pingMs: 20 }).start();
  let beats = 0;
  for await (const message of messagesOf(await place.fetch(`${changes}&from=now`, events))) {
    if (Object.keys(message).length === 0 && ++beats === 3) break;
  }
});

test("a stream that nobody reads asks for no more than one batch, and is cut off in time", async () => {
  await using place = await new Place({ feedStalledMs: 300 }).start();
  await payMany(place.service, 20_000, 20);
  const open = place.service.feeds.open.bind(place.service.feeds);
  const answer = await place.fetch(changes, events);
  assert.equal(answer.status, 200);
  // 20,000 events are 8 MB, more than all the sockets between take.
  while (place.service.feeds.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  await assert.rejects(answer.text());
  (await open({ form: "changes", start: "now", principal: { kind: "operator", id: "test" } })).close();
});
