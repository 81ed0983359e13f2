/**
 * What is read from an HTTP request: token, body, conditions, ids.
 *
 * Invariant: a body is collected only up to `frameBytesMax` and only as JSON in UTF-8 without a content coding; each
 * header that is understood is understood whole or refused.
 */
import type { IncomingMessage } from "node:http";
import type { Limits } from "../model/limits.ts";
import type { QueryCall } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { isUuidV7, makeUuidV7 } from "../std/uuid.ts";
import { decodePlain } from "../wire/codec.ts";
import { bodyLimits } from "../wire/guard.ts";
import { tokenCharsMax } from "../wire/messages.ts";
import { readOptions } from "./answers.ts";
import { refuse } from "./http-answer.ts";
import type { GatewayContext } from "./options.ts";

const bearer = /^Bearer +([A-Za-z0-9._~+/:=-]+)$/i;
const jsonType = /^application\/json *(; *charset="?utf-8"? *)?$/i;
const etag = /^"(0|[1-9][0-9]{0,15})"$/;

/** The token of `Authorization: Bearer`. @throws `unauthenticated` something else stands there */
export function readToken(request: IncomingMessage): string | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return undefined;
  const token = bearer.exec(header)?.[1];
  if (token === undefined || token.length > tokenCharsMax)
    refuse("unauthenticated", "`Authorization` is `Bearer` and a token.");
  return token;
}

export function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? "";
}

/** The whole body; undefined if there is none. @throws `too-large`, `unsupported-media-type`, `invalid-frame` */
export async function readBody(request: IncomingMessage, limits: Limits): Promise<Plain | undefined> {
  const length = Number(request.headers["content-length"] ?? 0);
  const chunked = request.headers["transfer-encoding"] !== undefined;
  if (length === 0 && !chunked) return undefined;
  if (length > limits.frameBytesMax) refuse("too-large", `The body is over ${limits.frameBytesMax} bytes.`);
  if (!jsonType.test(request.headers["content-type"] ?? ""))
    refuse("unsupported-media-type", "The body is application/json in UTF-8.");
  if (request.headers["content-encoding"] !== undefined)
    refuse("unsupported-media-type", "The body has no content coding.");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > limits.frameBytesMax) refuse("too-large", `The body is over ${limits.frameBytesMax} bytes.`);
    chunks.push(chunk as Buffer);
  }
  if (bytes === 0) return undefined;
  return decodePlain(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks), "json", bodyLimits(limits));
}

/** How a query is to be read, and what else stands in the query string. */
export function readConsistency(search: string): Pick<QueryCall, "consistency" | "lagMs"> & { readonly rest: string } {
  const rest: string[] = [];
  const given = new Map<string, string>();
  for (const part of search.slice(1).split("&")) {
    const [name = "", value = ""] = part.split("=");
    if (name !== "consistency" && name !== "lagMs") rest.push(part);
    else if (given.has(name)) refuse("invalid-frame", `The parameter \`${name}\` is given once.`);
    else given.set(name, value);
  }
  const consistency = given.get("consistency");
  if (consistency !== undefined && consistency !== "local" && consistency !== "consistent")
    refuse("invalid-frame", "The parameter `consistency` is `consistent` or `local`.");
  const lagMs = given.get("lagMs");
  if (lagMs !== undefined && !/^\d{1,9}$/.test(lagMs))
    refuse("invalid-frame", "The parameter `lagMs` is a whole number of milliseconds.");
  const text = rest.join("&");
  const read = readOptions(consistency, lagMs === undefined ? undefined : Number(lagMs));
  return { ...read, rest: text === "" ? "" : `?${text}` };
}

/** The `input` of a query string; nothing else may stand there. */
export function readQueryInput(search: string, limits: Limits): Plain | undefined {
  if (search === "" || search === "?") return undefined;
  let text: string | undefined;
  for (const part of search.slice(1).split("&")) {
    const equals = part.indexOf("=");
    if (text !== undefined || part.slice(0, equals) !== "input")
      refuse("invalid-frame", "The parameters are `input`, `consistency` and `lagMs`, each once.");
    try {
      text = decodeURIComponent(part.slice(equals + 1).replaceAll("+", " "));
    } catch {
      refuse("invalid-frame", "The parameter `input` is not percent-encoded UTF-8.");
    }
  }
  return decodePlain(text ?? "", "json", bodyLimits(limits));
}

/** The request id: the header's, or a new one. @throws `invalid-request-id` */
export function readRequestId(context: GatewayContext, request: IncomingMessage): string {
  const header = request.headers["idempotency-key"];
  if (header === undefined) return makeUuidV7(context.clock.now(), context.random.bytes(16));
  // Some clients write it as a structured string, in quotes.
  const id = (Array.isArray(header) ? "" : header).replace(/^"(.*)"$/, "$1").toLowerCase();
  if (!isUuidV7(id)) refuse("invalid-request-id", "`Idempotency-Key` is a UUIDv7.");
  return id;
}

/** The version of `If-Match: "7"`, or 0 for `If-None-Match: *`: only if the entity does not exist yet. */
export function readCondition(request: IncomingMessage): number | undefined {
  const match = request.headers["if-match"];
  const noneMatch = request.headers["if-none-match"];
  if (match === undefined && noneMatch === undefined) return undefined;
  if (match === undefined && noneMatch === "*") return 0;
  const version = noneMatch === undefined ? etag.exec(match ?? "")?.[1] : undefined;
  if (version === undefined || !Number.isSafeInteger(Number(version))) {
    refuse("invalid-frame", '`If-Match` is one version in quotes, such as "7"; `If-None-Match` is `*`.');
  }
  return Number(version);
}
