/** What the library of a schema says of it as JSON Schema; nothing where it cannot, never a guess. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";

type Json = Record<string, unknown>;

/** Without the marks that only a whole document may carry. `input`: what is taken; `output`: what it is after that. */
export function jsonSchemaOf(
  schema: StandardSchemaV1,
  side: "input" | "output",
  target: "draft-2020-12" | "draft-07",
): Json {
  const standard: Partial<StandardJSONSchemaV1.Props> = schema["~standard"] as object;
  try {
    const { $schema: _, ...said } = standard.jsonSchema?.[side]({ target }) ?? {};
    return said;
  } catch {
    return {}; // the library cannot say it
  }
}
