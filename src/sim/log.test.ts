/** The simulated log without faults is a shard log like any other. */
import { createMemoryStore } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { testLog } from "../ports/log.contract.ts";
import { Prng } from "../std/prng.ts";
import { SimLog } from "./log.ts";

const frameBytesMax = 64 * 1024;

testLog("simulated, slow", async ({ shardCount }) => {
  const timeline = new Timeline();
  const prng = new Prng(shardCount);
  let disposed = false;
  const pump = () => {
    if (disposed) return;
    timeline.runNext();
    systemClock.defer(pump);
  };
  pump();
  const after = (ms: number, run: () => void) => void timeline.after(ms, run);
  const store = createMemoryStore(shardCount);
  const open = () =>
    new SimLog({
      store,
      after,
      outlasting: after,
      frameBytesMax,
      delayMs: () => prng.integer(3),
      random: () => prng.fraction(),
    });
  let log = open();
  return {
    log,
    frameBytesMax,
    reopen: async () => {
      await log.close();
      log = open();
      return log;
    },
    dispose: async () => {
      disposed = true;
      await log.close();
    },
  };
});
