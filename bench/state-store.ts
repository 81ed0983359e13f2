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

interface Rate {
  readonly perSecond: number;
  /** Of this process, all its threads: what a loaded machine does not change so much. */
  readonly cpuMicros: number;
}

function startRate(count: number): () => Rate {
  const startMs = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return { perSecond: (count / (performance.now() - startMs)) * 1_000, cpuMicros: (user + system) / count };
  };
}

async function fill(store: StateStore, count: number, stride: number): Promise<Rate> {
  const stop = startRate(count);
  for (let from = 0; from < count; from += perWrite) {
    const writes = Array.from({ length: shardCountEmbedded }, (_, shard) => ({
      shard,
      images: [] as { name: string; touched: number; busy: boolean; bytes: Uint8Array }[],
    }));
    for (let index = from; index < from + perWrite; index++) {
      const at = (index * stride) % images;
      writes[shardOfIndex(at)]?.images.push({ name: nameOf(at), touched: index, busy: false, bytes });
    }
    await store.write(writes);
  }
  return stop();
}

function read(store: StateStore, count: number): Rate {
  const stop = startRate(count);
  for (let index = 0; index < count; index++) {
    const at = (index * 104_729) % images;
    if (store.get(shardOfIndex(at), nameOf(at)) === undefined) throw new Error(`image ${at} is missing`);
  }
  return stop();
}

let startMs = performance.now();
const store = await openLmdbStateStore({ directory });
const openEmptyMs = performance.now() - startMs;
// Neighbours together, as a shard's snapshot is loaded; then far apart, as entities are put away.
const near = await fill(store, images, 1);
const apart = await fill(store, Math.min(images, 100_000), 7_919);
read(store, 50_000);
const gets = read(store, 300_000);
const heapMb = process.memoryUsage().heapUsed / 1e6;
const rssMb = process.memoryUsage().rss / 1e6;
const fileMb = store.bytes() / 1e6;
startMs = performance.now();
await store.close();
const closeMs = performance.now() - startMs;
startMs = performance.now();
const again = await openLmdbStateStore({ directory });
const reopenMs = performance.now() - startMs;
startMs = performance.now();
const { verifyPages } = await import("../src/adapters/lmdb/verify.ts");
const believed = verifyPages(`${directory}/state.mdb`);
const verifyMs = performance.now() - startMs;
await again.close();
process.send?.({
  openEmptyMs,
  near,
  apart,
  gets,
  heapMb,
  rssMb,
  fileMb,
  closeMs,
  reopenMs,
  verifyMs,
  believed,
});
process.disconnect?.();
