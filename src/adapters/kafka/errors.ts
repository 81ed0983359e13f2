/**
 * What the failures of Kafka mean to a sink.
 *
 * Invariant: what may pass is `unavailable`, and so is everything that nobody knows: only errors that no waiting mends are
 * `invalid-configuration`, and only those that lie in a message are `rejected`.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";

/** Answers that no waiting mends. */
const configuration = [
  "CLUSTER_AUTHORIZATION_FAILED",
  "INVALID_TOPIC_EXCEPTION",
  "INVALID_TRANSACTION_TIMEOUT",
  "SASL_AUTHENTICATION_FAILED",
  "TOPIC_AUTHORIZATION_FAILED",
  "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
  "UNSUPPORTED_SASL_MECHANISM",
  "UNSUPPORTED_VERSION",
  // of topics that are made
  "INVALID_CONFIG",
  "INVALID_PARTITIONS",
  "INVALID_REPLICATION_FACTOR",
  "POLICY_VIOLATION",
];
const clientConfiguration = ["PLT_KFK_AUTHENTICATION", "PLT_KFK_UNSUPPORTED_API", "PLT_KFK_UNSUPPORTED"];
const rejected = ["INVALID_RECORD", "MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"];
/** Another producer of the same transactional id was here, or this one was forgotten. */
const fencing = [
  "INVALID_PRODUCER_EPOCH",
  "INVALID_PRODUCER_ID_MAPPING",
  "PRODUCER_FENCED",
  "TRANSACTIONAL_ID_NOT_FOUND",
];

export function refusal(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError("invalid-configuration", message, { cause });
}

export function isFencing(error: unknown): boolean {
  return holds(error, "apiId", fencing) !== undefined;
}

export function holdsAnswer(error: unknown, apiId: string): boolean {
  return holds(error, "apiId", [apiId]) !== undefined;
}

/** The client says so without a code. */
export function isUnknownTopic(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Unknown topic");
}

export function meaningOf(error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  const cause = { cause: error };
  const wrong = holds(error, "apiId", configuration) ?? holds(error, "code", clientConfiguration);
  if (wrong !== undefined) return refusal(`Kafka: ${wrong}.`, error);
  if (isUnknownTopic(error)) return refusal(`Kafka: ${innermost(error)}.`, error);
  const refused = holds(error, "apiId", rejected);
  if (refused !== undefined)
    return new HoldfastError(
      "rejected",
      `Kafka: ${refused}. Raise max.message.bytes of the topic, or follow fewer data.`,
      cause,
    );
  return new HoldfastError("unavailable", `Kafka: ${innermost(error)}.`, cause);
}

/** The first of these values that an error, or one inside it, has. */
function holds(error: unknown, property: "apiId" | "code", values: readonly string[]): string | undefined {
  const found = new Set(within(error).map((one) => (one as { apiId?: unknown; code?: unknown })[property]));
  return values.find((value) => found.has(value));
}

/** An error and those that it holds: of several tries, of several brokers, or as its cause. */
function within(error: unknown): readonly Error[] {
  if (!(error instanceof Error)) return [];
  const held = error instanceof AggregateError ? error.errors : [];
  return [error, ...[...held, error.cause].flatMap(within)];
}

/** The last of the client's tries tells. */
export function innermost(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors.at(-1));
  return error instanceof Error ? error.message.replace(/\.$/, "") : String(error);
}
