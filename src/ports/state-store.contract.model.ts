/**
 * Cases of the state store's contract: generated sequences of writes, everything shown compared with a model.
 */
import fc from "fast-check";
import { bytesOf, ModelStore, type StateStoreCase, type StateStoreUnderTest } from "./state-store.contract.kit.ts";
import type { StateWrite } from "./state-store.ts";

const shards = [0, 1, 7, 511];
const shard = fc.constantFrom(...shards);

// Few names, so that they meet; some are prefixes of others.
const name = fc.constantFrom("a/1", "a/10", "a/1-", "a/1_", "a/Z", "a-b/1", "b/9", `long/${"x".repeat(128)}`);
const length = fc.constantFrom(0, 1, 40, 200, 3_900, 9_000);

const write = fc.record({
  shard,
  images: fc.array(fc.record({ name, seed: fc.nat(1_000), length, busy: fc.boolean() }), { maxLength: 6 }),
  stamp: fc.option(fc.record({ seed: fc.nat(1_000), length: fc.constantFrom(0, 30, 70_000) }), { nil: undefined }),
});

type Wish = typeof write extends fc.Arbitrary<infer Value> ? Value : never;

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ verb: fc.constant("write" as const), writes: fc.array(write, { maxLength: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("clear" as const), shard }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("settle" as const) }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant("reopen" as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

export const stateStoreModelCases: readonly StateStoreCase[] = [
  {
    name: "any sequence of overlapping writes, clears and openings shows what the model shows",
    async run({ open, generatedRuns }) {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 30 }), async (steps) => {
          const under = await open();
          await runSteps(under, steps);
          await under.dispose();
        }),
        { numRuns: generatedRuns },
      );
    },
  },
];

async function runSteps(under: StateStoreUnderTest, steps: readonly Step[]): Promise<void> {
  const model = new ModelStore();
  let store = under.store;
  let underWay: Promise<void>[] = [];
  const settle = async () => {
    await Promise.all(underWay);
    underWay = [];
    model.assertShownBy(store, shards);
  };
  for (const one of steps) {
    switch (one.verb) {
      case "write": {
        const writes = one.writes.map(concrete);
        model.write(writes);
        underWay.push(store.write(writes));
        break;
      }
      case "clear":
        model.clear(one.shard);
        underWay.push(store.clear(one.shard));
        break;
      case "settle":
        await settle();
        break;
      case "reopen":
        await settle();
        if (under.reopen !== undefined) store = await under.reopen();
        break;
      default:
        one satisfies never;
    }
  }
  await settle();
}

function concrete({ shard: at, images, stamp }: Wish): StateWrite {
  return {
    shard: at,
    images: images.map((one) => ({
      name: one.name,
      touched: one.seed,
      busy: one.busy,
      bytes: bytesOf(one.seed, one.length),
    })),
    ...(stamp === undefined ? {} : { stamp: bytesOf(stamp.seed, stamp.length) }),
  };
}
