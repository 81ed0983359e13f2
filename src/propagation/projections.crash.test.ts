/**
 * A process that ends at any call of the store, over and over, with versions that change to and fro: after each start the
 * documents are those of the changes, each counted once; and once there was something to serve, there always is.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../model/errors.ts";
import { Prng } from "../std/prng.ts";
import { doubled, openPlace, type Place, serving, type Total, totals } from "./projections.harness.ts";

const rounds = 60;

test("whichever call of the store a process ends at, each change counts once and something is served", async (context) => {
  const place = await openPlace(context);
  const chance = new Prng(11);
  const model = new Map<string, { paid: number; times: number }>();
  let ended = 0;
  let served = false;
  for (let round = 0; round < rounds; round++) {
    const crash = crashAt(1 + (chance.next() % 6), chance.next() % 2 === 0);
    place.hooks = round === rounds - 1 ? {} : crash.hooks;
    const factor = chance.next() % 3 === 0 ? 2 : 1;
    const projections = place.open(factor === 2 ? doubled : totals);
    await payMore(place, chance, model);
    const status = await place.until((of) => serving(of) || crash.ended);
    if (crash.ended) ended++;
    if (served && status.phase !== "loading") assert.notEqual(status.served, undefined, `round ${round}`);
    if (serving(status)) {
      served = true;
      await place.until(() => isAll(place, model) || crash.ended);
      if (isAll(place, model)) check(place, model, factor, round);
    }
    await projections.close();
  }
  assert.ok(ended >= 20, `${ended} rounds ended at a call of the store`);
  assert.equal(served, true);
});

/** Ends everything at the so-manieth call: before it takes effect, or with its answer lost. */
function crashAt(call: number, before: boolean) {
  const state = { ended: false, calls: 0, hooks: {} };
  const end = () => {
    if (state.ended) throw new HoldfastError("unavailable", "the process has ended");
  };
  const count = () => {
    if (++state.calls >= call) state.ended = true;
  };
  state.hooks = {
    before: () => {
      end();
      if (!before) return;
      count();
      end();
    },
    after: () => {
      if (before) return;
      count();
      end();
    },
  };
  return state;
}

async function payMore(place: Place, chance: Prng, model: Map<string, { paid: number; times: number }>): Promise<void> {
  for (let count = chance.next() % 4; count > 0; count--) {
    const key = `p${chance.next() % 3}`;
    const amount = chance.next() % 100;
    await place.pay(key, amount);
    const { paid, times } = model.get(key) ?? { paid: 0, times: 0 };
    model.set(key, { paid: paid + amount, times: times + 1 });
  }
}

/** Every change was folded: as many as there were, whatever they made. */
function isAll(place: Place, model: ReadonlyMap<string, { times: number }>): boolean {
  return [...model].every(([key, { times }]) => timesOf(place, key) >= times);
}

function timesOf(place: Place, key: string): number {
  return (place.projections.document("totals", key).value as Total | null)?.times ?? 0;
}

function check(
  place: Place,
  model: ReadonlyMap<string, { paid: number; times: number }>,
  factor: number,
  round: number,
): void {
  for (const [key, { paid, times }] of model) {
    const { value } = place.projections.document("totals", key);
    assert.deepEqual(value, { paid: paid * factor, times, name: null }, `round ${round}: ${key}`);
  }
}
