/**
 * How full the memory is that the process's objects live in. A number from outside, like time: simulations and tests give
 * their own.
 */
export interface HeapGauge {
  /** Used, of what the collector may use at most, garbage that was not collected yet included: 0 to 1. */
  usedShare(): number;
}
