/**
 * What a node answers by itself, before an owner is asked.
 *
 * Invariant: nothing was done yet; where the code says so, the same request may be sent again.
 */
import type { CallFailure } from "../model/records.ts";

export const invalidKey: CallFailure = {
  ok: false,
  code: "invalid-key",
  detail: "A key is 1 to 128 of letters, digits, _ and -.",
};

export const notServing: CallFailure = {
  ok: false,
  code: "unavailable",
  detail: "The node is not serving; send the same request again.",
};

export const crowded: CallFailure = {
  ok: false,
  code: "overloaded",
  detail: "More entities are in memory than there is room for; send the same request again.",
};
