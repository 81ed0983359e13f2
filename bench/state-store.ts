/**
 * The state store: reads and writes of images of 200 bytes out of many, with the heap and memory they take. Started by
 * `npm run bench -- --only state` as `state-store.ts <directory> <images>`.
 */
import { performance } from "node:perf_hooks";
import { openLmdbStateStore } from "../src/adapters/lmdb/open.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import type { StateStore } from "../src/ports/state-store.ts";

const [directory, imagesText] = process.argv.slice(2) as [string, string];
const images = Number(imagesText);
const perWrite = 1_000;
const bytes = Buffer.alloc(200, 7);

const nameOf = (index: number) => `wallet/player-${index}`;
const shardOfIndex = (index: number) => index % shardCountEmbedded;

async function fill(store: StateStore, count: number): Promise<number> {
  const startMs = performance.now();
  for (let from = 0; from < count; from += perWrite) {
    const writes = Array.from({ length: shardCountEmbedded }, (_, shard) => ({
      shard,
      images: [] as { name: string; touched: number; busy: boolean; bytes: Uint8Array }[],
    }));
    for (let index = from; index < from + perWrite; index++) {
      const at = (index * 7_919) % images;
      writes[shardOfIndex(at)]?.images.push({ name: nameOf(at), touched: index, busy: false, bytes });
    }
    await store.write(writes);
  }
  return (count / (performance.now() - startMs)) * 1_000;
}

function read(store: StateStore, count: number): number {
  const startMs = performance.now();
  for (let index = 0; index < count; index++) {
    const at = (index * 104_729) % images;
    if (store.get(shardOfIndex(at), nameOf(at)) === undefined) throw new Error(`image ${at} is missing`);
  }
  return ((performance.now() - startMs) * 1_000) / count;
}

let startMs = performance.now();
const store = await openLmdbStateStore({ directory });
const openEmptyMs = performance.now() - startMs;
const firstWritesPerSecond = await fill(store, images);
const againWritesPerSecond = await fill(store, Math.min(images, 200_000));
read(store, 100_000);
const getMicros = read(store, 500_000);
const heapMb = process.memoryUsage().heapUsed / 1e6;
const rssMb = process.memoryUsage().rss / 1e6;
const fileMb = store.bytes() / 1e6;
startMs = performance.now();
await store.close();
const closeMs = performance.now() - startMs;
startMs = performance.now();
const again = await openLmdbStateStore({ directory });
const reopenMs = performance.now() - startMs;
read(again, 1);
startMs = performance.now();
const { verifyPages } = await import("../src/adapters/lmdb/verify.ts");
const believed = verifyPages(`${directory}/state.mdb`);
const verifyMs = performance.now() - startMs;
await again.close();
process.send?.({
  openEmptyMs,
  firstWritesPerSecond,
  againWritesPerSecond,
  getMicros,
  heapMb,
  rssMb,
  fileMb,
  closeMs,
  reopenMs,
  verifyMs,
  believed,
});
process.disconnect?.();
