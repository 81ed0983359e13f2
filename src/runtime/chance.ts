/**
 * Chance for decisions, from the random port. Invariant: `integer` is uniform: values that would favour some are thrown
 * away, not folded.
 */
import type { Chance } from "../model/entity.ts";
import { assert } from "../model/errors.ts";
import type { Random } from "../ports/clock.ts";

export function makeChance(random: Random): Chance {
  return {
    bytes: (count) => random.bytes(count),
    integer: (below) => {
      assert(Number.isSafeInteger(below) && below >= 1 && below <= 2 ** 32, "integer(below) takes 1 .. 2^32");
      const limit = Math.floor(2 ** 32 / below) * below;
      for (;;) {
        const [a, b, c, d] = random.bytes(4) as unknown as [number, number, number, number];
        const value = a * 0x1000000 + ((b << 16) | (c << 8) | d);
        if (value < limit) return value % below;
      }
    },
  };
}
