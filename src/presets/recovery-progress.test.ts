/** The line that a terminal shows while a node recovers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { recoverVisibly } from "./recovery-progress.ts";

function terminal() {
  const written: string[] = [];
  return { written, isTTY: true, columns: 100, write: (text: string) => written.push(text) };
}

function recovering(error?: Error) {
  const timeline = new Timeline();
  const stream = terminal();
  const counts = {
    hot: 0,
    hotBytes: 0,
    stored: 0,
    unarchived: 0,
    lookups: 0,
    activations: 0,
    quarantined: 0,
    overBudget: 0,
  };
  const health = { phase: "recovering", recovered: 0, toRecover: 4_000, readOnly: false, ...counts } as const;
  let recovered = 0;
  let leftMs: number | undefined;
  const ended = Promise.withResolvers<void>();
  const node = {
    health: () => ({ ...health, recovered, ...(leftMs === undefined ? {} : { etaMs: leftMs }) }),
    recover: () => ended.promise,
  };
  const done = recoverVisibly(node, stream, new VirtualClock({ timeline }));
  return {
    stream,
    done,
    timeline,
    /** One more look, after so many records. */
    advance: (records: number, etaMs: number) => {
      recovered = records;
      leftMs = etaMs;
      timeline.runNext();
    },
    end: () => (error === undefined ? ended.resolve() : ended.reject(error)),
  };
}

test("a terminal shows records replayed, of how many, and for how long still; then nothing", async () => {
  const { stream, advance, end, done } = recovering();
  advance(1_000, 3_000);
  advance(3_000, 1_000);
  end();
  await done;
  assert.match(stream.written[0] ?? "", /Recovering █{6}░{18} 25 % {2}1,000 of 4,000 records {2}3 s left$/);
  assert.match(stream.written[1] ?? "", /75 % {2}3,000 of 4,000 records {2}1 s left$/);
  assert.deepEqual(stream.written.slice(2), ["\r\u001b[2K"]);
});

test("a recovery that fails leaves nothing on the terminal and no timer", async () => {
  const { stream, advance, end, done, timeline } = recovering(new Error("damaged"));
  advance(1_000, 3_000);
  end();
  await assert.rejects(done, /damaged/);
  assert.equal(stream.written.at(-1), "\r\u001b[2K");
  assert.equal(timeline.runNext(), false);
  assert.equal(stream.written.length, 2);
});
