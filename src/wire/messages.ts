/**
 * Frames to messages, with their shapes checked.
 *
 * Invariant: a message that comes out has exactly the fields of `protocol.ts`, each of its type; a field nobody knows is
 * refused, because ignoring it might drop a condition the sender relies on. A fault of one message whose id is usable
 * becomes a `MessageFault`, to be answered with that id; anything else faults the frame and with it the connection.
 */
import { type ErrorCode, type HoldfastError, isErrorCode } from "../model/errors.ts";
import { isKey, isMemberName, isTypeName } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { Plain } from "../std/plain.ts";
import { isUuidV7 } from "../std/uuid.ts";
import { decodePlain, type Encoding, type FrameData } from "./codec.ts";
import { areFeedItems, followFault, isCredit } from "./feed-messages.ts";
import { frameLimits, type GuardLimits, refuseFrame, refuseLarge, serverFrameLimits } from "./guard.ts";
import { patchFromRows } from "./patch-rows.ts";
import type { ClientMessage, ServerMessage } from "./protocol.ts";

/** One message that cannot be carried out. */
export interface MessageFault {
  readonly t: "fault";
  readonly id: string | number;
  readonly code: ErrorCode;
  readonly detail: string;
}

type Fields = { readonly [name: string]: Plain };

/** Longest token taken; a JWT with many claims has 2 KiB. */
export const tokenCharsMax = 8_192;
const idCharsMax = 64;
const runCharsMax = 64;

let limitsOf: Limits | undefined;
let guardOf: GuardLimits = serverFrameLimits;

/**
 * The messages of one frame, in order.
 * @throws `invalid-frame` or `too-large`: the frame is at fault, the connection should end
 */
export function parseClientMessages(
  data: FrameData,
  encoding: Encoding,
  limits: Limits,
): (ClientMessage | MessageFault)[] {
  if (limits !== limitsOf) {
    limitsOf = limits;
    guardOf = frameLimits(limits);
  }
  const frame = decodePlain(data, encoding, guardOf);
  if (!Array.isArray(frame)) refuseFrame("is not an array of messages");
  if (frame.length === 0) refuseFrame("has no message");
  if (frame.length > limits.frameMessagesMax) refuseLarge(`has more than ${limits.frameMessagesMax} messages`);
  for (let index = 0; index < frame.length; index++) frame[index] = checkClientMessage(frame[index]);
  return frame as (ClientMessage | MessageFault)[];
}

function checkClientMessage(message: unknown): ClientMessage | MessageFault {
  if (!isFields(message)) refuseFrame("has a message that is not an object");
  switch (message["t"]) {
    case "command":
      return checkCommand(message) ?? (message as unknown as ClientMessage);
    case "query":
      return checkQuery(message) ?? (message as unknown as ClientMessage);
    case "subscribe":
      return checkSubscribe(message) ?? (message as unknown as ClientMessage);
    case "unsubscribe":
      if (!isNumericId(message["id"]) || hasMore(message, 2)) refuseFrame("has a malformed unsubscribe");
      return message as unknown as ClientMessage;
    case "follow":
      return checkFollow(message) ?? (message as unknown as ClientMessage);
    case "credit":
      if (!isCredit(message, limitsOf as Limits)) refuseFrame("has a malformed credit");
      return message as unknown as ClientMessage;
    case "unfollow":
      if (!isNumericId(message["id"]) || hasMore(message, 2)) refuseFrame("has a malformed unfollow");
      return message as unknown as ClientMessage;
    case "hello":
      if (!isToken(message["token"], true) || hasMore(message, "token" in message ? 2 : 1))
        refuseFrame("has a malformed hello");
      return message as unknown as ClientMessage;
    case "refresh":
      if (!isToken(message["token"], false) || hasMore(message, 2)) refuseFrame("has a malformed refresh");
      return message as unknown as ClientMessage;
    case "ping":
      if (hasMore(message, 1)) refuseFrame("has a malformed ping");
      return message as unknown as ClientMessage;
    default:
      return fault(message, "invalid-frame", "The message has no known `t`.");
  }
}

function checkCommand(message: Fields): MessageFault | undefined {
  if (!isUuidV7(message["id"]))
    return fault(message, "invalid-request-id", "The id of a command is a UUIDv7 in lower case.");
  let known = 5;
  if (message["input"] !== undefined) known++;
  const ifVersion = message["ifVersion"];
  if (ifVersion !== undefined) {
    if (!isVersion(ifVersion)) return fault(message, "invalid-frame", "`ifVersion` is a whole number from 0.");
    known++;
  }
  if (!isMemberName(message["name"]))
    return fault(message, "unknown-command", "`name` is not a name that a command can have.");
  return checkPlace(message) ?? checkFields(message, known);
}

function checkQuery(message: Fields): MessageFault | undefined {
  if (!isNumericId(message["id"]))
    return fault(message, "invalid-frame", "The id of a query is a whole number from 1.");
  if (!isMemberName(message["name"]))
    return fault(message, "unknown-query", "`name` is not a name that a query can have.");
  let known = message["input"] === undefined ? 5 : 6;
  if (message["consistency"] !== undefined) {
    if (message["consistency"] !== "local")
      return fault(message, "invalid-frame", "`consistency` is `local`, or absent.");
    known++;
  }
  if (message["lagMs"] !== undefined) {
    if (!isVersion(message["lagMs"])) return fault(message, "invalid-frame", "`lagMs` is a whole number from 0.");
    known++;
  }
  return checkPlace(message) ?? checkFields(message, known);
}

function checkSubscribe(message: Fields): MessageFault | undefined {
  if (!isNumericId(message["id"]))
    return fault(message, "invalid-frame", "The id of a subscription is a whole number from 1.");
  let known = 5;
  if (message["from"] !== undefined) {
    if (!isVersion(message["from"])) return fault(message, "invalid-frame", "`from` is a whole number from 0.");
    known++;
  }
  if (message["run"] !== undefined) {
    if (!isText(message["run"], runCharsMax)) return fault(message, "invalid-frame", "`run` is the text of a welcome.");
    known++;
  }
  if (!isMemberName(message["view"]))
    return fault(message, "unknown-view", "`view` is not a name that a view can have.");
  return checkPlace(message) ?? checkFields(message, known);
}

function checkFollow(message: Fields): MessageFault | undefined {
  const found = followFault(message, limitsOf as Limits);
  return found === undefined ? undefined : fault(message, found.code, found.detail);
}

function checkPlace(message: Fields): MessageFault | undefined {
  if (!isTypeName(message["type"]))
    return fault(message, "unknown-type", "`type` is not a name that an entity type can have.");
  if (!isKey(message["key"])) return fault(message, "invalid-key", "A key has 1 to 128 of A-Z a-z 0-9 _ -.");
  return undefined;
}

function checkFields(message: Fields, known: number): MessageFault | undefined {
  return hasMore(message, known)
    ? fault(message, "invalid-frame", "The message has a field that this protocol does not know.")
    : undefined;
}

function hasMore(message: Fields, known: number): boolean {
  let count = 0;
  for (const _name in message) count++;
  return count !== known;
}

function fault(message: Fields, code: ErrorCode, detail: string): MessageFault {
  const id = message["id"];
  if (isNumericId(id) || isText(id, idCharsMax)) return { t: "fault", id, code, detail };
  return refuseFrame("has a malformed message without a usable id");
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumericId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: unknown, charsMax: number): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= charsMax;
}

function isToken(value: unknown, optional: boolean): boolean {
  return value === undefined ? optional : isText(value, tokenCharsMax);
}

/**
 * The messages of one frame from a server, in order. A message of an unknown kind is left out: a newer server may say
 * more than this client understands.
 * @throws `invalid-frame` or `too-large`
 */
export function parseServerFrame(
  data: FrameData,
  encoding: Encoding,
  limits: GuardLimits = serverFrameLimits,
): ServerMessage[] {
  const frame = decodePlain(data, encoding, limits);
  if (!Array.isArray(frame)) refuseFrame("is not an array of messages");
  const messages: ServerMessage[] = [];
  for (const message of frame as readonly unknown[]) {
    if (!isFields(message)) refuseFrame("has a message that is not an object");
    const right = serverShape(message);
    if (right === false) refuseFrame("has a malformed message");
    if (right) messages.push(withOperations(message) as unknown as ServerMessage);
  }
  return messages;
}

/** Whether the shape is right; undefined if the kind is unknown. */
function serverShape(message: Fields): boolean | undefined {
  const id = message["id"];
  switch (message["t"]) {
    case "reply":
      return (
        (isNumericId(id) || isText(id, idCharsMax)) && isVersion(message["version"]) && message["value"] !== undefined
      );
    case "absolute":
      return isNumericId(id) && isVersion(message["version"]) && message["value"] !== undefined;
    case "delta":
      return (
        isNumericId(id) && isVersion(message["from"]) && isVersion(message["version"]) && isPatch(message["patch"])
      );
    case "items":
      return isNumericId(id) && areFeedItems(message);
    case "ended":
      return isNumericId(id) && isErrorCode(message["code"]) && typeof message["detail"] === "string";
    case "error":
      return (
        (id === undefined || isNumericId(id) || isText(id, idCharsMax)) &&
        isErrorCode(message["code"]) &&
        typeof message["detail"] === "string"
      );
    case "pong":
      return typeof message["now"] === "number";
    case "doors":
      return areTexts(message["doors"]);
    case "leaving":
      return true;
    case "welcome":
      return (
        typeof message["now"] === "number" &&
        typeof message["run"] === "string" &&
        isFields(message["principal"]) &&
        isFields(message["limits"])
      );
    default:
      return undefined;
  }
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

/** A patch in rows, as msgpack has it, is the same patch. */
function withOperations(message: Fields): Fields {
  const { patch } = message;
  const rows = message["t"] === "delta" && Array.isArray(patch) ? patchFromRows(patch) : undefined;
  return rows === undefined ? message : { ...message, patch: rows };
}

function isPatch(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  if (patchFromRows(value) !== undefined) return true;
  for (const operation of value as readonly unknown[]) {
    if (!isFields(operation) || typeof operation["path"] !== "string") return false;
    const { op } = operation;
    if (op !== "remove" && ((op !== "add" && op !== "replace") || operation["value"] === undefined)) return false;
  }
  return true;
}

/** The message a `HoldfastError` about a frame becomes, with no id. */
export function frameError(error: HoldfastError): ServerMessage {
  return { t: "error", code: error.code, detail: error.message };
}
