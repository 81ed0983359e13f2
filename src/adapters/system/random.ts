/** The machine's cryptographic randomness. Invariant: the one source of chance outside tests and browsers. */
import { randomFillSync } from "node:crypto";
import type { Random } from "../../ports/clock.ts";
import { poolRandom } from "../../std/random-pool.ts";

export const systemRandom: Random = { bytes: poolRandom((bytes) => randomFillSync(bytes)) };
