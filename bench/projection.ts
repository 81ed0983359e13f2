/**
 * What a projection costs: folding changes, placing documents in their order, saving all of them.
 *
 *   npx node --conditions=source bench/projection.ts
 *
 * Alone in the process: no log, no feed. What a feed gives is measured by `npm run bench`.
 */
import { Documents } from "../src/core/changefeed/projection.ts";
import { defineEntity } from "../src/model/entity.ts";
import type { ChangeItem } from "../src/model/feeds.ts";
import { limitsDefault } from "../src/model/limits.ts";
import { defineProjection } from "../src/model/projection.ts";
import { Shelf } from "../src/propagation/shelf.ts";
import { Prng } from "../src/std/prng.ts";
import { encodeProjection } from "../src/wire/projection.ts";

const players = 100_000;
const changes = 1_000_000;
const batch = 1_024;

const table = defineEntity("table", {
  state: () => ({}),
  events: { won: (_state, _event: { player: string; amount: number; pot: number }) => {} },
  commands: () => ({}),
});

const standings = defineProjection("standings", {
  from: [table],
  document: (player) => ({ player, won: 0, hands: 0, biggestPot: 0 }),
  key: ({ payload }) => payload.player,
  on: {
    table: {
      won: (document, { amount, pot }) => {
        document.won += amount;
        document.hands += 1;
        document.biggestPot = Math.max(document.biggestPot, pot);
      },
    },
  },
  orderBy: { won: ({ won }) => won },
});

const chance = new Prng(1);

function change(offset: number): ChangeItem {
  const payload = {
    player: `player-${chance.next() % players}`,
    amount: chance.next() % 1_000,
    pot: chance.next() % 5_000,
  };
  const head = { shard: 0, offset, entity: { type: "table", key: "t" }, index: 0, timeMs: offset, eventVersion: 1 };
  return { kind: "change", ...head, event: "won", payload, command: "act", requestId: undefined } as ChangeItem;
}

const batches = Array.from({ length: Math.ceil(changes / batch) }, (_, at) =>
  Array.from({ length: batch }, (_item, index) => change(at * batch + index + 1)),
);

function seconds(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1_000;
}

/** Runs it to its end, and says how long its longest slice took. */
function inSlices<Value>(work: Generator<void, Value>): { value: Value; totalMs: string; longestMs: string } {
  let [total, longest] = [0, 0];
  for (;;) {
    const start = performance.now();
    const step = work.next();
    const ms = performance.now() - start;
    total += ms;
    longest = Math.max(longest, ms);
    if (step.done === true) return { value: step.value, totalMs: total.toFixed(0), longestMs: longest.toFixed(1) };
  }
}

const documents = new Documents(standings, limitsDefault);
let longestMs = 0;
const folding = seconds(() => {
  for (const items of batches) longestMs = Math.max(longestMs, seconds(() => documents.fold(items)) * 1_000);
});
const count = batches.length * batch;
console.log(`fold      ${count} changes into ${documents.size} documents: ${Math.round(count / folding)} changes/s`);
console.log(`          longest batch of ${batch}: ${longestMs.toFixed(1)} ms`);

const shelf = new Shelf(standings, "1", documents);
const filling = inSlices(shelf.fill());
console.log(`sort      ${documents.size} documents in ${filling.totalMs} ms, longest slice ${filling.longestMs} ms`);
const many = seconds(() => {
  shelf.touch(documents.fold(Array.from({ length: batch }, (_, index) => change(count + index))));
  shelf.first("won", 10);
});
console.log(`merge     ${batch} changes and the first 10: ${(many * 1_000).toFixed(1)} ms`);
const rounds = 2_000;
const placing = seconds(() => {
  for (let round = 0; round < rounds; round++) {
    shelf.touch(documents.fold([change(count + batch + round)]));
    shelf.first("won", 10);
  }
});
console.log(`place     one change and the first 10: ${((placing / rounds) * 1e6).toFixed(0)} us`);

const rows = documents.entries();
const head = { name: "standings", version: "1", cursor: "c", caughtUp: true, savedMs: 0, documents: rows.length };
const saving = inSlices(encodeProjection(head, rows));
const megabytes = (saving.value.length / 1e6).toFixed(1);
console.log(`save      ${megabytes} MB in ${saving.totalMs} ms, longest slice ${saving.longestMs} ms`);
