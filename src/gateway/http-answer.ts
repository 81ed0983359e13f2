/**
 * What every HTTP answer looks like: JSON, or a problem of RFC 9457, with the headers that keep browsers from guessing,
 * storing or framing it.
 *
 * Invariant: a problem holds a code of the catalogue and what the service said for callers; never a payload, a token or
 * the text of something that was thrown.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { catalogue, HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { CallFailure, CallResult } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { copied, early } from "./answers.ts";
import type { GatewayContext } from "./options.ts";
import { retryAfterMs } from "./retry.ts";

export const problemType = "application/problem+json";

/** Set on every answer before anything else. */
export function setCommonHeaders(context: GatewayContext, response: ServerResponse, origin: string | undefined): void {
  response.setHeader("X-Content-Type-Options", "nosniff");
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  response.setHeader("Referrer-Policy", "no-referrer");
  response.setHeader("Cross-Origin-Resource-Policy", origin === undefined ? "same-origin" : "cross-origin");
  response.setHeader("Vary", "Origin");
  if (context.authenticate.development === true) response.setHeader("X-Holdfast-Development", "true");
  if (context.draining) response.setHeader("Connection", "close");
  if (origin === undefined) return;
  response.setHeader("Access-Control-Allow-Origin", origin);
  response.setHeader("Access-Control-Expose-Headers", "ETag, Idempotency-Key, Retry-After, X-Holdfast-Development");
}

export function sendJson(response: ServerResponse, status: number, body: unknown, type = "application/json"): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(JSON.stringify(body));
  response.statusCode = status;
  response.setHeader("Content-Type", type);
  response.setHeader("Content-Length", bytes.length);
  response.end(bytes);
}

/** The outcome of a command or query. */
export function sendResult(response: ServerResponse, result: CallResult): void {
  if (!result.ok) return sendProblem(response, result);
  response.setHeader("ETag", `"${result.version}"`);
  sendJson(response, 200, { value: result.value, version: result.version, ...early(result), ...copied(result) });
}

export function problemBody(failure: CallFailure): Record<string, unknown> {
  const { status, title, recovery } = catalogue[failure.code];
  return {
    type: `urn:holdfast:error:${failure.code}`,
    title,
    status,
    code: failure.code,
    detail: failure.detail,
    retryable: recovery === "retry",
    ...(failure.reason === undefined ? undefined : { reason: failure.reason }),
    ...(failure.details === undefined ? undefined : { details: failure.details }),
    ...(failure.version === undefined ? undefined : { version: failure.version }),
    ...early(failure),
  };
}

export function sendProblem(response: ServerResponse, failure: CallFailure): void {
  if (response.headersSent || response.destroyed) return;
  const { status } = catalogue[failure.code];
  if (failure.version !== undefined) response.setHeader("ETag", `"${failure.version}"`);
  const after = retryAfterMs(failure.code);
  if (after > 0 || status === 503) response.setHeader("Retry-After", Math.max(1, Math.ceil(after / 1000)));
  if (failure.code === "unauthenticated") response.setHeader("WWW-Authenticate", 'Bearer realm="holdfast"');
  // A body that nobody will read: the connection ends rather than swallow it.
  if (!(response.req as IncomingMessage).complete) response.setHeader("Connection", "close");
  sendJson(response, status, problemBody(failure), problemType);
}

/** Whatever was thrown, as an answer. */
export function sendThrown(context: GatewayContext, response: ServerResponse, error: unknown): void {
  if (response.destroyed) return; // the caller is gone, which is what was thrown
  if (!isHoldfastError(error)) {
    context.report({ where: "http", code: "internal", thrown: error instanceof Error ? error.name : typeof error });
    return sendProblem(response, { ok: false, code: "internal", detail: "Something went wrong here." });
  }
  // Which shard, and where it begins: for the program that has to go on from there.
  const details = error.code === "cursor-lost" ? { details: error.details as Plain } : undefined;
  sendProblem(response, { ok: false, code: error.code, detail: error.message, ...details });
}

/** A refusal as a whole HTTP answer, for sockets that have no response object. */
export function rawProblem(code: CallFailure["code"], detail: string, status: number = catalogue[code].status): string {
  const body = JSON.stringify({ ...problemBody({ ok: false, code, detail }), status });
  const retry = status === 503 ? "Retry-After: 1\r\n" : "";
  const head = `HTTP/1.1 ${status} ${catalogue[code].title}\r\nContent-Type: ${problemType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return `${head}X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n${retry}Connection: close\r\n\r\n${body}`;
}

export function refuse(code: CallFailure["code"], detail: string): never {
  throw new HoldfastError(code, detail);
}
