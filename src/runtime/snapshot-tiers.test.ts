/**
 * The merging of layers, in numbers: few layers, bounded space, and bytes in proportion to what changed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dueMerge, layersMax } from "./snapshot-tiers.ts";

/** Saves that touch `share` of the entities at random, with all merges. Sizes as if every entity had the same. */
function simulate(wholeBytes: number, share: number, saves: number) {
  let layers: { bytes: number; touches: number }[] = [{ bytes: wholeBytes, touches: Number.POSITIVE_INFINITY }];
  let [uploaded, mostLayers, mostBytes] = [0, 0, 0];
  const write = (touches: number) => {
    // Of `touches` random shares some fall on the same entities.
    const layer = { bytes: wholeBytes * (1 - (1 - share) ** touches), touches };
    layers.push(layer);
    uploaded += layer.bytes;
  };
  for (let save = 0; save < saves; save++) {
    write(1);
    for (;;) {
      const due = new Set(dueMerge(layers.map(({ bytes }) => bytes)));
      if (due.size === 0) break;
      const chosen = layers.filter((_, index) => due.has(index));
      layers = layers.filter((_, index) => !due.has(index));
      write(chosen.reduce((sum, { touches }) => sum + touches, 0));
    }
    mostLayers = Math.max(mostLayers, layers.length);
    mostBytes = Math.max(
      mostBytes,
      layers.reduce((sum, { bytes }) => sum + bytes, 0),
    );
  }
  return { perSave: uploaded / saves / wholeBytes, mostLayers, space: mostBytes / wholeBytes };
}

test("saves of 1 % upload less than 5 % of a whole snapshot each on average, all merges counted", () => {
  for (const wholeBytes of [10e6, 25e6, 100e6, 400e6, 1e9]) {
    const { perSave, mostLayers, space } = simulate(wholeBytes, 0.01, 2_000);
    assert.ok(perSave < 0.05, `${perSave} of ${wholeBytes}`);
    assert.ok(mostLayers <= layersMax, `${mostLayers} layers of ${wholeBytes}`);
    assert.ok(space < 1.6, `${space} times ${wholeBytes}`);
  }
});

test("whatever the sizes, layers stay few and merging comes to an end", () => {
  for (const share of [0.00001, 0.0001, 0.001, 0.1, 0.5, 1]) {
    const { mostLayers, space } = simulate(200e6, share, 1_000);
    assert.ok(mostLayers <= layersMax, `${mostLayers} layers for ${share}`);
    assert.ok(space < 5.1, `${space} for ${share}`);
  }
});

test("two layers of one size are left alone, four are merged", () => {
  assert.deepEqual(dueMerge([]), []);
  assert.deepEqual(dueMerge([100]), []);
  assert.deepEqual(dueMerge([1e6, 1e6]), []);
  assert.deepEqual(new Set(dueMerge([1e9, 1e6, 1e6, 1e6, 1e6])), new Set([1, 2, 3, 4]));
});
