/**
 * The shapes of the messages between nodes.
 *
 * Invariant: a value that fits has exactly the fields of its type, each of its type. Names and keys of entities are text here: what a
 * caller can get wrong is for the owner to refuse, and must not end the connection that it came by.
 */
import { operatorVerbs } from "../model/marks.ts";

export type Check = (value: unknown) => boolean;
type Members = { readonly [name: string]: Check };

const isText: Check = (value) => typeof value === "string";
const isWhole: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
/** Epochs, offsets, sequences, generations and ids begin with 1. */
const isFromOne: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 1;
const isFlag: Check = (value) => typeof value === "boolean";
const isTime: Check = (value) => typeof value === "number";
const isPlain: Check = (value) => value !== undefined;

function is(only: unknown): Check {
  return (value) => value === only;
}

function oneOf(texts: readonly string[]): Check {
  return (value) => (texts as readonly unknown[]).includes(value);
}

function orNull(check: Check): Check {
  return (value) => value === null || check(value);
}

function list(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

function either(...checks: readonly Check[]): Check {
  return (value) => checks.some((check) => check(value));
}

/** An object with all of the first members, some of the second, and no other. */
function fields(required: Members, optional: Members = {}): Check {
  const checks = new Map(Object.entries({ ...required, ...optional }));
  const needed = Object.keys(required);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const given = value as { readonly [name: string]: unknown };
    for (const name in given) if (checks.get(name)?.(given[name]) !== true) return false;
    return needed.every((name) => given[name] !== undefined);
  };
}

const node = fields({ node: isText, generation: isFromOne });
const entity = fields({ type: isText, key: isText });
const roles = list(isText);
const principalKinds = oneOf(["user", "service", "operator", "entity", "system", "anonymous"]);
/** What else an authentication hook put into it, the author's `access` may look at. */
const principal: Check = (value) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const given = value as { readonly [name: string]: unknown };
  return (
    principalKinds(given["kind"]) && isText(given["id"]) && (given["roles"] === undefined || roles(given["roles"]))
  );
};
const callId = fields({ at: isFromOne, index: isWhole });
const moved = fields({ epoch: isWhole }, { owner: node });
/** A newer node may have codes that this one does not: `peer-codec.ts` says what they become. */
const failure = { ok: is(false), code: isText, detail: isText };

const asks: ReadonlyMap<string, Check> = new Map([
  [
    "execute",
    fields(
      { entity, command: isText, requestId: isText, principal },
      { input: isPlain, ifVersion: isWhole, mayCreate: isFlag },
    ),
  ],
  ["query", fields({ entity, query: isText, principal }, { input: isPlain })],
  ["look", fields({ entity, least: isWhole, principal }, { view: isText })],
  ["operate", fields({ entity, verb: oneOf(operatorVerbs), principal }, { state: isPlain, ifParkedAt: isFromOne })],
  ["operate-call", fields({ entity, id: callId, verb: oneOf(["retry", "drop"]), principal })],
  ["erase", fields({ subject: entity, principal })],
  ["entities", fields({ shard: isWhole, below: isFromOne, list: isFromOne, from: isWhole })],
  [
    "list-calls",
    fields({
      shards: list(isWhole),
      filter: fields({ limit: isWhole }, { parked: isFlag, type: isText }),
    }),
  ],
]);

const shownCall = fields({
  entity,
  id: callId,
  name: isText,
  input: isPlain,
  phase: oneOf(["underway", "waiting", "parked"]),
  madeMs: isTime,
  failed: isWhole,
  dueMs: orNull(isTime),
  lastError: orNull(isText),
  key: isText,
});

const succeeded = fields({ ok: is(true), value: isPlain, version: isWhole }, { created: isFlag, durable: is(false) });
const failed = fields(failure, { reason: isText, details: isPlain, version: isWhole, durable: is(false) });
const watchNews = either(fields({ ok: is(true), version: isWhole, value: isPlain }), fields(failure));

const send = fields(
  { to: entity, sequence: isFromOne, command: isText, input: isPlain },
  { reply: isText, context: isPlain },
);
const outcome = either(
  fields({ ok: is(true), value: isPlain }),
  fields({ ok: is(false), code: isText, reason: isText, details: isPlain }),
);
const route = either(
  fields({ kind: is("deliver"), from: entity, send }),
  fields({ kind: is("settle"), from: entity, to: entity, sequence: isFromOne, outcome }),
  fields({ kind: is("undelivered"), from: entity, to: entity }),
);

const shardReport = fields(
  {
    shard: isWhole,
    role: oneOf(["owner", "standby", "catching-up"]),
    epoch: isWhole,
    tail: isWhole,
    load: isTime,
  },
  { lag: isWhole },
);
const report = fields({ from: node, shards: list(shardReport), unreachable: list(node) });

/** A message: `t`, and what else it has. */
function said(required: Members, optional: Members = {}): Check {
  return fields({ t: isText, ...required }, optional);
}

const id = isFromOne;
const ofShard = { shard: isWhole, epoch: isFromOne };

/** By verb; undefined for one that is not known. */
export function askShape(verb: unknown): Check | undefined {
  return typeof verb === "string" ? asks.get(verb) : undefined;
}

/** By `t`. */
export const saidShapes: ReadonlyMap<string, Check> = new Map([
  ["call", said({ id, verb: isText, call: isPlain })],
  [
    "answer",
    either(said({ id, result: either(succeeded, failed) }), said({ id, moved }), said({ id, calls: list(shownCall) })),
  ],
  ["watch", said({ id, call: fields({ entity, view: isText, principal }) })],
  ["unwatch", said({ id })],
  ["news", either(said({ id, news: watchNews }), said({ id, moved }))],
  ["route", said({ route })],
  ["follow", said({ shard: isWhole, from: isFromOne })],
  ["unfollow", said({ shard: isWhole })],
  ["push", said({ ...ofShard, at: isFromOne, count: isWhole, durable: isFromOne })],
  ["own", said({ shards: list(fields(ofShard)) })],
  ["take", said({ ...ofShard, at: isFromOne })],
  [
    "yours",
    either(said({ ...ofShard, ok: is(true), tail: isFromOne }), said({ ...ofShard, ok: is(false), reason: isText })),
  ],
  ["status", said({ report })],
  ["coordinates", said({ token: isFromOne, version: isWhole })],
  [
    "hashed",
    said({
      ...ofShard,
      at: isFromOne,
      states: list(fields({ type: isText, key: isText, code: isText, hash: isText })),
    }),
  ],
  [
    "verb",
    either(
      said({ id, verb: is("move"), shards: list(isWhole), to: isText }),
      said({ id, verb: is("pin"), shards: list(isWhole) }, { to: isText }),
      said({ id, verb: is("drain"), node: isText, on: isFlag }),
    ),
  ],
  ["verb-answer", either(said({ id, ok: is(true) }), said({ id, ...failure }))],
  ["reports", said({ id })],
  ["reported", either(said({ id, ok: is(true), reports: list(report) }), said({ id, ...failure }))],
]);
