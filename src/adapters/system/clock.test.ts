/**
 * The machine's clock and randomness pass the contract suite.
 */
import { testClock } from "../../ports/clock.contract.ts";
import { systemClock } from "./clock.ts";
import { systemRandom } from "./random.ts";

testClock("system", () => ({
  clock: systemClock,
  random: systemRandom,
  pass: (ms) => new Promise((resolve) => void systemClock.after(ms + 1, resolve)),
}));
