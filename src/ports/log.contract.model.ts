/**
 * Cases of the log's contract: generated sequences of commands, each answer compared with a model of thirty lines.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Offset, ShardId } from "../model/ids.ts";
import { type Case, collect, fencedResult, frameOf, type LogUnderTest, ofShard, write } from "./log.contract.kit.ts";
import type { Append, AppendResult, LogFrame, ShardLog } from "./log.ts";

/** What a log is, without a disk: the whole contract of claim, append and trim. */
export class ModelLog {
  readonly epochs: number[];
  readonly tails: number[];
  readonly asked: number[];
  readonly frames: LogFrame[] = [];

  constructor(shardCount: number) {
    this.epochs = new Array(shardCount).fill(0);
    this.tails = new Array(shardCount).fill(1);
    this.asked = new Array(shardCount).fill(1);
  }

  write(verb: "claim" | "append", appends: readonly Append[]): AppendResult[] {
    return appends.map((append) => {
      const { shard, epoch, at, count } = append;
      const known = this.epochs[shard] as number;
      if (at !== this.tails[shard] || (verb === "claim" ? epoch <= known : epoch !== known)) return fencedResult;
      this.epochs[shard] = epoch;
      this.tails[shard] = at + count;
      this.frames.push(frameOf(append));
      return { ok: true, tail: at + count };
    });
  }

  trim(shard: ShardId, before: Offset): void {
    this.asked[shard] = Math.max(this.asked[shard] as number, Math.min(before, this.tails[shard] as number));
  }
}

/** Compares everything a log shows with the model; the log may have kept more than was asked. */
export async function assertLike(model: ModelLog, log: ShardLog): Promise<void> {
  const shards = model.tails.map((_, shard) => shard);
  const positions = await log.tail(shards);
  const from: Record<number, Offset> = {};
  for (const [shard, { epoch, tail, trimmed }] of positions.entries()) {
    assert.deepEqual({ shard, epoch, tail }, { shard, epoch: model.epochs[shard], tail: model.tails[shard] });
    assert.ok(trimmed <= (model.asked[shard] as number), `shard ${shard} lost records nobody allowed to drop`);
    from[shard] = trimmed;
  }
  const found = await collect(log, from);
  for (const shard of shards) {
    const kept = ofShard(model.frames, shard).filter(({ at }) => at >= (from[shard] as number));
    assert.deepEqual(ofShard(found, shard), kept);
  }
}

const shardCount = 5;

/** Wishes, made concrete against the model when they run, so that most of them succeed. */
const wish = fc.record({
  shard: fc.nat(shardCount - 1),
  epochStep: fc.constantFrom(0, 0, 0, 0, 1, 2, -1),
  atStep: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, -1),
  count: fc.constantFrom(1, 1, 2, 7),
  bytes: fc.constantFrom(1, 20, 300, 476, 512, 5000, 20_000),
});

type Wish = typeof wish extends fc.Arbitrary<infer Value> ? Value : never;

const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("claim" as const), wishes: wishes(wish) }) },
  { weight: 8, arbitrary: fc.record({ verb: fc.constant("append" as const), wishes: wishes(wish) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant("trim" as const),
      shard: fc.nat(shardCount - 1),
      part: fc.double({ min: 0, max: 1.2, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      verb: fc.constant("read" as const),
      shard: fc.nat(shardCount - 1),
      part: fc.double({ min: 0, max: 1.2, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant("reopen" as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

function wishes(one: fc.Arbitrary<Wish>): fc.Arbitrary<Wish[]> {
  return fc.uniqueArray(one, { minLength: 1, maxLength: shardCount, selector: ({ shard }) => shard });
}

export const modelCases: readonly Case[] = [
  {
    name: "any sequence of claims, appends, trims, reads and openings is answered as the model answers",
    async run({ open, generatedRuns }) {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
          const under = await open(shardCount);
          await runSteps(under, steps);
          await under.dispose();
        }),
        { numRuns: generatedRuns },
      );
    },
  },
];

async function runSteps(under: LogUnderTest, steps: readonly Step[]): Promise<void> {
  const model = new ModelLog(shardCount);
  let log = under.log;
  for (const one of steps) {
    switch (one.verb) {
      case "claim":
      case "append": {
        const appends = one.wishes.map((each) => concrete(model, one.verb, each));
        assert.deepEqual(await log[one.verb](appends), model.write(one.verb, appends));
        break;
      }
      case "trim": {
        const before = Math.max(1, Math.floor((model.tails[one.shard] as number) * one.part));
        model.trim(one.shard, before);
        await log.trim(one.shard, before);
        break;
      }
      case "read":
        await readLike(model, log, one.shard, one.part);
        break;
      case "reopen":
        if (under.reopen !== undefined) log = await under.reopen();
        break;
      default:
        one satisfies never;
    }
  }
  await assertLike(model, log);
}

function concrete(model: ModelLog, verb: "claim" | "append", { shard, epochStep, atStep, count, bytes }: Wish): Append {
  const base = (model.epochs[shard] as number) + (verb === "claim" ? 1 : 0);
  const at = Math.max(1, (model.tails[shard] as number) + atStep);
  return write(shard, Math.max(1, base + epochStep), at, { count, bytes });
}

async function readLike(model: ModelLog, log: ShardLog, shard: ShardId, part: number): Promise<void> {
  const [position] = await log.tail([shard]);
  const trimmed = position?.trimmed ?? 1;
  const from = Math.max(trimmed, Math.floor((model.tails[shard] as number) * part));
  const kept = ofShard(model.frames, shard).filter(({ at, count }) => at >= trimmed && at + count > from);
  assert.deepEqual(await collect(log, { [shard]: from }), kept);
}
