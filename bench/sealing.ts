/**
 * What personal data costs: sealing and opening a name and many keys (processor time), a first key and an erasure in their
 * files (waiting for the disk included), and memory.
 *
 *     npx node --conditions=source bench/sealing.ts [subjects]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKeyFiles } from "../src/adapters/keys/files.ts";
import { openDirectory } from "../src/adapters/system/disk.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { KeyVault } from "../src/runtime/vault.ts";

const subjects = Number(process.argv[2] ?? 1_000_000);
const rounds = 100_000;
const few = 200;
const directory = mkdtempSync(join(tmpdir(), "holdfast-sealing-"));

/** ms of the processor, so that what else the machine does is not counted. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function timed(work: () => void): number {
  const startMs = cpuMs();
  work();
  return cpuMs() - startMs;
}

try {
  const disk = () => openDirectory(directory);
  let store = await openKeyFiles({ disk: disk(), random: systemRandom });
  const vault = new KeyVault(store, systemRandom);
  const sealed: string[] = [];
  for (const warm of [true, false]) {
    sealed.length = 0;
    const sealMs = timed(() => {
      for (let turn = 0; turn < rounds; turn++)
        sealed.push(vault.seal(`player/${turn % 1_000}`, "A Name of 20 Letters").$sealed);
    });
    const openMs = timed(() => {
      for (const text of sealed) vault.open(text);
    });
    if (!warm) {
      console.log(`seal a name of 20 characters: ${((sealMs * 1_000) / rounds).toFixed(1)} µs`);
      console.log(`open it: ${((openMs * 1_000) / rounds).toFixed(1)} µs; ${sealed[0]?.length} bytes in the log`);
    }
  }
  await store.sync();
  const startMs = performance.now();
  for (let turn = 0; turn < few; turn++) {
    store.current(`late/${turn}`);
    await store.sync();
  }
  console.log(`a first key, durable by itself: ${((performance.now() - startMs) / few).toFixed(2)} ms`);
  const eraseMs = performance.now();
  for (let turn = 0; turn < few; turn++)
    await store.erase(`late/${turn}`, { principal: { kind: "operator", id: "bench" }, atMs: 0 });
  console.log(`an erasure in the key store: ${((performance.now() - eraseMs) / few).toFixed(2)} ms`);
  const makeMs = timed(() => {
    for (let turn = 0; turn < subjects; turn++) store.current(`many/${turn}`);
  });
  await store.sync();
  await store.close();
  const { heapUsed, rss } = process.memoryUsage();
  const openMs = cpuMs();
  store = await openKeyFiles({ disk: disk(), random: systemRandom });
  store.find("many/0", 1);
  const tookMs = cpuMs() - openMs;
  const after = process.memoryUsage();
  const mb = (bytes: number) => Math.round(bytes / 1e6);
  console.log(`${subjects} keys: made in ${Math.round(makeMs)} ms, opened again in ${Math.round(tookMs)} ms`);
  console.log(
    `of that in memory: heap ${mb(after.heapUsed - heapUsed)} MB, RSS ${mb(after.rss - rss)} MB more than before`,
  );
  await store.close();
} finally {
  rmSync(directory, { recursive: true });
}
