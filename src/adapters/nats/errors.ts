/**
 * What the failures of NATS mean to a sink.
 *
 * Invariant: what may pass is `unavailable`, and so is everything that nobody knows: only errors that no waiting mends are
 * `invalid-configuration`, and only those that lie in a message are `rejected`.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";

/** Codes of the server's answers that no waiting mends. */
const configuration: ReadonlySet<number> = new Set([
  10_039, // JetStream is not enabled for the account
  10_059, // no stream of this name
  10_060, // the subject belongs to another stream
  10_109, // the stream is sealed
  10_174, // the stream takes no atomic batches
  10_199, // the batch has more messages than the server allows
]);
/** The answer to a message that is too large. */
const tooLarge = 10_054;
/** Names of the client's errors. */
const refused = /^(AuthorizationError|UserAuthenticationExpiredError|PermissionViolationError|InvalidSubjectError)$/;

export function refusal(message: string, cause?: unknown): HoldfastError {
  return new HoldfastError("invalid-configuration", message, { cause });
}

export function meaningOf(error: unknown, stream: string): HoldfastError {
  if (isHoldfastError(error)) return error;
  const { code, name, message } = described(error);
  const told = `NATS, stream ${stream}: ${message}`;
  if (configuration.has(code) || refused.test(name)) return refusal(`${told}.`, error);
  if (code === tooLarge) return new HoldfastError("rejected", `${told}.`, { cause: error });
  return new HoldfastError("unavailable", `${told}.`, { cause: error });
}

interface Described {
  readonly code: number;
  readonly name: string;
  readonly message: string;
}

/** An answer's error body, an error of the client that holds one, or any other error. */
function described(error: unknown): Described {
  const body = error as { err_code?: number; code?: number; description?: string; name?: string; message?: string };
  const message = body.description ?? body.message ?? String(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : undefined;
  // A request that was refused for lack of permission says so in its cause.
  if (cause !== undefined && refused.test(cause.name)) return { code: 0, name: cause.name, message: cause.message };
  return { code: body.err_code ?? body.code ?? 0, name: body.name ?? "", message };
}
