/**
 * The schema of what a call's result command gets: `command(callOutcome<typeof charge, Context>(), (state, outcome, ctx) => ...)`.
 *
 * Invariant: it accepts exactly what the runtime makes of a call that ended or was parked. The type parameters are the
 * author's word.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { CallOutcome } from "./entity.ts";

/** What a handler resolves to, for a handler's type; any other type stands for itself. */
export type CallValue<Value> = Value extends (...parameters: never) => PromiseLike<infer Result> ? Result : Value;

export function callOutcome<Value = unknown, Context = unknown>(): StandardSchemaV1<
  unknown,
  CallOutcome<CallValue<Value>, Context>
> {
  return { "~standard": { version: 1, vendor: "holdfast", validate } } as StandardSchemaV1<
    unknown,
    CallOutcome<CallValue<Value>, Context>
  >;
}

function validate(value: unknown): StandardSchemaV1.Result<unknown> {
  const candidate = value as Partial<CallOutcome> | null;
  const fits =
    typeof candidate === "object" &&
    candidate !== null &&
    typeof candidate.ok === "boolean" &&
    typeof candidate.call === "string";
  return fits ? { value } : { issues: [{ message: "is not the outcome of a call" }] };
}
