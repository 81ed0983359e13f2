/**
 * The small entities that histories are checked against: a register, a counter, a wallet.
 *
 * Invariant: each says what an entity of that name does without looking at the entity's code.
 */
import type { Model } from "./history.ts";

export type RegisterInput =
  | { readonly kind: "write"; readonly value: number }
  | { readonly kind: "swap"; readonly from: number; readonly to: number }
  | { readonly kind: "read" };

/** A number that can be written, read, and swapped for another if it is the expected one. A swap tells whether it was. */
export const register: Model<number, RegisterInput, number | boolean> = {
  initial: 0,
  apply(state, input, output) {
    switch (input.kind) {
      case "write":
        return input.value;
      case "read":
        return output === undefined || output === state ? state : undefined;
      case "swap": {
        const fits = state === input.from;
        if (output !== undefined && output !== fits) return undefined;
        return fits ? input.to : state;
      }
    }
  },
  name: String,
};

export type CounterInput = { readonly kind: "add"; readonly amount: number } | { readonly kind: "read" };

/** Both tell the sum as it is then. */
export const counter: Model<number, CounterInput, number> = {
  initial: 0,
  apply(state, input, output) {
    const after = input.kind === "add" ? state + input.amount : state;
    return output === undefined || output === after ? after : undefined;
  },
  name: String,
};

export type WalletInput =
  | { readonly kind: "credit"; readonly amount: number }
  | { readonly kind: "debit"; readonly amount: number }
  | { readonly kind: "read" };

/** All tell the balance as it is then; a debit that is not covered tells "refused". */
export const wallet: Model<number, WalletInput, number | "refused"> = {
  initial: 0,
  apply(state, input, output) {
    const change = input.kind === "credit" ? input.amount : input.kind === "debit" ? -input.amount : 0;
    if (state + change < 0) return output === undefined || output === "refused" ? state : undefined;
    return output === undefined || output === state + change ? state + change : undefined;
  },
  name: String,
};
