/**
 * Golden logs: what earlier code recorded, the code of today replays to the same states.
 *
 * A failure means that logs of running services would not come back as they were. To record anew is right only after the
 * format of frames changed: `npm run golden:record`.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openMemoryKeys } from "../../src/adapters/keys/memory.ts";
import { openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { readHashes } from "../../src/history/hash.ts";
import { isHoldfastError } from "../../src/model/errors.ts";
import { startNode } from "../../src/runtime/node.ts";
import { dumpStore, frameVersionOf, loadDump } from "./dump.ts";
import { sinkOf } from "./kitchen-sink.ts";
import { golden, verifyStore } from "./logs.ts";

const here = dirname(fileURLToPath(import.meta.url));
const directories = readdirSync(here).filter((name) => name.startsWith("frames-"));
const names = Object.keys(golden) as (keyof typeof golden)[];

function load(directory: string, name: string) {
  const bytes = readFileSync(join(here, directory, `${name}.frames.gz`));
  const hashes = readHashes(readFileSync(join(here, directory, `${name}.hashes.json`), "utf8"));
  return { bytes, store: loadDump(bytes), hashes };
}

test("there are golden logs, each under the version of its frames", () => {
  assert.ok(directories.length > 0, "npm run golden:record makes them");
  for (const directory of directories) {
    for (const name of names) {
      const { bytes, store } = load(directory, name);
      assert.equal(directory, `frames-${frameVersionOf(store)}`);
      assert.deepEqual(loadDump(dumpStore(store)), store);
      assert.ok(bytes.length < 64 * 1024, "golden logs stay small");
    }
  }
});

for (const directory of directories) {
  for (const name of names) {
    test(`${directory}/${name} replays to the states that were recorded`, async () => {
      const { store, hashes } = load(directory, name);
      const result = await verifyStore(store, golden[name], hashes);
      assert.deepEqual(result.divergences, []);
      assert.equal(result.compared, Object.keys(hashes.entities).length);
      assert.deepEqual(result.hashes, hashes);
    });

    test(`${directory}/${name} is recovered by a node`, async () => {
      const { store } = load(directory, name);
      const before = store.shards.reduce((sum, { tail }) => sum + tail - 1, 0);
      const node = await startNode({
        entities: golden[name],
        log: openMemoryLog({ store }),
        keys: await openMemoryKeys({ random: systemRandom }),
        clock: systemClock,
        random: systemRandom,
        shardCount: store.shards.length,
        onFault: (where, error) => assert.fail(`${where}: ${String(error)}`),
      });
      const { recovered, phase } = node.health();
      await node.stop();
      assert.deepEqual({ recovered, phase }, { recovered: before, phase: "serving" });
    });
  }

  test(`${directory}: a node refuses events of a version that its code does not know, and changes nothing`, async () => {
    const { store } = load(directory, "kitchen-sink");
    const tails = store.shards.map(({ tail }) => tail);
    const start = () =>
      startNode({
        entities: sinkOf(2),
        log: openMemoryLog({ store }),
        clock: systemClock,
        random: systemRandom,
        shardCount: store.shards.length,
      });
    await assert.rejects(start, (error) => {
      assert.ok(isHoldfastError(error));
      assert.equal(error.code, "unknown-event");
      assert.match(
        error.message,
        /"placed" version 3; this code knows versions up to 2. Deploy the code that wrote it/,
      );
      return true;
    });
    assert.deepEqual(
      store.shards.map(({ tail }) => tail),
      tails,
    );
  });
}
