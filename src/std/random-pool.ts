/**
 * Random bytes drawn in pools, because a system's call for 16 bytes costs as much as one for 4096.
 *
 * Invariant: no byte is given out twice, and none stays behind in the pool.
 */
const poolBytes = 4096;

/** @param fill overwrites the array with random bytes */
export function poolRandom(fill: (bytes: Uint8Array<ArrayBuffer>) => void): (count: number) => Uint8Array {
  const pool = new Uint8Array(poolBytes);
  let used = poolBytes;
  return (count) => {
    if (count > poolBytes / 8) {
      const large = new Uint8Array(count);
      fill(large);
      return large;
    }
    if (used + count > poolBytes) {
      fill(pool);
      used = 0;
    }
    const bytes = pool.slice(used, used + count);
    pool.fill(0, used, used + count);
    used += count;
    return bytes;
  };
}
