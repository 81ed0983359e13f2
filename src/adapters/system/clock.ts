/**
 * The machine's clock. Invariant: `after` never calls back before its time (a bare timer may, by a fraction of a
 * millisecond), and a delay longer than Node's 24.8 days does not fire at once.
 */
import type { Clock } from "../../ports/clock.ts";

/** The longest delay `setTimeout` takes; anything longer it runs after 1 ms. */
const timerMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const dueMs = performance.now() + ms;
    let timer: NodeJS.Timeout;
    const arm = () => {
      const leftMs = Math.max(0, dueMs - performance.now());
      timer = setTimeout(fire, Math.min(Math.ceil(leftMs), timerMsMax));
    };
    const fire = () => {
      if (performance.now() < dueMs) arm();
      else callback();
    };
    arm();
    return () => clearTimeout(timer);
  },
  defer(callback) {
    setImmediate(callback);
  },
};
