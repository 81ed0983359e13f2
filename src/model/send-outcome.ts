/**
 * The schema of what a reply command gets: `command(sendOutcome<Value, Context>(), (state, outcome, ctx) => ...)`.
 *
 * Invariant: it accepts exactly what the runtime makes of a settled send. The type parameters are the author's word.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { SendOutcome } from "./entity.ts";

export function sendOutcome<Value = unknown, Context = unknown>(): StandardSchemaV1<
  unknown,
  SendOutcome<Value, Context>
> {
  return { "~standard": { version: 1, vendor: "holdfast", validate } } as StandardSchemaV1<
    unknown,
    SendOutcome<Value, Context>
  >;
}

function validate(value: unknown): StandardSchemaV1.Result<unknown> {
  const candidate = value as Partial<SendOutcome> | null;
  const fits =
    typeof candidate === "object" &&
    candidate !== null &&
    typeof candidate.ok === "boolean" &&
    typeof candidate.to === "object";
  return fits ? { value } : { issues: [{ message: "is not the outcome of a send" }] };
}
