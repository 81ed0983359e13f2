/** What a node says itself, before any owner is asked. Invariant: each can be answered to anybody: nothing of an entity is in it. */
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
