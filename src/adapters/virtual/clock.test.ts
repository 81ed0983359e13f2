/** The virtual clock and the repeatable chance keep the contract that the machine's keep. */
import { testClock } from "../../ports/clock.contract.ts";
import { Prng } from "../../std/prng.ts";
import { VirtualClock } from "./clock.ts";
import { passUntil } from "./drive.ts";
import { Timeline } from "./timeline.ts";

testClock("virtual", () => {
  const timeline = new Timeline();
  const prng = new Prng(7);
  return {
    clock: new VirtualClock({ timeline }),
    random: { bytes: (count) => prng.bytes(count) },
    pass: (ms) => passUntil(timeline, timeline.nowMs + ms),
  };
});
