/**
 * Cases of the log's contract: what is not a number of the right kind is refused before anything is written. A fence
 * that compares with `undefined` or `NaN` would be no fence.
 */
import assert from "node:assert/strict";
import { assertHolds, assertRejects, type Case, collect, frameOf, write } from "./log.contract.kit.ts";
import type { Append, LogPosition, ShardLog } from "./log.ts";

const neverNumbers: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  2n,
  "",
  "2",
  -1,
  1.5,
  2 ** 53,
  Number.POSITIVE_INFINITY,
  {},
  true,
];
const neverOffsets: readonly unknown[] = [...neverNumbers, 0];
const neverShards: readonly unknown[] = [...neverNumbers, 8, 256];
const neverFrames: readonly unknown[] = [undefined, null, "bytes", new Uint8Array(0), [1, 2], new ArrayBuffer(4), 7];

const shown = (value: unknown): string => {
  if (typeof value === "bigint") return `${value}n`;
  return typeof value === "object" && value !== null
    ? (value.constructor?.name ?? "object")
    : (JSON.stringify(value) ?? String(value));
};

export const argumentCases: readonly Case[] = [
  ...(["claim", "append"] as const).flatMap((verb) => [
    ...fieldCases(verb, "shard", neverShards),
    ...fieldCases(verb, "epoch", neverOffsets),
    ...fieldCases(verb, "at", neverOffsets),
    ...fieldCases(verb, "count", neverOffsets),
    ...fieldCases(verb, "frame", neverFrames),
    twiceCase(verb),
  ]),
  ...neverShards.map((shard) => callCase(`tail of shard ${shown(shard)}`, (log) => log.tail([shard as number]))),
  ...neverShards.map((shard) => callCase(`trim of shard ${shown(shard)}`, (log) => log.trim(shard as number, 1))),
  ...neverOffsets.map((before) => callCase(`trim before ${shown(before)}`, (log) => log.trim(1, before as number))),
  ...neverOffsets.map((from) => callCase(`read from ${shown(from)}`, (log) => collect(log, { 1: from as number }))),
  ...neverShards.map((shard) =>
    callCase(`read of shard ${shown(shard)}`, async (log) => {
      for await (const frames of log.read(new Map([[shard as number, 1]]))) void frames;
    }),
  ),
  {
    name: "after all refusals the log holds what was accepted",
    async run({ shared }) {
      const log = await shared();
      const { tail, trimmed } = await positionOf(log);
      const offsets = Array.from({ length: tail - trimmed }, (_, index) => trimmed + index);
      await assertHolds(
        log,
        [1, 2].flatMap((shard) => offsets.map((at) => frameOf(write(shard, 1, at)))),
      );
    },
  },
];

/** One field of one write is wrong; a right write stands before it in the same call. */
function fieldCases(verb: "claim" | "append", field: keyof Append, values: readonly unknown[]): Case[] {
  return values.map((value) =>
    callCase(`${verb} with ${field} ${shown(value)}`, (log, { epoch, tail }) => {
      const next = verb === "claim" ? epoch + 1 : epoch;
      const wrong = { ...write(1, next, tail), [field]: value } as Append;
      return log[verb]([write(2, next, tail), wrong]);
    }),
  );
}

function twiceCase(verb: "claim" | "append"): Case {
  return callCase(`${verb} with a shard twice`, (log, { epoch, tail }) => {
    const next = verb === "claim" ? epoch + 1 : epoch;
    return log[verb]([write(1, next, tail), write(1, next, tail + 1)]);
  });
}

/** Shards 1 and 2 of the group's log stand at the same tail and epoch before and after each case. */
function callCase(what: string, call: (log: ShardLog, position: LogPosition) => unknown): Case {
  return {
    name: `${what} is refused as internal and nothing is written`,
    async run({ shared }) {
      const log = await shared();
      if ((await positionOf(log)).tail === 1) await log.claim([write(1, 1, 1), write(2, 1, 1)]);
      const before = await positionOf(log);
      await assertRejects(() => call(log, before), "internal");
      assert.deepEqual(await positionOf(log), before);
      const { epoch, tail } = before;
      const accepted = { ok: true, tail: tail + 1 };
      assert.deepEqual(await log.append([write(1, epoch, tail), write(2, epoch, tail)]), [accepted, accepted]);
    },
  };
}

async function positionOf(log: ShardLog): Promise<LogPosition> {
  const [one, two] = await log.tail([1, 2]);
  assert.deepEqual(one, two);
  assert.ok(one !== undefined);
  return one;
}
