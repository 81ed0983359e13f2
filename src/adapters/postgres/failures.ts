/**
 * What a failure of PostgreSQL, or of the way to it, means for a sink.
 *
 * Invariant: only what the batch itself causes is `rejected`. What an operator of the database can mend (a table that went, a full
 * disk, a standby that was asked) is `unavailable` for a batch, so that nothing is set aside for it.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";

/** SQLSTATE classes and codes by which the server says that a setting of ours cannot work. */
const settings = /^(28|3D|3F|42|0P|23505$)/;
/** Values that a column does not take: too long, not JSON, a character 0 in jsonb, a constraint, a trigger that refuses. */
const values = /^(22|23|P0001$)/;

/** The five letters and digits, if the server said anything. */
export function sqlStateOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

export function openFailure(error: unknown, remedy: string): HoldfastError {
  if (isHoldfastError(error)) return error;
  const state = sqlStateOf(error);
  if (state === undefined || !settings.test(state)) return unavailable(error);
  const text = `PostgreSQL does not let the sink work (${messageOf(error)}). ${remedy}`;
  return new HoldfastError("invalid-configuration", text, { cause: error, details: { sqlState: state } });
}

export function batchFailure(error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  const state = sqlStateOf(error);
  if (state === undefined || !values.test(state)) return unavailable(error);
  const hint = state === "22P05" ? " A column of type jsonb takes no character 0; one of type json does." : "";
  const text = `PostgreSQL refuses a row of the batch (${messageOf(error)}).${hint}`;
  return new HoldfastError("rejected", text, { cause: error, details: { sqlState: state } });
}

function unavailable(error: unknown): HoldfastError {
  const state = sqlStateOf(error);
  const text = `PostgreSQL did not take it (${messageOf(error)}).`;
  return new HoldfastError("unavailable", text, {
    cause: error,
    details: state === undefined ? {} : { sqlState: state },
  });
}

/** Without the row's values: they are in `detail`, which is not told. */
function messageOf(error: unknown): string {
  const state = sqlStateOf(error);
  const text = error instanceof Error ? error.message : String(error);
  return state === undefined ? text : `${state}: ${text}`;
}
