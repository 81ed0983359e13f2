/**
 * A process that holds a state store and writes round after round until it is killed. Each round replaces everything in one
 * write; its number is printed when that has resolved.
 */
import { bytesOf, image } from "../../ports/state-store.contract.kit.ts";
import { openLmdbStateStore } from "./open.ts";
import { roundNames, roundShards, stampBytes } from "./writer.harness.ts";

const directory = process.argv[2];
let round = Number(process.argv[3]);
if (directory === undefined) throw new Error("a directory is needed");
const store = await openLmdbStateStore({
  directory,
  bytesMax: 256 * 1024 * 1024,
  emptied: (reason) => {
    throw new Error(`emptied: ${reason}`);
  },
});
for (;;) {
  round += 1;
  const seed = round;
  await store.write(
    roundShards.map((shard) => ({
      shard,
      images: roundNames.map((name, index) => image(name, seed, { length: 200 + index, busy: index === seed % 10 })),
      stamp: bytesOf(seed, stampBytes(seed)),
    })),
  );
  process.stdout.write(`${round}\n`);
}
