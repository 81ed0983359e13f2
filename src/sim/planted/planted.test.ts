/** The simulator sees the bugs that it is there to see. All of them: `npm run sim -- --planted`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { bugs } from "./bugs.ts";
import { huntPlanted } from "./hunt.ts";

const source = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8");

test("every planted bug's text stands once in its file", () => {
  for (const { name, edits } of bugs) {
    for (const { file, find } of edits) assert.equal(source(file).split(find).length - 1, 1, `${name}: ${file}`);
  }
});

test("planted bugs have different names", () => {
  assert.equal(new Set(bugs.map(({ name }) => name)).size, bugs.length);
});

test("finds a reply that is not durable, a second run of a request id, and a torn block", async () => {
  const only = ["reply-before-durable", "no-dedup", "torn-block-accepted"];
  const results = await huntPlanted({ only, workers: 2, seedsMax: 300 });
  for (const { name, found } of results) assert.ok(found !== undefined, `${name} was not found`);
  assert.equal(results.length, only.length);
});

test("finds a query that the log did not confirm, a call that is repeated under another id, and a claim of a tail that nobody replayed", async () => {
  const only = ["query-not-confirmed", "repeat-with-a-new-id", "standby-claims-at-reread-tail"];
  const results = await huntPlanted({ only, workers: 2, seedsMax: 300 });
  for (const { name, found } of results) assert.ok(found !== undefined, `${name} was not found`);
  assert.equal(results.length, only.length);
});

test("finds a log trimmed too far, states of other code, an event that is skipped, and objects deleted too early", async () => {
  const only = ["trim-past-second-newest", "other-code-state-store", "unknown-event-skipped", "sweep-takes-too-much"];
  const results = await huntPlanted({ only, workers: 2, seedsMax: 500 });
  for (const { name, found } of results) assert.ok(found !== undefined, `${name} was not found`);
  assert.equal(results.length, only.length);
});
