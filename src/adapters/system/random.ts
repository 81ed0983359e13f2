/**
 * The machine's cryptographic randomness, drawn in pools because a call for 16 bytes costs as much as one for 4096.
 *
 * Invariant: no byte is given out twice, and none stays behind in the pool.
 */
import { randomFillSync } from "node:crypto";
import type { Random } from "../../ports/clock.ts";

const poolBytes = 4096;
const pool = new Uint8Array(poolBytes);
let used = poolBytes;

export const systemRandom: Random = {
  bytes(count) {
    if (count > poolBytes / 8) return randomFillSync(new Uint8Array(count));
    if (used + count > poolBytes) {
      randomFillSync(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + count);
    pool.fill(0, used, used + count);
    used += count;
    return bytes;
  },
};
