/** Items as CloudEvents, held to the specification by its own library. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudEvent, HTTP, type Message } from "cloudevents";
import fc from "fast-check";
import type { ChangeItem, FeedItem } from "../model/feeds.ts";
import type { Plain } from "../std/plain.ts";
import {
  cloudAttributesOf,
  cloudDataOf,
  cloudEventBatchMediaType,
  cloudEventBatchOf,
  cloudEventMediaType,
  cloudEventOf,
  sequenceOf,
} from "./cloud-events.ts";

const change: ChangeItem = {
  kind: "change",
  shard: 3,
  offset: 41,
  entity: { type: "player", key: "p-7" },
  index: 1,
  timeMs: Date.UTC(2026, 10, 25, 11, 12, 7, 460),
  event: "won",
  eventVersion: 2,
  payload: { chips: 500, from: "table/t-1" },
  command: "credit",
  requestId: "0193610e-3a54-7000-8000-00000000002a",
};

test("a change is written as documented", () => {
  assert.deepEqual(JSON.parse(cloudEventOf(change, "chips")), {
    specversion: "1.0",
    id: "3-41-1",
    source: "/chips/player/p-7",
    type: "chips.player.won",
    subject: "player/p-7",
    time: "2026-11-25T11:12:07.460Z",
    datacontenttype: "application/json",
    sequence: "0000000000000041-000001",
    shard: 3,
    partitionkey: "player/p-7",
    eventversion: 2,
    command: "credit",
    requestid: "0193610e-3a54-7000-8000-00000000002a",
    data: { chips: 500, from: "table/t-1" },
  });
});

test("an absolute has the state as its data, a delta the patch and the sequence that it applies to", () => {
  const head = { shard: 0, offset: 9, entity: { type: "table", key: "t" } };
  const absolute = JSON.parse(cloudEventOf({ ...head, kind: "absolute", value: null }, "chips"));
  assert.equal(absolute.type, "chips.table.absolute");
  assert.equal(absolute.data, null);
  assert.equal(absolute.sequence, "0000000000000009");
  assert.ok(!("time" in absolute) && !("fromsequence" in absolute));
  const patch = [{ op: "replace", path: "/pot", value: 12 }] as const;
  const delta = JSON.parse(cloudEventOf({ ...head, kind: "delta", from: 7, patch }, "chips"));
  assert.equal(delta.type, "chips.table.delta");
  assert.equal(delta.datacontenttype, "application/json-patch+json");
  assert.equal(delta.fromsequence, "0000000000000007");
  assert.deepEqual(delta.data, patch);
});

const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,20}$/);
const value = fc.jsonValue({ maxDepth: 3 }).map((one) => JSON.parse(JSON.stringify(one)) as Plain);
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const head = fc.record({
  shard: fc.nat({ max: 65_535 }),
  offset: count,
  entity: fc.record({
    type: fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
    key: fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/),
  }),
});
const item: fc.Arbitrary<FeedItem> = head.chain((common): fc.Arbitrary<FeedItem> => {
  const kind = fc.constantFrom("change", "absolute", "delta");
  return kind.chain((one): fc.Arbitrary<FeedItem> => {
    if (one === "absolute") return fc.record({ kind: fc.constant(one), value }).map((own) => ({ ...common, ...own }));
    if (one === "delta") {
      const operation = fc.record(
        { op: fc.constantFrom("add", "replace"), path: fc.string(), value },
        { noNullPrototype: true },
      );
      return fc
        .record({ kind: fc.constant(one), from: count, patch: fc.array(operation, { minLength: 1, maxLength: 3 }) })
        .map((own) => ({ ...common, ...own }));
    }
    return fc
      .record({
        kind: fc.constant(one),
        index: fc.nat({ max: 1_000 }),
        timeMs: fc.integer({ min: 0, max: Date.UTC(9999, 0) }),
        event: fc.oneof(name, fc.constantFrom("@state-set", "@erased")),
        eventVersion: fc.integer({ min: 1, max: 1_000 }),
        payload: value,
        command: fc.oneof(name, fc.string({ minLength: 1 })),
        requestId: fc.option(fc.uuid(), { nil: undefined }),
      })
      .map((own) => ({ ...common, ...own }));
  });
});
const service = fc.oneof(name, fc.constantFrom("chips & cards", 'a "b"', "größe", "日本"));

test("any item of any service is a valid CloudEvent, and its data come back", () => {
  fc.assert(
    fc.property(item, service, (one, its) => {
      const text = cloudEventOf(one, its);
      assert.ok(!text.includes("\n"), "one line");
      const parsed = JSON.parse(text) as Record<string, unknown>;
      assert.deepEqual(parsed, { ...cloudAttributesOf(one, its), data: cloudDataOf(one) });
      // Throws unless it is valid; the text form of a date is what the constructor is given.
      const event = new CloudEvent(parsed as never);
      assert.ok(event.validate());
      for (const [attribute, its] of Object.entries(parsed)) {
        assert.match(attribute, /^[a-z0-9]{1,20}$/, "names of attributes are lower case and short");
        if (attribute !== "data") assert.ok(its !== "" && (typeof its === "string" || isInteger32(its)), attribute);
      }
      // The source is a URI reference that no escaping changes.
      assert.equal(new URL(String(parsed["source"]), "http://host").pathname, parsed["source"]);
    }),
    { numRuns: 2_000 },
  );
});

/** The type Integer of the specification. */
function isInteger32(value: unknown): boolean {
  return Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
}

test("the library of the specification reads one event and a batch out of an HTTP request", () => {
  const one = HTTP.toEvent({
    headers: { "content-type": cloudEventMediaType },
    body: cloudEventOf(change, "chips"),
  } as Message) as CloudEvent;
  assert.equal(one.id, "3-41-1");
  assert.deepEqual(one.data, change.payload);
  const items = [change, { ...change, index: 2, payload: "ünï\u2028\0" }];
  const headers = { "content-type": `${cloudEventBatchMediaType}; charset=utf-8` };
  const batch = HTTP.toEvent({ headers, body: cloudEventBatchOf(items, "chips") } as Message) as CloudEvent[];
  assert.deepEqual(
    batch.map(({ id, data }) => [id, data]),
    [
      ["3-41-1", change.payload],
      ["3-41-2", "ünï\u2028\0"],
    ],
  );
  assert.equal(cloudEventBatchOf([], "chips"), "[]");
});

test("sequences of a shard compare as strings like its items follow each other", () => {
  const places: [offset: number, index: number][] = [
    [1, 0],
    [9, 0],
    [9, 1],
    [9, 10],
    [10, 0],
    [99_999, 3],
    [Number.MAX_SAFE_INTEGER, 0],
  ];
  const texts = places.map(([offset, index]) => sequenceOf({ ...change, offset, index }));
  assert.deepEqual(texts.toSorted(), texts);
  assert.equal(new Set(texts).size, texts.length);
});
