/**
 * What deltas save on the game's table: bots play hands on a node in this process; the view of a player at the table and that of
 * a spectator are encoded as they are sent. Then the encoder compares all of these views again, alone.
 *
 *     deltas-child.ts <changes of the table>
 */
import { startNode } from "holdfast";
import { startCrew } from "../examples/teen-patti/src/bots/crew.ts";
import type { TableView } from "../examples/teen-patti/src/contract.ts";
import { entities } from "../examples/teen-patti/src/entities.ts";
import { nodeDoor } from "../examples/teen-patti/src/game.testkit.ts";
import { settingsFor } from "../examples/teen-patti/src/lobby.ts";
import { systemClock as gameClock } from "../examples/teen-patti/src/system.ts";
import { openTables } from "../examples/teen-patti/src/tables.ts";
import { openMemoryKeys } from "../src/adapters/keys/memory.ts";
import { openMemoryLog } from "../src/adapters/memory/log.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { DeltaLine } from "../src/core/changefeed/delta-line.ts";
import { compactDiff } from "../src/std/patch.ts";
import type { Plain } from "../src/std/plain.ts";
import { encodeViewTail, type ViewBody } from "../src/wire/view-parts.ts";

const wanted = Number(process.argv[2]);
const fast = { betweenHandsMs: 0, seedRevealMs: 0, turnMs: 100, turnGraceMs: 0, sideShowMs: 100, seatHeldMs: 300 };
const table = "a";

interface Tally {
  messages: number;
  absolutes: number;
  wholeBytes: number;
  sentBytes: number;
  /** The same in JSON, as characters. */
  wholeText: number;
  sentText: number;
  operations: number;
  readonly values: Plain[];
  hands: number;
}

function follow(): { tally: Tally; take: (version: number, value: Plain) => void } {
  const line = new DeltaLine(1);
  const tally: Tally = {
    messages: 0,
    absolutes: 0,
    wholeBytes: 0,
    sentBytes: 0,
    wholeText: 0,
    sentText: 0,
    operations: 0,
    values: [],
    hands: 0,
  };
  return {
    tally,
    take(version, value) {
      const first = line.latest === undefined;
      const delta = line.advance(version, value);
      // What everybody gets once says nothing about changes.
      if (first) return;
      const absolute: ViewBody = { t: "absolute", version, value };
      const sent: ViewBody = delta === undefined ? absolute : { t: "delta", ...delta };
      tally.messages++;
      tally.wholeBytes += encodeViewTail(absolute, "msgpack").length;
      tally.sentBytes += encodeViewTail(sent, "msgpack").length;
      tally.wholeText += encodeViewTail(absolute, "json").length;
      tally.sentText += encodeViewTail(sent, "json").length;
      if (delta === undefined) tally.absolutes++;
      tally.operations += delta?.patch.length ?? 0;
      tally.hands = (value as unknown as TableView).hand.handNumber;
      tally.values.push(value);
    },
  };
}

function countValues(value: Plain): number {
  if (typeof value !== "object" || value === null) return 1;
  let count = 1;
  for (const each of Object.values(value)) count += countValues(each as Plain);
  return count;
}

/** @returns comparisons of two views per second, and values compared */
function timeEncoder(values: readonly Plain[]): { readonly nsPerView: number; readonly valuesPerSecond: number } {
  const count = values.slice(1).reduce<number>((sum, value) => sum + countValues(value), 0);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20; round++) {
    const startedAt = performance.now();
    for (let index = 1; index < values.length; index++) compactDiff(values[index - 1] as Plain, values[index] as Plain);
    best = Math.min(best, performance.now() - startedAt);
  }
  return { nsPerView: (best * 1e6) / (values.length - 1), valuesPerSecond: (count / best) * 1_000 };
}

const node = await startNode({
  entities,
  log: openMemoryLog({ shardCount: 8 }),
  keys: await openMemoryKeys({ random: systemRandom }),
  clock: systemClock,
  random: systemRandom,
  shardCount: 8,
});
await openTables(node, [{ table, settings: settingsFor(10, { config: fast }) }]);
const crew = startCrew({
  tables: [table],
  botsPerTable: 5,
  leaveFree: 0,
  speed: "max",
  seed: 7,
  clock: gameClock,
  openDoor: (user) => nodeDoor(node, user),
});
const results: Record<string, unknown> = {};
const stops: (() => void)[] = [];
const followed = await Promise.all(
  ["bot-1", "onlooker"].map(
    (id) =>
      new Promise<Tally>((resolve) => {
        const { tally, take } = follow();
        const call = { entity: { type: "table", key: table }, view: "seat", principal: { kind: "user", id } as const };
        const stop = node.watch(call, (news) => {
          if (!news.ok || tally.messages >= wanted) return;
          take(news.version, news.value);
          if (tally.messages >= wanted) resolve(tally);
        });
        stops.push(stop);
      }),
  ),
);
for (const stop of stops) stop();
await crew.stop();
for (const [index, tally] of followed.entries()) {
  const { values, ...counts } = tally;
  results[index === 0 ? "player" : "onlooker"] = {
    ...counts,
    ...timeEncoder(values),
    values: countValues(values.at(-1) as Plain),
  };
}
process.send?.(results);
await node.stop();
process.exit(0);
