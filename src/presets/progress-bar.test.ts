/** The progress bar: on a terminal one line that is drawn over, elsewhere plain lines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../ports/clock.ts";
import { ProgressBar } from "./progress-bar.ts";

function surroundings(isTTY: boolean) {
  const written: string[] = [];
  const time = { ms: 0 };
  const clock = {
    now: () => time.ms,
    monotonic: () => time.ms,
    after: () => () => {},
    defer: () => {},
  } satisfies Clock;
  return { written, time, clock, stream: { isTTY, columns: 80, write: (text: string) => written.push(text) } };
}

test("on a terminal the bar is drawn in place, not too often, and taken away", () => {
  const { written, time, clock, stream } = surroundings(true);
  const bar = new ProgressBar("Replaying", stream, clock);
  bar.expect(1_000);
  bar.advance(10);
  assert.deepEqual(written, [], "too early to draw");
  time.ms = 1_000;
  bar.advance(490);
  bar.advance(10);
  assert.equal(written.length, 1);
  const [before, drawn] = (written[0] ?? "").split("\r\u001b[2K");
  assert.equal(before, "");
  assert.match(drawn ?? "", /^Replaying █+░+ 50 % {2}500 of 1,000 records {2}1 s left$/);
  bar.clear();
  bar.clear();
  assert.deepEqual(written.slice(1), ["\r\u001b[2K"]);
});

test("without a terminal there are plain lines, and nothing to take away", () => {
  const { written, time, clock, stream } = surroundings(false);
  const bar = new ProgressBar("Replaying", stream, clock);
  time.ms = 6_000;
  bar.set(300, 400);
  bar.clear();
  assert.deepEqual(written, ["Replaying 75 %  300 of 400 records  2 s left\n"]);
});
