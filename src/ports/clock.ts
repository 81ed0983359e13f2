/**
 * Time and chance, as the runtime sees them. Everything below the adapters gets both from here or as an input, so that
 * a simulator can be the only source of either.
 */

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump. */
  now(): number;
  /** Milliseconds that never jump or go back; for durations only. */
  monotonic(): number;
  /** Calls back once, not before `ms` of monotonic time have passed. Returns a function that cancels it. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back once, after the input that has already arrived is taken in (Node: `setImmediate`). */
  defer(callback: () => void): void;
}

export interface Random {
  /** Cryptographically strong bytes. */
  bytes(count: number): Uint8Array;
}
