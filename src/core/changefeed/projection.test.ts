/** Documents are a function of the changes: batches whole or not at all, bounded, with payloads in their current shape. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEntity } from "../../model/entity.ts";
import { isHoldfastError } from "../../model/errors.ts";
import type { ChangeItem } from "../../model/feeds.ts";
import { limitsWith } from "../../model/limits.ts";
import { defineProjection } from "../../model/projection.ts";
import type { Plain } from "../../std/plain.ts";
import { Documents } from "./projection.ts";

const table = defineEntity("table", {
  state: () => ({ pots: 0 }),
  events: {
    won: {
      version: 2,
      upcast: { 1: (old: { player: string; sum: number }) => ({ players: [old.player], amount: old.sum, tags: [] }) },
      evolve: (state, event: { players: string[]; amount: number; tags: string[] }) => {
        state.pots += event.amount;
      },
    },
    left: (_state, _event: { player: string }) => {},
  },
  commands: () => ({}),
});

const wins = defineProjection("wins", {
  from: [table],
  document: (player) => ({ player, won: 0, tags: [] as string[] }),
  key: (change) => (change.event === "won" ? change.payload.players : change.payload.player),
  on: {
    table: {
      won: (document, { amount, tags }) => {
        if (amount < 0) throw new Error("a negative pot");
        document.won += amount;
        if (document.tags.length === 0) document.tags = tags;
        else document.tags.push(...tags);
      },
      left: () => null,
    },
  },
});

let offset = 0;
function change(event: string, payload: Plain, eventVersion = event === "won" ? 2 : 1): ChangeItem {
  const head = { shard: 0, offset: ++offset, entity: { type: "table", key: "t" }, index: 0, timeMs: offset };
  return { kind: "change", ...head, event, eventVersion, payload, command: "c", requestId: undefined } as ChangeItem;
}
const won = (players: string[], amount: number, tags: string[] = []) => change("won", { players, amount, tags });

function documentsWith(limits = {}): Documents {
  return new Documents(wins, limitsWith(limits));
}

function failure(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(isHoldfastError(error));
    return `${error.code}: ${error.message}`;
  }
  return "nothing was thrown";
}

test("changes are folded into the documents that their key names, several at once too", () => {
  const documents = documentsWith();
  const touched = documents.fold([won(["ann", "bob"], 5), won(["ann"], 2)]);
  assert.deepEqual([...touched], ["ann", "bob"]);
  assert.deepEqual(documents.get("ann"), { player: "ann", won: 7, tags: [] });
  assert.deepEqual(documents.get("bob"), { player: "bob", won: 5, tags: [] });
});

test("a payload of an older version goes through its upcasts first", () => {
  const documents = documentsWith();
  documents.fold([change("won", { player: "ann", sum: 9 }, 1)]);
  assert.deepEqual(documents.get("ann"), { player: "ann", won: 9, tags: [] });
  assert.match(
    failure(() => documents.fold([change("won", {}, 3)])),
    /^unknown-event: .*version 3/,
  );
});

test("a document that was given out does not change, and neither does a payload", () => {
  const documents = documentsWith();
  const first = won(["ann", "bob"], 1, ["a"]);
  documents.fold([first, won(["ann"], 1, ["b"])]);
  const held = documents.get("ann");
  documents.fold([won(["ann"], 1, ["c"])]);
  assert.deepEqual(held, { player: "ann", won: 2, tags: ["a", "b"] });
  assert.deepEqual(documents.get("bob"), { player: "bob", won: 1, tags: ["a"] });
  assert.deepEqual(first.payload, { players: ["ann", "bob"], amount: 1, tags: ["a"] });
});

test("null takes a document away, and the next change begins a new one", () => {
  const documents = documentsWith();
  documents.fold([won(["ann"], 5)]);
  documents.fold([change("left", { player: "ann" }), won(["bob"], 1)]);
  assert.equal(documents.get("ann"), undefined);
  assert.equal(documents.size, 1);
  documents.fold([won(["ann"], 3), change("left", { player: "ann" }), won(["ann"], 4)]);
  assert.deepEqual(documents.get("ann"), { player: "ann", won: 4, tags: [] });
});

test("a batch that cannot be taken in changes nothing, and the failure says where", () => {
  const documents = documentsWith();
  documents.fold([won(["ann"], 5)]);
  const bad = won(["ann"], -1);
  const text = failure(() => documents.fold([won(["ann"], 1), won(["bob"], 1), bad]));
  assert.match(
    text,
    new RegExp(`^projection-failed: .*"won" of table at offset ${bad.offset} of shard 0: a negative pot`),
  );
  assert.deepEqual(documents.entries(), [["ann", { player: "ann", won: 5, tags: [] }]]);
  assert.match(
    failure(() => documents.fold([won(["no/key"], 1)])),
    /`key` gave "no\/key"/,
  );
  assert.match(
    failure(() => documents.fold([won(["ann"], Number.POSITIVE_INFINITY)])),
    /^projection-failed: .*Infinity/,
  );
});

test("number and bytes of documents are bounded, and those of one document", () => {
  const few = documentsWith({ projectionDocumentsMax: 2 });
  few.fold([won(["ann", "bob"], 1)]);
  assert.match(
    failure(() => few.fold([won(["cid"], 1)])),
    /3 documents; projectionDocumentsMax is 2/,
  );
  few.fold([change("left", { player: "ann" }), won(["cid"], 1)]);
  assert.deepEqual(
    few.entries().map(([key]) => key),
    ["bob", "cid"],
  );
  const small = documentsWith({ projectionBytesMax: 100 });
  assert.match(
    failure(() => small.fold(["a", "b", "c", "d", "e", "f"].map((player) => won([player], 1)))),
    /projectionBytesMax is 100/,
  );
  assert.equal(small.bytes, 0);
  const large = documentsWith({ viewBytesMax: 100 });
  assert.match(
    failure(() => large.fold([won(["a"], 1, ["x".repeat(200)])])),
    /the document "a".* limit of 100 bytes/,
  );
});
