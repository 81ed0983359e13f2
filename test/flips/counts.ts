/** What came of turned bits. */

export interface Counts {
  flips: number;
  /** Refused, or told and done without. */
  detected: number;
  /** Shows what was written. */
  harmless: number;
  /** Without the last block or transaction, as if the process had been killed before it. */
  endLost: number;
  readonly wrong: string[];
}

export function noCounts(): Counts {
  return { flips: 0, detected: 0, harmless: 0, endLost: 0, wrong: [] };
}

/** A copy with one bit turned. `slice` of a Buffer is none. */
export function turned<Bytes extends Uint8Array>(bytes: Bytes, bit: number): Bytes {
  const copy = Uint8Array.prototype.slice.call(bytes) as Bytes;
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}
