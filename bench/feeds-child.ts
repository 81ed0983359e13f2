/**
 * The process of `feeds.ts`: feeds in the process of their node. `catch-up <directory>` reads the change log that `recovery.ts write` made, `stalled
 * <directory> <rounds> <ms> <per second> <consumers>` takes commands at a fixed rate, in turns with and without consumers that
 * took one batch each and then ask for nothing more.
 */
import { createHistogram } from "node:perf_hooks";
import { type Feed, type HoldfastNode, openFeeds, startNode } from "holdfast";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { uuidV7 } from "./uuid.ts";
import { wallet } from "./wallet.ts";

const [mode, directory, ...parameters] = process.argv.slice(2) as [string, string, ...string[]];
const shardCount = shardCountEmbedded;
const system = { kind: "system", id: "bench" } as const;
const log = await openSegmentLog({ directory, shardCount });
const node = await startNode({ entities: [wallet], log, clock: systemClock, random: systemRandom, shardCount });
const feeds = openFeeds(node.source);

async function catchUp(): Promise<object> {
  const feed = await feeds.open({ form: "changes", start: "beginning", principal: system });
  let [events, batches, sum] = [0, 0, 0];
  const from = performance.now();
  for (;;) {
    const { items, lag } = await feed.next({ itemsMax: 4_096 });
    if (items.length === 0 && lag.records === 0) break;
    batches++;
    events += items.length;
    for (const item of items) if (item.kind === "change") sum += (item.payload as { amount: number }).amount;
  }
  const ms = performance.now() - from;
  return { events, batches, sum, ms, heapMb: process.memoryUsage().heapUsed / 1e6 };
}

function credit(to: HoldfastNode, wallets: number, done: () => void): void {
  const call = {
    entity: { type: "wallet", key: `w${Math.floor(Math.random() * wallets)}` },
    command: "credit",
    input: { amount: 5 },
    requestId: uuidV7(),
    principal: system,
  } as const;
  to.execute(call, (result) => {
    if (!result.ok) throw new Error(result.detail);
    done();
  });
}

/** Commands that arrive at a rate, whatever the answers do. @returns p50 and p99 from when each was due, in ms */
function arrive(forMs: number, perSecond: number): Promise<{ p50Ms: number; p99Ms: number }> {
  const histogram = createHistogram();
  const from = performance.now();
  let [sent, open] = [0, 0];
  return new Promise((resolve) => {
    const go = (): void => {
      const now = performance.now();
      for (;;) {
        const dueAt = from + (sent * 1_000) / perSecond;
        if (dueAt > now || dueAt >= from + forMs) break;
        sent++;
        open++;
        credit(node, 10_000, () => {
          open--;
          histogram.record(Math.max(1, Math.round((performance.now() - dueAt) * 1_000)));
        });
      }
      if (now < from + forMs || open > 0) setTimeout(go, 1);
      else resolve({ p50Ms: histogram.percentile(50) / 1_000, p99Ms: histogram.percentile(99) / 1_000 });
    };
    go();
  });
}

async function openStalled(count: number): Promise<Feed[]> {
  const forms = ["changes", "absolutes", "deltas"] as const;
  const opened: Feed[] = [];
  for (let index = 0; index < count; index++) {
    const form = forms[index % 3] as (typeof forms)[number];
    const feed = await feeds.open({ form, start: "now", principal: system });
    credit(node, 10_000, () => {});
    await feed.next({ itemsMax: 100, waitMs: 100 });
    opened.push(feed);
  }
  return opened;
}

async function stalled(): Promise<object> {
  const [rounds, ms, perSecond, consumers] = parameters.map(Number) as [number, number, number, number];
  await arrive(2_000, perSecond);
  const taken: object[] = [];
  for (let round = 0; round < rounds; round++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    const opened = await openStalled(consumers);
    globalThis.gc?.();
    const heldBytes = process.memoryUsage().heapUsed - before;
    const withThem = await arrive(ms, perSecond);
    for (const feed of opened) feed.close();
    const without = await arrive(ms, perSecond);
    taken.push({ heldBytes, withThem, without });
  }
  return { rounds: taken };
}

process.send?.(mode === "catch-up" ? await catchUp() : await stalled());
feeds.close();
await node.stop();
process.disconnect?.();
