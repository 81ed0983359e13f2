/** The past: equal to what an owner held at that moment, whatever the moment; forks that touch nothing; divergences. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { entities } from "../../test/golden/kitchen-sink.ts";
import { recordSink, sinkShards } from "../../test/golden/record-sink.ts";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { apart, imageOf } from "../core/image.ts";
import { stepOwner } from "../core/owner.ts";
import { makeOwner, type Owner } from "../core/owner-state.ts";
import { isHoldfastError } from "../model/errors.ts";
import { formatRef } from "../model/ids.ts";
import type { EntityImage, ShardImage } from "../model/images.ts";
import { limitsWith } from "../model/limits.ts";
import { makeChance } from "../runtime/chance.ts";
import { applyPatch } from "../std/patch.ts";
import { Prng } from "../std/prng.ts";
import { decodeFrame } from "../wire/frame.ts";
import { forkEntity } from "./fork.ts";
import { diffBetween, eventsOf, shardAt, stateAt } from "./history.ts";
import { indexDefinitions } from "./replay.ts";
import { type HistorySource, logSource, type Moment, type Start } from "./source.ts";
import { verifyHistory } from "./verify.ts";

let store: MemoryStore;
let source: HistorySource;
const definitions = indexDefinitions(entities);
const prng = new Prng(1);
const chance = makeChance({ bytes: (count) => prng.bytes(count) });

before(async () => {
  store = createMemoryStore(sinkShards);
  await recordSink(async () => openMemoryLog({ store }));
  source = logSource(openMemoryLog({ store }), sinkShards);
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** An owner that replays the shard, as it is after each record. */
function* ownersOf(shard: number): Generator<{ owner: Owner; offset: number; timeMs: number }> {
  const owner = makeOwner({ shard, definitions, limits: limitsWith(), seed: 0 });
  for (const { at, bytes } of store.shards[shard]?.frames ?? []) {
    for (const [index, record] of decodeFrame(bytes, shard, at, undefined).records.entries()) {
      stepOwner(owner, { kind: "replay", at: at + index, record }, []);
      yield { owner, offset: at + index, timeMs: record.time };
    }
  }
}

function imagesOf(owner: Owner): Map<string, EntityImage> {
  return new Map([...owner.slots].map(([name, slot]) => [name, apart(imageOf(slot))]));
}

test("a shard at each of its offsets is what its owner held there", async () => {
  for (const { shard } of shards()) {
    for (const { owner, offset, timeMs } of ownersOf(shard)) {
      const past = await shardAt(source, definitions, shard, { offset });
      assert.deepEqual({ ...past, entities: imagesOf(owner) }, past);
      assert.deepEqual([past.offset, past.timeMs], [offset, timeMs]);
    }
  }
});

function shards(): { shard: number }[] {
  return Array.from({ length: sinkShards }, (_, shard) => ({ shard }));
}

test("an entity at a time is what it was after the last record of that time or earlier", async () => {
  for (const { shard } of shards()) {
    // the owner goes on, so its images are taken at each step
    const steps = Array.from(ownersOf(shard), ({ owner, ...step }) => ({ ...step, images: imagesOf(owner) }));
    for (const { timeMs } of steps) {
      const last = steps.findLast((step) => step.timeMs <= timeMs);
      for (const [name, image] of last?.images ?? []) {
        const past = await stateAt(source, definitions, image.entity, { timeMs });
        assert.deepEqual([past.image, past.offset, past.exists], [image, last?.offset, true], name);
      }
    }
  }
});

test("before its first record an entity is new, and past the end of the log there is nothing", async () => {
  const order = { type: "order", key: "a" };
  const past = await stateAt(source, definitions, order, { offset: 0 });
  assert.deepEqual([past.exists, past.offset, past.image.version], [false, 0, 0]);
  assert.deepEqual(past.image.state, { lines: [], paid: "no", reminders: 0 });
  await assert.rejects(
    () => stateAt(source, definitions, order, { offset: 10_000 }),
    (error) => isHoldfastError(error) && error.code === "invalid-input",
  );
  await assert.rejects(
    () => stateAt(source, definitions, { type: "order", key: "a b" }),
    (error) => isHoldfastError(error) && error.code === "invalid-key",
  );
});

test("the records of an entity are all of its records, in order", async () => {
  let count = 0;
  for (const [name, image] of (await shardAt(source, definitions, 1)).entities) {
    const records = await all(eventsOf(source, image.entity));
    const versions = records
      .filter(({ record }) => record.kind === "step" && record.events.length > 0)
      .map(({ offset }) => offset);
    assert.equal(versions.at(-1), image.version, name);
    assert.equal(records.at(-1)?.offset, image.touched);
    assert.ok(records.every(({ record }) => formatRef(record.entity) === name));
    count += records.length;
  }
  assert.ok(count > 5);
});

test("a diff turns the state before into the state after", async () => {
  const order = { type: "order", key: "a" };
  const offsets = (await all(eventsOf(source, order))).map(({ offset }) => offset);
  for (const [index, offset] of offsets.entries()) {
    const moments: [Moment, Moment] = [{ offset: offsets[Math.max(0, index - 2)] ?? 1 }, { offset }];
    const { before: was, after, patch } = await diffBetween(source, definitions, order, moments);
    assert.deepEqual(applyPatch(was.image.state, patch), after.image.state);
  }
});

function startOf(shard: ShardImage, images: ReadonlyMap<string, EntityImage>): Start {
  return {
    shard,
    entity: async (name) => images.get(name),
    async *entities() {
      yield* images.values();
    },
  };
}

test("a replay that starts from images gives the same as one from the beginning", async () => {
  for (const { shard } of shards()) {
    for (const { owner, offset } of ownersOf(shard)) {
      const frame = store.shards[shard]?.frames.find(({ at }) => at === offset + 1);
      if (frame === undefined) continue; // images begin where a frame does
      const chain = undefined;
      const { epoch, timeMs } = owner;
      const start = startOf({ at: offset + 1, chain, epoch, timeMs, requests: [] }, imagesOf(owner));
      const log = openMemoryLog({ store: structuredClone(store) });
      await log.trim(shard, offset + 1);
      const trimmed = logSource(log, sinkShards);
      const later: HistorySource = { ...trimmed, start: async (of) => (of === shard ? start : undefined) };
      const whole = await shardAt(source, definitions, shard);
      assert.deepEqual(await shardAt(later, definitions, shard), whole);
      for (const image of whole.entities.values()) {
        assert.deepEqual((await stateAt(later, definitions, image.entity)).image, image);
      }
      await assert.rejects(
        () => shardAt(trimmed, definitions, shard),
        (error) => isHoldfastError(error) && error.code === "log-damaged" && /begins at offset/.test(error.message),
      );
    }
  }
});

test("an image that is newer than its shard's start is not evolved twice", async () => {
  const { entities: images } = await shardAt(source, definitions, 1);
  const at = 1;
  const start = startOf({ at, chain: 0, epoch: 0, timeMs: 0, requests: [] }, images);
  const later: HistorySource = { ...source, start: async () => start };
  assert.deepEqual((await shardAt(later, definitions, 1)).entities, images);
});

test("a fork leaves the past it was made of as it was, and nothing in the log", async () => {
  const past = await stateAt(source, definitions, { type: "order", key: "only-1" });
  const order = definitions.get("order");
  assert.ok(order !== undefined);
  const copy = structuredClone(past.image);
  const tails = store.shards.map(({ tail }) => tail);
  const fork = forkEntity(past, order, { command: "place", input: { amount: 2 }, chance });
  assert.equal(fork.reply.ok, true);
  assert.equal(fork.record?.time, past.timeMs, "the recorded time goes on from the moment");
  assert.equal(fork.after.version, past.offset + 1);
  assert.deepEqual(applyPatch(past.image.state, fork.patch), fork.after.state);
  assert.deepEqual(past.image, copy);
  assert.deepEqual(
    store.shards.map(({ tail }) => tail),
    tails,
  );
});

test("a fork of an entity that does not exist brings it into being, in the fork only", async () => {
  const past = await stateAt(source, definitions, { type: "order", key: "new" });
  const order = definitions.get("order");
  assert.ok(order !== undefined && !past.exists);
  const fork = forkEntity(past, order, { command: "place", input: { amount: 2 }, chance });
  assert.ok(fork.reply.ok && fork.reply.created === true);
  const unknown = forkEntity(past, order, { command: "nothing", input: null, chance });
  assert.deepEqual([unknown.reply.ok ? "" : unknown.reply.code, unknown.record], ["unknown-command", undefined]);
});

test("verification is the same for the same log and code, and hears of each record once", async () => {
  let expected = 0;
  let heard = 0;
  const progress = {
    expect: (count: number) => void (expected += count),
    advance: (count: number) => void (heard += count),
  };
  const first = await verifyHistory(source, definitions, { progress });
  assert.deepEqual([first.divergenceCount, heard, expected], [0, first.records, first.records]);
  const second = await verifyHistory(source, definitions, { against: first.hashes });
  assert.deepEqual(second.hashes, first.hashes);
  assert.equal(second.compared, first.entities);
});

test("verification finds entities that are missing, unexpected or not plain data", async () => {
  const { hashes } = await verifyHistory(source, definitions);
  const { "till/tips": tips, ...others } = hashes.entities;
  assert.ok(tips !== undefined);
  const against = { ...hashes, entities: { ...others, "till/gone": tips } };
  const { divergences } = await verifyHistory(source, definitions, { against });
  assert.deepEqual(divergences.map(({ kind, entity }) => `${kind} ${entity}`).sort(), [
    "missing till/gone",
    "unexpected till/tips",
  ]);
  const till = definitions.get("till");
  assert.ok(till !== undefined);
  const dated = new Map([...definitions, ["till", { ...till, state: () => ({ cents: new Date(0) }) }]]);
  const kinds = (await verifyHistory(source, dated)).divergences.map(({ kind, entity }) => `${kind} ${entity}`);
  // a Date and a number make a text, so only a till that took nothing in keeps its Date
  assert.deepEqual(kinds, ["not-plain till/closed"]);
});

test("what was parked, repaired and resumed is told, and its state is the repaired one", async () => {
  const parcel = { type: "parcel", key: "p" };
  const records = await all(eventsOf(source, parcel));
  const marks = records.flatMap(({ offset, record }) => (record.kind === "mark" ? [{ offset, record }] : []));
  assert.deepEqual(
    marks.map(({ record }) => record.verb),
    ["park", "inspect", "repair", "skip", "resume"],
  );
  const [park, , repair, , resume] = marks.map(({ offset }) => offset) as [number, number, number, number, number];
  const parked = await stateAt(source, definitions, parcel, { offset: park });
  assert.equal(parked.image.parked?.park.why, "evolve");
  const repaired = await stateAt(source, definitions, parcel, { offset: repair });
  assert.deepEqual(repaired.image.state, { lines: ["repaired"] });
  assert.equal(repaired.image.version, repair);
  assert.equal((await stateAt(source, definitions, parcel, { offset: resume })).image.parked, undefined);
});

test("code that cannot evolve a record is told of, unless a later mark made the state good", async () => {
  const failing = (times: number) => {
    let left = times;
    const evolve = () => {
      if (left-- > 0) throw new Error("not yet");
    };
    return indexDefinitions(
      entities.map((entity) => {
        const events = new Map([...entity.events].map(([name, event]) => [name, { ...event, evolve }]));
        return entity.name === "parcel" ? { ...entity, events } : entity;
      }),
    );
  };
  // once broken, an entity's evolve is not called again before the repair
  assert.deepEqual((await verifyHistory(source, failing(1))).divergences, []);
  const { divergences } = await verifyHistory(source, failing(1_000));
  assert.deepEqual(
    divergences.map(({ kind, entity }) => [kind, entity]),
    [["evolve-failed", "parcel/p"]],
  );
});
