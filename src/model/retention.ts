/**
 * How long records are kept that states do not need any more.
 *
 * Invariant: nothing is deleted that was not asked to be: without a word everything is kept.
 */
import { HoldfastError } from "./errors.ts";

export interface Retention {
  /**
   * What becomes of the records that are trimmed from the log.
   * - `all`        they are archived and kept. The default: what players won and lost can be shown for ever.
   * - `{ keepMs }` they are archived and kept for so long after they were recorded, then deleted, the oldest first.
   * - `none`       they are gone. What was archived before stays.
   */
  readonly archive?: "none" | "all" | { readonly keepMs: number };
}

/** @throws `invalid-configuration` */
export function checkRetention({ archive = "all" }: Retention): Required<Retention> {
  const keepMs = typeof archive === "object" && archive !== null ? archive.keepMs : 0;
  const fits = archive === "all" || archive === "none" || (Number.isFinite(keepMs) && keepMs > 0);
  if (fits) return { archive };
  const text = '`retention.archive` is "all", "none", or { keepMs } with a positive number of milliseconds.';
  throw new HoldfastError("invalid-configuration", text);
}
