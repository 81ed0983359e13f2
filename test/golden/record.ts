/**
 * `npm run golden:record`: plays the golden logs again and writes them below `test/golden/frames-<format version>`, with
 * the hashes of the states that the present code evolves from them.
 *
 * `npm run golden:record -- personal` records one: one that is new.
 *
 * Run it when the format of frames gets a new version (a new directory comes to be; the old ones stay, as long as that
 * format must be read), never to make a failing replay pass: then the code is wrong.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import { writeHashes } from "../../src/history/hash.ts";
import { dumpStore, frameVersionOf } from "./dump.ts";
import { golden, verifyStore } from "./logs.ts";
import { recordGame } from "./record-game.ts";
import { recordPersonal } from "./record-personal.ts";
import { recordSink, sinkShards } from "./record-sink.ts";

const here = dirname(fileURLToPath(import.meta.url));

const recorders: Readonly<Record<keyof typeof golden, () => Promise<MemoryStore>>> = {
  "kitchen-sink": async () => {
    const store = createMemoryStore(sinkShards);
    await recordSink(async () => openMemoryLog({ store }));
    return store;
  },
  game: recordGame,
  personal: recordPersonal,
};

const [only] = process.argv.slice(2);

for (const name of Object.keys(golden) as (keyof typeof golden)[]) {
  if (only !== undefined && name !== only) continue;
  const store = await recorders[name]();
  const directory = join(here, `frames-${frameVersionOf(store)}`);
  mkdirSync(directory, { recursive: true });
  const { hashes, divergences, records } = await verifyStore(store, golden[name]);
  if (divergences.length > 0) throw new Error(`${name} does not replay: ${JSON.stringify(divergences[0])}`);
  const bytes = dumpStore(store);
  writeFileSync(join(directory, `${name}.frames.gz`), bytes);
  writeFileSync(join(directory, `${name}.hashes.json`), writeHashes(hashes));
  console.log(`${name}: ${records} records, ${bytes.length} bytes, ${Object.keys(hashes.entities).length} entities`);
}
