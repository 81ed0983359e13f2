/**
 * The messages `absolute` and `delta` in two parts: the tail that all who follow a view have in common, and the head with the id
 * of one subscription.
 *
 * Invariant: head and tail together are what encoding the whole message gives; in msgpack with the patch in rows.
 */
import { type Encoding, encodePlain, type FrameData } from "./codec.ts";
import { patchToRows } from "./patch-rows.ts";
import type { ServerMessage } from "./protocol.ts";

type Of<Kind extends ServerMessage["t"]> = Extract<ServerMessage, { readonly t: Kind }>;
/** A message of a view without the id of a subscription. */
export type ViewBody = Omit<Of<"absolute">, "id"> | Omit<Of<"delta">, "id">;

// In msgpack a map of up to 15 fields begins with one byte, which says how many they are.
const mapOf = 0x80;

export function encodeViewTail(body: ViewBody, encoding: "msgpack"): Uint8Array;
export function encodeViewTail(body: ViewBody, encoding: "json"): string;
export function encodeViewTail(body: ViewBody, encoding: Encoding): FrameData {
  const patch = body.t === "delta" && (encoding === "json" ? body.patch : patchToRows(body.patch));
  const fields =
    body.t === "absolute"
      ? { version: body.version, value: body.value }
      : { from: body.from, version: body.version, patch };
  if (encoding === "json") return encodePlain(fields, "json").slice(1);
  // A copy: the tail is kept for long, and would keep the buffer that it shares with other messages.
  return new Uint8Array(encodePlain(fields, "msgpack").subarray(1));
}

export function encodeViewHead(kind: ViewBody["t"], id: number, encoding: "msgpack"): Uint8Array;
export function encodeViewHead(kind: ViewBody["t"], id: number, encoding: "json"): string;
export function encodeViewHead(kind: ViewBody["t"], id: number, encoding: Encoding): FrameData {
  if (encoding === "json") return `${encodePlain({ t: kind, id }, "json").slice(0, -1)},`;
  const head = encodePlain({ t: kind, id }, "msgpack");
  head[0] = mapOf | (kind === "absolute" ? 4 : 5);
  return head;
}
