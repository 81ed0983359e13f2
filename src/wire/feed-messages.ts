/**
 * The shapes of the messages about feeds.
 *
 * Invariant: as `messages.ts`: each field is of its type, and one that nobody knows is refused. What the names in a filter mean is
 * not asked here.
 */
import type { ErrorCode } from "../model/errors.ts";
import { feedForms } from "../model/feeds.ts";
import { isMemberName } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";

export interface FeedFault {
  readonly code: ErrorCode;
  readonly detail: string;
}

type Fields = { readonly [name: string]: unknown };
/** Whether a value can be a field's. */
type Shape = { readonly [name: string]: (value: unknown) => boolean };

const isText = (value: unknown): boolean => typeof value === "string";
const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isFrom = (least: number, most: number) => (value: unknown) =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
const isList = (isOne: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.length > 0 && value.every(isOne);
const isAnything = (): boolean => true;

const filterShape: Shape = {
  types: isList(isText),
  key: isText,
  keyPrefix: isText,
  events: isList(isText),
  shards: isList(isWhole),
};
const isId = isFrom(1, Number.MAX_SAFE_INTEGER);

function isFilter(value: unknown): boolean {
  return isFields(value) && strangeField(value, filterShape) === undefined;
}

function isStart(value: unknown): boolean {
  if (value === "beginning" || value === "now") return true;
  if (!isFields(value) || Object.keys(value).length !== 1) return false;
  return isText(value["cursor"]) || isWhole(value["timeMs"]);
}

export function followFault(message: Fields, limits: Limits): FeedFault | undefined {
  const { feedCreditMax, feedStreamItemsMax, feedWaitMaxMs } = limits;
  if (!isId(message["id"])) return refused("invalid-frame", "The id of a feed is a whole number from 1.");
  const strange = strangeField(message, {
    t: isAnything,
    id: isAnything,
    form: (form) => (feedForms as readonly unknown[]).includes(form),
    filter: isFilter,
    view: isText,
    start: isStart,
    credit: isFrom(1, feedCreditMax),
    limit: isFrom(1, feedStreamItemsMax),
    lingerMs: isFrom(0, feedWaitMaxMs),
  });
  if (strange === "") return refused("invalid-frame", "The message has a field that this protocol does not know.");
  if (strange !== undefined)
    return refused("invalid-input", `The field \`${strange}\` of a follow is not what it can be.`);
  if (message["view"] !== undefined && !isMemberName(message["view"]))
    return refused("unknown-view", "`view` is not a name that a view can have.");
  for (const name of ["form", "start", "credit"])
    if (message[name] === undefined) return refused("invalid-input", `A follow has the field \`${name}\`.`);
  return undefined;
}

export function isCredit(message: Fields, { feedCreditMax }: Limits): boolean {
  const shape = { t: isAnything, id: isId, items: isFrom(1, feedCreditMax) };
  return Object.keys(message).length === 3 && strangeField(message, shape) === undefined;
}

/** The first field that does not fit the shape, or "" for one that it does not have: only our own names are repeated to anybody. */
function strangeField(fields: Fields, shape: Shape): string | undefined {
  for (const name in fields) {
    const fits = Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (fits === undefined || !fits(fields[name])) return fits === undefined ? "" : name;
  }
  return undefined;
}

/** Whether what a server sent of a feed has the right shape. */
export function areFeedItems({ items, cursor, lag }: Fields): boolean {
  if (!(cursor === undefined || isText(cursor)) || !(lag === undefined || isFields(lag))) return false;
  return Array.isArray(items) && items.every(isItem);
}

function isItem(item: unknown): boolean {
  if (!isFields(item) || !isWhole(item["shard"]) || !isWhole(item["offset"])) return false;
  const { entity } = item;
  if (!isFields(entity) || !isText(entity["type"]) || !isText(entity["key"])) return false;
  switch (item["kind"]) {
    case "change":
      return isWhole(item["index"]) && isText(item["event"]) && item["payload"] !== undefined;
    case "absolute":
      return item["value"] !== undefined;
    case "delta":
      return isWhole(item["from"]) && Array.isArray(item["patch"]);
    default:
      return false;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(code: ErrorCode, detail: string): FeedFault {
  return { code, detail };
}
