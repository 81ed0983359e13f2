/**
 * What is asked of a feed over HTTP: the parameters of `/v1/feeds/{form}`.
 *
 * Invariant: each parameter is understood whole or refused; one that nobody knows is refused, because to ignore it might widen
 * what somebody meant to narrow.
 */
import type { BatchLimits, FeedAsk, FeedFilter, FeedForm, FeedStart } from "../model/feeds.ts";
import type { Limits } from "../model/limits.ts";
import { refuse } from "./http-answer.ts";

export interface DoorAsk {
  readonly ask: Omit<FeedAsk, "principal">;
  readonly batch: Required<BatchLimits>;
  /** Of absolutes and deltas: the answer that the reader has, as that named it. Only what is given after it follows it. */
  readonly reader: string | undefined;
}

const several = ["type", "event", "shard"] as const;
const once = ["key", "prefix", "view", "from", "cursor", "limit", "bytes", "wait", "linger", "reader"] as const;
type Name = (typeof once)[number];

export const feedParameters: readonly string[] = [...several, ...once];

/** The answer to a pull has at most this many items if `limit` does not say. */
export const pullItems = 1_000;

/** @param stream the items come as events, batch after batch @throws `invalid-input` */
export function readFeedAsk(form: FeedForm, search: string, limits: Limits, stream: boolean): DoorAsk {
  const given = new URLSearchParams(search);
  const one = new Map<Name, string>();
  for (const name of new Set(given.keys())) {
    if ((several as readonly string[]).includes(name)) continue;
    if (!(once as readonly string[]).includes(name))
      refuse("invalid-input", `A feed takes the parameters ${feedParameters.join(", ")}.`);
    const values = given.getAll(name);
    if (values.length > 1) refuse("invalid-input", `The parameter \`${name}\` stands once.`);
    one.set(name as Name, values[0] as string);
  }
  const filter = filterOf(given, one);
  const view = one.get("view");
  const ask = {
    form,
    start: startOf(one),
    ...(Object.keys(filter).length === 0 ? undefined : { filter }),
    ...(view === undefined ? undefined : { view }),
  };
  const reader = one.get("reader");
  if (reader !== undefined && (stream || form === "changes"))
    refuse("invalid-input", "`reader` goes with absolutes and deltas that are pulled.");
  return { ask, batch: batchOf(one, limits, stream), reader };
}

function filterOf(given: URLSearchParams, one: ReadonlyMap<Name, string>): FeedFilter {
  const types = listOf(given, "type");
  const events = listOf(given, "event");
  const shards = listOf(given, "shard")?.map((text) => wholeOf("shard", text, 0, Number.MAX_SAFE_INTEGER));
  const key = one.get("key");
  const keyPrefix = one.get("prefix");
  return {
    ...(types === undefined ? undefined : { types }),
    ...(key === undefined ? undefined : { key }),
    ...(keyPrefix === undefined ? undefined : { keyPrefix }),
    ...(events === undefined ? undefined : { events }),
    ...(shards === undefined ? undefined : { shards }),
  };
}

/** `type=a&type=b` or `type=a,b`; undefined if it does not stand there. */
function listOf(given: URLSearchParams, name: (typeof several)[number]): string[] | undefined {
  const values = given.getAll(name);
  return values.length === 0 ? undefined : values.flatMap((value) => value.split(","));
}

function startOf(one: ReadonlyMap<Name, string>): FeedStart {
  const from = one.get("from");
  const cursor = one.get("cursor");
  if (cursor !== undefined) {
    if (from !== undefined) refuse("invalid-input", "A feed starts at `cursor` or at `from`, not at both.");
    return { cursor };
  }
  if (from === undefined || from === "beginning") return "beginning";
  if (from === "now") return "now";
  const timeMs = /^[0-9]{1,16}$/.test(from) ? Number(from) : rfc3339(from);
  if (!Number.isSafeInteger(timeMs))
    refuse("invalid-input", "`from` is beginning, now, ms since 1970, or a time such as 2026-01-31T12:00:00Z.");
  return { timeMs };
}

const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

function rfc3339(text: string): number {
  // A `+` of an offset that was not percent-encoded reads as a space.
  const written = text.replace(" ", "+");
  return dateTime.test(written) ? Date.parse(written.toUpperCase()) : Number.NaN;
}

function batchOf(one: ReadonlyMap<Name, string>, limits: Limits, stream: boolean): Required<BatchLimits> {
  const { feedBatchItemsMax, feedBatchBytesMax, feedStreamItemsMax, feedStreamBytesMax, feedWaitMaxMs } = limits;
  const itemsMost = stream ? feedStreamItemsMax : feedBatchItemsMax;
  const bytesMost = stream ? feedStreamBytesMax : feedBatchBytesMax;
  const limit = one.get("limit");
  const bytes = one.get("bytes");
  const wait = one.get("wait");
  if (stream && wait !== undefined) refuse("invalid-input", "A stream waits by itself; `wait` goes with a pull.");
  return {
    itemsMax: limit === undefined ? Math.min(pullItems, itemsMost) : wholeOf("limit", limit, 1, itemsMost),
    bytesMax: bytes === undefined ? bytesMost : wholeOf("bytes", bytes, 1, bytesMost),
    waitMs: msOf("wait", wait, feedWaitMaxMs),
    lingerMs: msOf("linger", one.get("linger"), feedWaitMaxMs),
  };
}

function wholeOf(name: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    refuse("invalid-input", `\`${name}\` is a whole number from ${least} to ${most}.`);
  return value;
}

function msOf(name: string, text: string | undefined, mostMs: number): number {
  if (text === undefined) return 0;
  const ms = /^[0-9]{1,6}(\.[0-9]{1,6})?$/.test(text) ? Math.round(Number(text) * 1_000) : Number.NaN;
  if (!(ms <= mostMs)) refuse("invalid-input", `\`${name}\` is seconds, at most ${mostMs / 1_000}.`);
  return ms;
}
