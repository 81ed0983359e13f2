/**
 * Calls of the author's access rule and input schemas.
 *
 * Invariant: only an explicit `true` allows; a rule that throws denies. Input that does not fit never reaches a decide.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { EntityDefinition, Verb } from "../model/entity.ts";
import type { FeedVerb } from "../model/feeds.ts";
import type { Limits } from "../model/limits.ts";
import type { CallFailure, Principal } from "../model/records.ts";
import { copyPlain, PlainError } from "../std/plain.ts";

export function mayDo(definition: EntityDefinition, principal: Principal, verb: Verb, key: string): boolean {
  return allows(() => definition.access(principal, verb, key));
}

export function mayFollow(definition: EntityDefinition, principal: Principal, verb: FeedVerb): boolean {
  return allows(() => definition.feed(principal, verb));
}

function allows(rule: () => boolean): boolean {
  try {
    return rule() === true;
  } catch {
    return false;
  }
}

export type Validated =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly failure: CallFailure };

const nothing: Validated = { ok: true, value: undefined };

/**
 * Without a schema the input must be absent, null or an empty object.
 * @param sealed sealed values may stand in it: it does not come from outside, where somebody could have what others sealed
 * opened to him
 */
export function validateInput(
  schema: StandardSchemaV1 | undefined,
  input: unknown,
  limits: Limits,
  sealed = false,
): Validated {
  if (schema === undefined) return isNothing(input) ? nothing : invalid("This takes no input; leave it out.");
  try {
    copyPlain(input ?? null, { depthMax: limits.depthMax, bytesMax: limits.inputBytesMax, sealed });
  } catch (fault) {
    if (!(fault instanceof PlainError)) throw fault;
    const code = fault.reason === "not-plain" ? "invalid-input" : "too-large";
    return { ok: false, failure: { ok: false, code, detail: `In the input: ${fault.message}.` } };
  }
  try {
    const result = schema["~standard"].validate(input);
    if (result instanceof Promise)
      return invalid("The schema is asynchronous; a command's schema must be synchronous.");
    return result.issues === undefined ? { ok: true, value: result.value } : invalid(describe(result.issues));
  } catch {
    return invalid("The schema could not check this input.");
  }
}

function isNothing(input: unknown): boolean {
  return input === undefined || input === null || (typeof input === "object" && Object.keys(input).length === 0);
}

const issuesTold = 5;

function describe(issues: readonly StandardSchemaV1.Issue[]): string {
  const told = issues.slice(0, issuesTold).map((issue) => {
    const path = (issue.path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  const more = issues.length > issuesTold ? ` (and ${issues.length - issuesTold} more)` : "";
  return `The input does not fit: ${told.join("; ")}${more}.`;
}

function invalid(detail: string): Validated {
  return { ok: false, failure: { ok: false, code: "invalid-input", detail } };
}
