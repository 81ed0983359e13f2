/** Commands and answers of the entities under chaos, in the words of the checkers' models. */
import type { RegisterInput, WalletInput } from "../../../src/sim/checkers/models.ts";

/** An answer, or an outcome of the log. */
export interface Seen {
  readonly name: string;
  readonly kind: "ok" | "rejected";
  readonly value: unknown;
}

export function registerInput(name: string, input: unknown): RegisterInput {
  if (name === "read") return { kind: "read" };
  if (name === "write") return { kind: "write", value: (input as { value: number }).value };
  const { from, to } = input as { from: number; to: number };
  return { kind: "swap", from, to };
}

export function registerOutput({ name, value }: Seen): { output: number | boolean; changed: boolean } {
  return { output: value as number | boolean, changed: name === "write" || (name === "swap" && value === true) };
}

export function purseInput(name: string, input: unknown): WalletInput {
  if (name === "balance") return { kind: "read" };
  const { amount } = input as { amount: number };
  return { kind: name === "grant" || name === "take" ? "credit" : "debit", amount };
}

export function purseOutput({ name, kind, value }: Seen): { output: number | "refused"; changed: boolean } {
  if (kind === "rejected") return { output: "refused", changed: false };
  return { output: value as number, changed: name !== "balance" };
}
