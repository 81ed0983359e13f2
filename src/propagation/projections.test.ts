/** Projections over a real node with the segment log on a real disk: folded once, saved, swapped, served, blanked. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { MemoryKeys, openMemoryKeys } from "../adapters/keys/memory.ts";
import { MemoryObjects, type MemorySnapshotHooks, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import { defineProjection, type ProjectionDefinition } from "../model/projection.ts";
import type { ProjectionStatus } from "../model/projection-status.ts";
import { projectionVersionOf } from "../model/projection-version.ts";
import type { CallResult, Principal, WatchNews } from "../model/records.ts";
import { personal, type Sealed } from "../model/sealed.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import type { Plain } from "../std/plain.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { decodeProjection } from "../wire/projection.ts";
import type { Feed, Feeds } from "./feed.ts";
import { type OpenFeeds, openFeeds } from "./feeds.ts";
import { Projections } from "./projections.ts";

const shardCount = 4;
const system: Principal = { kind: "system", id: "test" };

const purse = defineEntity("purse", {
  personal: true,
  state: () => ({ balance: 0 }),
  events: {
    paid: (state, event: { amount: number }) => void (state.balance += event.amount),
    named: (_state, _event: { name: Sealed<string> }) => {},
  },
  commands: (command) => ({
    pay: command(z.object({ amount: z.number() }), (_state, { amount }, context) => {
      context.emit("paid", { amount });
    }),
    name: command(z.object({ name: z.string().transform((name) => personal(name)) }), (_state, { name }, context) => {
      context.emit("named", { name });
    }),
  }),
  access: () => true,
});

type Total = { paid: number; times: number; name: Sealed<string> | null };
const fold = {
  from: [purse],
  document: (): Total => ({ paid: 0, times: 0, name: null }),
  on: {
    purse: {
      paid: (document: Total, { amount }: { amount: number }) => {
        if (amount < 0) throw new Error("less than nothing");
        document.paid += amount;
        document.times += 1;
      },
      named: (document: Total, { name }: { name: Sealed<string> }) => {
        document.name = name;
      },
    },
  },
  orderBy: { paid: ({ paid }: Total) => paid, times: ({ times }: Total) => times },
  access: (principal: Principal) => principal.kind === "user",
} as const;
const totals = defineProjection("totals", fold);
/** The same changes, another text. */
const doubled = defineProjection("totals", {
  ...fold,
  version: 2,
  on: {
    purse: {
      paid: (document, { amount }) => {
        document.paid += amount * 2;
        document.times += 1;
      },
    },
  },
});

class Place {
  readonly directory = mkdtempSync(join(tmpdir(), "holdfast-projections-"));
  readonly objects = new MemoryObjects();
  readonly keys = new MemoryKeys();
  readonly reports: string[] = [];
  node!: HoldfastNode;
  feeds!: OpenFeeds;
  projections!: Projections;
  hooks: MemorySnapshotHooks = {};
  limits: Partial<Limits> = { projectionLingerMs: 1 };
  /** Changes feeds, if a test is to come between. */
  through: (feeds: Feeds) => Feeds = (feeds) => feeds;

  async startNode(): Promise<void> {
    this.node = await startNode({
      entities: [purse],
      log: await openSegmentLog({ directory: this.directory, shardCount }),
      keys: await openMemoryKeys({ store: this.keys, random: systemRandom }),
      clock: systemClock,
      random: systemRandom,
      shardCount,
      limits: this.limits,
    });
    this.feeds = openFeeds(this.node.source);
  }

  /** Projections like those of a process: what an earlier one had in memory is gone. */
  open(...definitions: ProjectionDefinition[]): Projections {
    const { source } = this.node;
    this.projections = new Projections(definitions, {
      feeds: this.through(this.feeds),
      store: openMemorySnapshots({ objects: this.objects, hooks: this.hooks }),
      clock: systemClock,
      limits: this.node.limits,
      door: source.openDoor(new Map(definitions.map((definition) => [definition.name, definition]))),
      run: () => this.node.run,
      report: (where, error) =>
        this.reports.push(`${where}: ${error instanceof Error ? error.message : String(error)}`),
    });
    this.projections.start();
    return this.projections;
  }

  send(key: string, command: string, input: unknown): Promise<CallResult> {
    const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
    const call = { entity: { type: "purse", key }, command, input, requestId, principal: system };
    return new Promise((done) => this.node.execute(call, done));
  }

  async pay(key: string, ...amounts: number[]): Promise<void> {
    for (const amount of amounts) assert.ok((await this.send(key, "pay", { amount })).ok);
  }

  get saved(): string[] {
    return [...this.objects.objects.keys()];
  }

  /** Until the projection's status is as wanted. */
  async until(wanted: (status: ProjectionStatus) => boolean, name = "totals"): Promise<ProjectionStatus> {
    for (let tries = 0; ; tries++) {
      const status = this.projections.status().find((of) => of.name === name);
      if (status !== undefined && wanted(status)) return status;
      assert.ok(tries < 2_000, JSON.stringify(this.projections.status()));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

async function openPlace(context: TestContext): Promise<Place> {
  const place = new Place();
  context.after(async () => {
    await place.projections?.close();
    place.feeds.close();
    await place.node.stop();
    rmSync(place.directory, { recursive: true, force: true });
  });
  await place.startNode();
  return place;
}

const serving = ({ phase }: ProjectionStatus) => phase === "serving";
const folded = (changes: number) => (status: ProjectionStatus) => serving(status) && status.changes >= changes;
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "none";
  } catch (error) {
    return isHoldfastError(error) ? error.code : String(error);
  }
};

test("changes of before and after the start are folded, and lists come in their order", async (context) => {
  const place = await openPlace(context);
  await place.pay("ann", 5, 1);
  await place.pay("bob", 9);
  place.open(totals);
  await place.pay("cid", 1, 1, 1);
  await place.until(folded(6));
  const { documents, more, order, phase } = place.projections.list("totals", { limit: 2 });
  assert.deepEqual([order, more, phase], ["paid", true, "serving"]);
  assert.deepEqual(
    documents.map(({ key, value }) => [key, (value as Total).paid]),
    [
      ["bob", 9],
      ["ann", 6],
    ],
  );
  assert.equal(place.projections.list("totals", { limit: 1, order: "times" }).documents[0]?.key, "cid");
  assert.deepEqual(place.projections.document("totals", "bob").value, { paid: 9, times: 1, name: null });
  assert.equal(place.projections.document("totals", "nobody").value, null);
  assert.equal(
    codeOf(() => place.projections.list("totals", { limit: 0 })),
    "invalid-input",
  );
  assert.equal(
    codeOf(() => place.projections.list("totals", { limit: 1, order: "age" })),
    "not-found",
  );
  assert.equal(
    codeOf(() => place.projections.list("wins", { limit: 1 })),
    "not-found",
  );
});

test("nobody may read but whom `access` allows, and what is not there looks forbidden", async (context) => {
  const place = await openPlace(context);
  const { access: _, ...without } = fold;
  place.open(
    totals,
    defineProjection("closed", without),
    defineProjection("throws", { ...fold, access: () => JSON.parse("{") }),
  );
  const ask = (name: string) => ({ kind: "list", name, limit: 1 }) as const;
  const user: Principal = { kind: "user", id: "ann" };
  place.projections.allow(user, ask("totals"));
  for (const [principal, name] of [
    [{ kind: "operator", id: "o" }, "totals"],
    [user, "closed"],
    [user, "throws"],
    [user, "missing"],
  ] as const) {
    assert.equal(
      codeOf(() => place.projections.allow(principal, ask(name))),
      "forbidden",
    );
  }
  assert.match(place.reports.join(), /projection throws: access/);
});

test("after a restart each change counts once: what was saved is not folded again, what was not is", async (context) => {
  const place = await openPlace(context);
  await place.pay("ann", 1, 2, 3);
  const first = place.open(totals);
  await place.until(folded(3));
  await first.close();
  const kept = place.objects.copy();
  await place.pay("ann", 4);
  const second = place.open(totals);
  const { changes } = await place.until(folded(1));
  assert.equal(changes, 1, "only what came after the save");
  await place.pay("ann", 5);
  await place.until(folded(2));
  await second.close();
  // As a crash of the second would have left it.
  for (const [name, { bytes }] of kept.objects) place.objects.write(name, bytes);
  place.open(totals);
  await place.until(folded(2));
  assert.deepEqual(place.projections.document("totals", "ann").value, { paid: 15, times: 5, name: null });
});

/** Feeds that give so many batches, and no more until they may. */
function held(batches = 0): { readonly through: (feeds: Feeds) => Feeds; release: () => void } {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const through = (feeds: Feeds): Feeds => ({
    service: feeds.service,
    open: async (ask) => {
      const feed = await feeds.open(ask);
      return {
        get cursor() {
          return feed.cursor;
        },
        next: async (limits) => {
          if (batches-- <= 0) await gate;
          return await feed.next(limits);
        },
        close: () => feed.close(),
      } satisfies Feed;
    },
  });
  return { through, release };
}

test("another version is built beside the one that is served, and takes its place when it has caught up", async (context) => {
  const place = await openPlace(context);
  await place.pay("ann", 5);
  const first = place.open(totals);
  await place.until(folded(1));
  await first.close();
  const [before] = place.saved;
  await place.pay("ann", 1);
  const gate = held();
  place.through = gate.through;
  place.open(doubled);
  const building = await place.until(({ served }) => served !== undefined);
  assert.deepEqual([building.phase, `projections/totals/${building.served}`], ["building", before]);
  const old = place.projections.document("totals", "ann");
  assert.deepEqual([old.value, old.phase, old.lagSeconds], [{ paid: 5, times: 1, name: null }, "building", null]);
  assert.equal(place.projections.list("totals", { limit: 1 }).documents.length, 1);
  const heard: Plain[] = [];
  const stop = place.projections.watch({ kind: "document", name: "totals", key: "ann" }, (news) => {
    if (news.ok) heard.push((news.value as Total).paid);
  });
  gate.release();
  const { version, served } = await place.until(serving);
  assert.equal(served, version);
  const { value, lagSeconds } = place.projections.document("totals", "ann");
  assert.deepEqual([value, lagSeconds], [{ paid: 12, times: 2, name: null }, 0]);
  assert.deepEqual(place.saved, [`projections/totals/${version}`], "the other one is deleted");
  assert.deepEqual(heard, [5, 12], "who watches is given the new one");
  stop();
});

test("a build that is cut short goes on where it was saved, and the old version is served meanwhile", async (context) => {
  const place = await openPlace(context);
  place.limits = { feedBatchItemsMax: 2 };
  await place.node.stop();
  await place.startNode();
  await place.pay("ann", 1, 1, 1, 1, 1);
  const first = place.open(totals);
  await place.until(folded(5));
  await first.close();
  const gate = held(1);
  place.through = gate.through;
  const second = place.open(doubled);
  await place.until(({ changes }) => changes === 2);
  const closing = second.close();
  gate.release();
  await closing;
  assert.equal(place.saved.length, 2, "the new one as far as it was, and the old one");
  const { head } = savedHead(place, doubled);
  assert.equal(head.caughtUp, false);
  const again = held();
  place.through = again.through;
  place.open(doubled);
  const { served, version } = await place.until((status) => status.served !== undefined);
  assert.notEqual(served, version);
  assert.equal((place.projections.document("totals", "ann").value as Total).paid, 5);
  again.release();
  const { changes } = await place.until(serving);
  assert.equal(changes, 3, "the two of before are not folded again");
  assert.deepEqual(place.projections.document("totals", "ann").value, { paid: 10, times: 5, name: null });
  assert.equal(place.saved.length, 1);
});

function savedHead(place: Place, definition: ProjectionDefinition) {
  const name = place.saved.find((of) => of.endsWith(projectionVersionOf(definition))) ?? "";
  return decodeProjection(place.objects.objects.get(name)?.bytes ?? new Uint8Array(), name);
}

test("a function that throws ends its projection visibly: what was served is served on, and others go on", async (context) => {
  const place = await openPlace(context);
  await place.pay("ann", 5);
  place.open(
    totals,
    defineProjection("others", { ...fold, on: { purse: { paid: (document) => void document.times++ } } }),
  );
  await place.until(folded(1));
  await place.pay("ann", 7, -1, 2);
  const failed = await place.until(({ phase }) => phase === "failed");
  assert.equal(failed.error?.code, "projection-failed");
  assert.match(failed.error?.detail ?? "", /"paid" of purse at offset \d+ of shard \d: less than nothing/);
  assert.match(place.reports.join(), /less than nothing/);
  const { value, phase } = place.projections.document("totals", "ann");
  assert.equal(phase, "failed");
  assert.ok([5, 12].includes((value as Total).paid));
  await place.until(folded(4), "others");
  assert.equal((place.projections.document("others", "ann").value as Total).times, 4);
});

test("one that fails before it ever served answers projection-failed, and unavailable before that", async (context) => {
  const place = await openPlace(context);
  await place.pay("ann", -1);
  const gate = held();
  place.through = gate.through;
  const projections = place.open(totals);
  assert.equal(
    codeOf(() => projections.document("totals", "ann")),
    "unavailable",
  );
  gate.release();
  await place.until(({ phase }) => phase === "failed");
  assert.equal(
    codeOf(() => projections.document("totals", "ann")),
    "projection-failed",
  );
  assert.equal(
    codeOf(() => projections.watch({ kind: "document", name: "totals", key: "ann" }, () => {})),
    "projection-failed",
  );
});

test("a store that does not answer holds up nothing but the saves, and a damaged object is built again", async (context) => {
  const place = await openPlace(context);
  place.limits = { projectionLingerMs: 1 };
  let down = false;
  place.hooks = {
    before: () => {
      if (down) throw new HoldfastError("unavailable", "the store is down");
    },
  };
  await place.pay("ann", 5);
  const first = place.open(totals);
  await place.until(folded(1));
  down = true;
  await place.pay("ann", 6);
  await place.until(folded(2));
  await first.close();
  assert.match(place.reports.splice(0).join(), /could not be saved.*the store is down/);
  down = false;
  const second = place.open(totals);
  await place.until(folded(1));
  assert.deepEqual(second.document("totals", "ann").value, { paid: 11, times: 2, name: null });
  await second.close();
  const [name = ""] = place.saved;
  place.objects.flip(name, 300);
  place.open(totals);
  const { changes } = await place.until(serving);
  assert.equal(changes, 2, "all of them again");
  assert.match(place.reports.join(), /built again: The snapshot object projections\/totals/);
  assert.deepEqual(place.projections.document("totals", "ann").value, { paid: 11, times: 2, name: null });
});

test("a cursor of another log is not followed: it is built again, and what is there is served meanwhile", async (context) => {
  const place = await openPlace(context);
  await place.pay("ann", 5, 5, 5, 5);
  const first = place.open(totals);
  await place.until(folded(4));
  await first.close();
  place.feeds.close();
  await place.node.stop();
  rmSync(place.directory, { recursive: true, force: true });
  await place.startNode();
  await place.pay("ann", 1);
  place.open(totals);
  await place.until(folded(1));
  assert.match(place.reports.join(), /which is built again/);
  assert.deepEqual(place.projections.document("totals", "ann").value, { paid: 1, times: 1, name: null });
});

test("who watches hears what is there and then each change of what is watched, and nothing else", async (context) => {
  const place = await openPlace(context);
  place.open(totals);
  await place.pay("ann", 5);
  await place.pay("bob", 3);
  await place.until(folded(2));
  const news: WatchNews[] = [];
  const stop = place.projections.watch({ kind: "list", name: "totals", limit: 1 }, (one) => news.push(one));
  const heard = () => news.map((one) => one.ok && (one.value as { documents: { key: string }[] }).documents[0]?.key);
  while (news.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  await place.pay("bob", 1);
  await place.until(folded(3));
  assert.deepEqual(heard(), ["ann"]);
  await place.pay("bob", 9);
  await place.until(folded(4));
  assert.deepEqual(heard(), ["ann", "bob"]);
  stop();
  await place.pay("ann", 99);
  await place.until(folded(5));
  assert.equal(news.length, 2);
  assert.ok(news.every((one, at) => one.ok && one.version === at + 1));
});

test("sealed values stay sealed in documents and objects, leave opened, and are null when erased", async (context) => {
  const place = await openPlace(context);
  await place.send("ann", "name", { name: "Ann of the name" });
  const first = place.open(totals);
  await place.until(folded(1));
  const heard: Plain[] = [];
  first.watch({ kind: "list", name: "totals", limit: 5 }, (news) => {
    if (news.ok)
      heard.push((news.value as { documents: { value: { name: Plain } }[] }).documents[0]?.value.name ?? null);
  });
  while (heard.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal((first.document("totals", "ann").value as { name: Plain }).name, "Ann of the name");
  const { run } = place.node;
  const operator: Principal = { kind: "operator", id: "o" };
  const erased = await new Promise<CallResult>((done) =>
    place.node.erase({ subject: { type: "purse", key: "ann" }, principal: operator }, done),
  );
  assert.ok(erased.ok);
  assert.notEqual(first.run, run, "deltas of before are not continued");
  assert.equal((first.document("totals", "ann").value as { name: Plain }).name, null);
  assert.deepEqual(heard, ["Ann of the name", null]);
  await first.close();
  const bytes = Buffer.concat([...place.objects.objects.values()].map((object) => object.bytes));
  assert.ok(bytes.includes("purse/ann.1.") && !bytes.includes("Ann of the name"));
});
