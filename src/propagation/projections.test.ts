/** Projections over a real node with the segment log on a real disk: folded once, saved, swapped, served, blanked. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { HoldfastError } from "../model/errors.ts";
import { defineProjection } from "../model/projection.ts";
import type { CallResult, Principal, WatchNews } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import {
  codeOf,
  doubled,
  fold,
  folded,
  held,
  openPlace,
  savedHead,
  serving,
  type Total,
  totals,
} from "./projections.harness.ts";

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
  place.limits = { feedBatchItemsMax: 2, feedStreamItemsMax: 2 };
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
