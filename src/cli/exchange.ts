/**
 * One HTTP request to a node, JSON back: what the verbs that ask a running node share.
 *
 * Invariant: the token goes to the address that was named and to no other, since redirects are not followed; what is no answer
 * of a node is never taken for one.
 */
import { type ErrorCode, HoldfastError, isErrorCode } from "../model/errors.ts";

export interface Exchange {
  readonly url: URL;
  readonly token: string | undefined;
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  /** What an answer is waited for. */
  readonly answerMs: number;
  /** What it is called if nobody answers. */
  readonly silence: Extract<ErrorCode, "unavailable" | "disconnected">;
}

/** @throws HoldfastError what the node answered, `silence` if nobody did, or `unavailable` if that was no node */
export async function exchange({ url, token, method = "GET", body, answerMs, silence }: Exchange): Promise<unknown> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = {
    method,
    headers,
    redirect: "error",
    signal: AbortSignal.timeout(answerMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  };
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (cause) {
    const text = `${url.origin} does not answer${tell(cause)}. Is the node running?`;
    throw new HoldfastError(silence, text, { cause });
  }
  return readAnswer(response, url);
}

function tell(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const inner = error.cause instanceof Error ? error.cause.message : error.message;
  return inner === "" ? "" : ` (${inner})`;
}

async function readAnswer(response: Response, url: URL): Promise<unknown> {
  let value: unknown;
  try {
    value = await response.json();
  } catch (cause) {
    const text = `What answers at ${url.origin} is not a Holdfast node (status ${response.status}); is --url right?`;
    throw new HoldfastError("unavailable", text, { cause });
  }
  if (response.ok) return value;
  const { code, detail } = (value ?? {}) as { code?: unknown; detail?: unknown };
  const text = typeof detail === "string" ? detail : `It answered ${response.status}.`;
  throw new HoldfastError(isErrorCode(code) ? code : "unavailable", text);
}
