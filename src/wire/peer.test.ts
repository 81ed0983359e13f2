/** What must hold of messages between nodes: they come back as they went, and bytes from anybody do no harm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { catalogue, type ErrorCode, isHoldfastError } from "../model/errors.ts";
import { limitsDefault } from "../model/limits.ts";
import { operatorVerbs } from "../model/marks.ts";
import type { Principal } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { reservedKeys } from "../std/reserved.ts";
import { encodePlain } from "./codec.ts";
import type { PeerSaid } from "./peer.ts";
import {
  commonVersion,
  encodePeer,
  joinPeers,
  type PeerParts,
  peerBody,
  peerLimits,
  readPeer,
  readPeers,
} from "./peer-codec.ts";

const limits = limitsDefault;
const guard = peerLimits(limits);

const text = fc.string({ unit: "grapheme", maxLength: 20 }).filter((one) => one.isWellFormed());
const key = text.filter((one) => !reservedKeys.has(one) && one !== "$sealed");
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((value) => !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value))),
);
const plain = fc.letrec<{ value: Plain }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    number,
    text,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
    fc.record({ $sealed: fc.constant("player/p-1.1.AAECAwQFBgcICQoL") }),
  ) as fc.Arbitrary<Plain>,
})).value;
const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const fromOne = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const code = fc.constantFrom(...(Object.keys(catalogue) as ErrorCode[]));
const entity = fc.record({ type: text, key: text });
const node = fc.record({ node: text, generation: fromOne });

/** A record of these members, of which the second ones may be left out. */
function some<Needed extends object, Rest extends object>(
  needed: { [Name in keyof Needed]: fc.Arbitrary<Needed[Name]> },
  rest: { [Name in keyof Rest]: fc.Arbitrary<Rest[Name]> },
): fc.Arbitrary<Needed & Partial<Rest>> {
  return fc.record({ ...needed, ...rest }, {
    requiredKeys: Object.keys(needed),
    noNullPrototype: true,
  } as never) as fc.Arbitrary<Needed & Partial<Rest>>;
}

const kinds = ["user", "service", "operator", "entity", "system", "anonymous"] as const;
const principal: fc.Arbitrary<Principal> = some(
  { kind: fc.constantFrom(...kinds), id: text },
  { roles: fc.array(text, { maxLength: 3 }) },
);
const callId = fc.record({ at: fromOne, index: whole });
const failure = { ok: fc.constant(false as const), code, detail: text };
const failed = some(failure, {
  reason: text,
  details: plain,
  version: whole,
  durable: fc.constant(false as const),
});
const succeeded = some(
  { ok: fc.constant(true as const), value: plain, version: whole },
  { created: fc.boolean(), durable: fc.constant(false as const) },
);
const moved = some({ epoch: whole }, { owner: node });
const ofShard = { shard: whole, epoch: fromOne };
const id = fromOne;

function t<Kind extends string>(kind: Kind): { t: fc.Arbitrary<Kind> } {
  return { t: fc.constant(kind) };
}

function ask<Verb extends string, Call extends object>(verb: Verb, call: fc.Arbitrary<Call>) {
  return fc.record({ ...t("call"), id, verb: fc.constant(verb), call });
}

const shown = fc.record({
  entity,
  id: callId,
  name: text,
  input: plain,
  phase: fc.constantFrom("underway" as const, "waiting" as const, "parked" as const),
  madeMs: number,
  failed: whole,
  dueMs: fc.option(number),
  lastError: fc.option(text),
  key: text,
});
const calls: fc.Arbitrary<PeerSaid> = fc.oneof(
  ask(
    "execute",
    some(
      { entity, command: text, input: plain, requestId: text, principal },
      { ifVersion: whole, mayCreate: fc.boolean() },
    ),
  ),
  ask("query", fc.record({ entity, query: text, input: plain, principal })),
  ask("look", some({ entity, least: whole, principal }, { view: text })),
  ask(
    "operate",
    some({ entity, verb: fc.constantFrom(...operatorVerbs), principal }, { state: plain, ifParkedAt: fromOne }),
  ),
  ask(
    "operate-call",
    fc.record({ entity, id: callId, verb: fc.constantFrom("retry" as const, "drop" as const), principal }),
  ),
  ask("erase", fc.record({ subject: entity, principal })),
  ask(
    "list-calls",
    fc.record({ shards: fc.array(whole), filter: some({ limit: whole }, { parked: fc.boolean(), type: text }) }),
  ),
) as fc.Arbitrary<PeerSaid>;
const answers: fc.Arbitrary<PeerSaid> = fc.oneof(
  fc.record({ ...t("answer"), id, result: fc.oneof(succeeded, failed) }),
  fc.record({ ...t("answer"), id, moved }),
  fc.record({ ...t("answer"), id, calls: fc.array(shown, { maxLength: 3 }) }),
  fc.record({
    ...t("news"),
    id,
    news: fc.oneof(fc.record({ ok: fc.constant(true as const), version: whole, value: plain }), fc.record(failure)),
  }),
  fc.record({ ...t("news"), id, moved }),
  fc.record({ ...t("verb-answer"), id, ok: fc.constant(true as const) }),
  fc.record({ ...t("verb-answer"), id, ...failure }),
);
const send = some({ to: entity, sequence: fromOne, command: text, input: plain }, { reply: text, context: plain });
const outcome = fc.oneof(
  fc.record({ ok: fc.constant(true as const), value: plain }),
  fc.record({ ok: fc.constant(false as const), code, reason: text, details: plain }),
);
const routes: fc.Arbitrary<PeerSaid> = fc.record({
  ...t("route"),
  route: fc.oneof(
    fc.record({ kind: fc.constant("deliver" as const), from: entity, send }),
    fc.record({ kind: fc.constant("settle" as const), from: entity, to: entity, sequence: fromOne, outcome }),
    fc.record({ kind: fc.constant("undelivered" as const), from: entity, to: entity }),
  ),
});
const role = fc.constantFrom("owner" as const, "standby" as const, "catching-up" as const);
const report = fc.record({
  from: node,
  shards: fc.array(some({ shard: whole, role, epoch: whole, tail: whole, load: whole }, { lag: whole })),
  unreachable: fc.array(node),
});
const rest: fc.Arbitrary<PeerSaid> = fc.oneof(
  fc.record({ ...t("watch"), id, call: fc.record({ entity, view: text, principal }) }),
  fc.record({ ...t("unwatch"), id }),
  fc.record({ ...t("follow"), shard: whole, from: fromOne }),
  fc.record({ ...t("unfollow"), shard: whole }),
  fc.record({ ...t("push"), ...ofShard, at: fromOne, count: whole, durable: fromOne }),
  fc.record({ ...t("own"), shards: fc.array(fc.record(ofShard)) }),
  fc.record({ ...t("take"), ...ofShard, at: fromOne }),
  fc.record({ ...t("yours"), ...ofShard, ok: fc.constant(true as const), tail: fromOne }),
  fc.record({ ...t("yours"), ...ofShard, ok: fc.constant(false as const), reason: text }),
  fc.record({ ...t("status"), report }),
  fc.record({ ...t("coordinates"), token: fromOne, version: whole }),
  fc.record({ ...t("reports"), id }),
  fc.record({ ...t("reported"), id, ok: fc.constant(true as const), reports: fc.array(report, { maxLength: 3 }) }),
  fc.record({ ...t("reported"), id, ...failure }),
  fc.record({
    ...{ ...t("hashed"), ...ofShard, at: fromOne },
    states: fc.array(fc.record({ type: text, key: text, code: text, hash: text }), { maxLength: 3 }),
  }),
  fc.record({ ...t("verb"), id, verb: fc.constant("move" as const), shards: fc.array(whole), to: text }),
  some({ ...t("verb"), id, verb: fc.constant("pin" as const), shards: fc.array(whole) }, { to: text }),
  fc.record({ ...t("verb"), id, verb: fc.constant("drain" as const), node: text, on: fc.boolean() }),
);
const anything = fc.oneof(calls, answers, routes, rest);

/** With bytes where there must be some. */
function partsOf(said: PeerSaid, bytes: Uint8Array): PeerParts {
  const body = peerBody(said, limits);
  return said.t === "push" && said.count > 0 ? { body, bytes } : { body };
}

function frameOf(parts: readonly PeerParts[]): Uint8Array {
  const encoded = parts.map((one) => encodePeer(one, limits));
  return joinPeers(
    encoded,
    encoded.reduce((sum, one) => sum + one.size, 0),
  );
}

function refused(action: () => unknown, ...codes: string[]): void {
  assert.throws(action, (error: unknown) => isHoldfastError(error) && codes.includes(error.code));
}

test("messages of every kind come back equal, with their bytes, in order", () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  fc.assert(
    fc.property(fc.array(fc.tuple(anything, bytes), { minLength: 1, maxLength: 6 }), (given) => {
      const parts = given.map(([said, beside]) => partsOf(said, beside));
      const read = [...readPeers(frameOf(parts), guard)];
      assert.deepEqual(
        read.map(readPeer),
        // Plain objects, as they come off the wire, whatever the generator's are.
        given.map(([said]) => structuredClone(said)),
      );
      assert.deepEqual(
        read.map((one) => one.bytes && [...one.bytes]),
        parts.map((one) => one.bytes && [...one.bytes]),
      );
    }),
    { numRuns: 500 },
  );
});

test("a message lacking a field, with one too many or one of another type is refused, whatever its kind", () => {
  fc.assert(
    fc.property(anything, fc.nat(), (said, place) => {
      const body = peerBody(said, limits) as { [name: string]: Plain };
      const bytes = partsOf(said, new Uint8Array(1)).bytes;
      const parts = (changed: Plain): PeerParts => (bytes === undefined ? { body: changed } : { body: changed, bytes });
      const names = Object.keys(body).filter((name) => name !== "t" && name !== "verb");
      refused(() => readPeer(parts({ ...body, more: 1 })), "invalid-frame");
      const name = names[place % names.length] as string;
      refused(() => readPeer(parts({ ...body, [name]: { strange: true } })), "invalid-frame");
      const { [name]: _left, ...fewer } = body;
      if (!(body["verb"] === "pin" && name === "to")) refused(() => readPeer(parts(fewer)), "invalid-frame");
    }),
    { numRuns: 500 },
  );
});

test("bytes belong to a push of records and to nothing else", () => {
  const push = { t: "push", shard: 1, epoch: 1, at: 5, count: 2, durable: 7 };
  const bytes = Uint8Array.of(1);
  assert.deepEqual(readPeer({ body: push, bytes }), push);
  assert.deepEqual(readPeer({ body: { ...push, count: 0 } }), { ...push, count: 0 });
  refused(() => readPeer({ body: push }), "invalid-frame");
  refused(() => readPeer({ body: { ...push, count: 0 }, bytes }), "invalid-frame");
  refused(() => readPeer({ body: { t: "unwatch", id: 1 }, bytes }), "invalid-frame");
});

test("a kind or verb that only a newer node knows is told apart by whether it wants an answer", () => {
  assert.deepEqual(readPeer({ body: { t: "gossip", rumor: [1] } }), { t: "unknown" });
  assert.deepEqual(readPeer({ body: { t: "gossip", id: 7 }, bytes: Uint8Array.of(1) }), { t: "unknown", id: 7 });
  assert.deepEqual(readPeer({ body: { t: "call", id: 8, verb: "dance", call: {} } }), { t: "unknown", id: 8 });
  assert.deepEqual(readPeer({ body: { t: "verb", id: 9, verb: "dance" } }), { t: "unknown", id: 9 });
  assert.deepEqual(readPeer({ body: { t: "toString" } }), { t: "unknown" });
  refused(() => readPeer({ body: { t: "call", id: 8, verb: 1, call: {} } }), "invalid-frame");
  for (const body of [null, 1, "call", [], {}, { t: 1 }, { t: null }])
    refused(() => readPeer({ body }), "invalid-frame");
});

test("a code of an error that only a newer node knows becomes `outcome-unknown`, and its text stays", () => {
  const body = { t: "answer", id: 1, result: { ok: false, code: "brand-new", detail: "why" } };
  const read = { t: "answer", id: 1, result: { ok: false, code: "outcome-unknown", detail: "why" } };
  assert.deepEqual(readPeer({ body }), read);
  const news = { t: "news", id: 1, news: { ok: false, code: "brand-new", detail: "why" } };
  assert.deepEqual(readPeer({ body: news }), { ...news, news: { ...news.news, code: "outcome-unknown" } });
  const verb = { t: "verb-answer", id: 1, ok: false, code: "brand-new", detail: "why" };
  assert.deepEqual(readPeer({ body: verb }), { ...verb, code: "outcome-unknown" });
});

test("a call whose input is not plain data is refused before it leaves, and `undefined` in it is left out", () => {
  const entity = { type: "wallet", key: "ann" };
  const principal: Principal = { kind: "user", id: "ann" };
  const query = (input: unknown): PeerSaid =>
    ({ t: "call", id: 1, verb: "query", call: { entity, query: "balance", input, principal } }) as const;
  const { input: _none, ...call } = { entity, query: "balance", input: 0, principal };
  assert.deepEqual(readPeer({ body: peerBody(query(undefined), limits) }), { ...query(0), call });
  assert.deepEqual(readPeer({ body: peerBody(query({ a: undefined, b: [null] }), limits) }), query({ b: [null] }));
  let deep: unknown = 0;
  for (let level = 0; level < limits.depthMax; level++) deep = [deep];
  assert.deepEqual(
    readPeer([...readPeers(frameOf([{ body: peerBody(query(deep), limits) }]), guard)][0] as PeerParts),
    query(deep),
  );
  for (const input of [new Date(0), Number.NaN, 2 ** 60, -0, () => 1, "\ud800", { ["__proto__x"]: 1n }])
    refused(() => peerBody(query(input), limits), "invalid-input");
  for (let level = 0; level < 8; level++) deep = [deep];
  refused(() => peerBody(query(deep), limits), "too-large");
  refused(() => peerBody(query("x".repeat(limits.peerFrameBytesMax)), limits), "too-large");
  const wrong = { t: "call", id: 1, verb: "query", call: { entity: { type: 1 }, query: "balance", principal } };
  refused(() => peerBody(wrong as never, limits), "invalid-input");
});

test("a watch and a verb are checked before they leave as a call is", () => {
  const entity = { type: "wallet", key: "ann" };
  const watch = (id: string): PeerSaid => ({
    t: "watch",
    id: 1,
    call: { entity, view: "balance", principal: { kind: "user", id } },
  });
  assert.deepEqual(peerBody(watch("ann"), limits), watch("ann"));
  refused(() => peerBody(watch("\ud800"), limits), "invalid-input");
  refused(() => peerBody({ t: "watch", id: 1, call: { entity, view: 1 } } as never, limits), "invalid-input");
  const pin = { t: "verb", id: 1, verb: "pin", shards: [1], to: undefined };
  assert.deepEqual(peerBody(pin as never, limits), { t: "verb", id: 1, verb: "pin", shards: [1] });
  refused(() => peerBody({ t: "verb", id: 1, verb: "move", shards: [-1], to: "b" }, limits), "invalid-input");
});

test("what an authentication hook put into a principal goes with it", () => {
  const principal = { kind: "user", id: "ann", tenant: { name: "t", since: 5 } } as const;
  const query = { entity: { type: "wallet", key: "ann" }, query: "balance", input: null, principal };
  const said = { t: "call", id: 1, verb: "query", call: query } as const;
  assert.deepEqual(readPeer({ body: peerBody(said, limits) }), said);
});

test("half a character in the text of an author's error arrives as a sign for it", () => {
  const half = "\ud83c cut";
  const failed = { t: "answer", id: 1, result: { ok: false, code: "unavailable", detail: half } } as const;
  const call = {
    entity: { type: "wallet", key: "ann" },
    id: { at: 1, index: 0 },
    name: "pay",
    input: null,
    phase: "parked",
    madeMs: 1,
    failed: 1,
    dueMs: null,
    lastError: half,
    key: "k",
  } as const;
  const bodies = [failed, { t: "answer", id: 1, calls: [{ ...call, lastError: null }, call] } as const].map((said) => {
    const [parts] = readPeers(frameOf([{ body: peerBody(said, limits) }]), guard);
    return JSON.stringify(readPeer(parts as PeerParts));
  });
  for (const body of bodies) assert.ok(body.includes("\ufffd cut"), body);
});

test("a message is taken up to `peerFrameBytesMax` and not beyond", () => {
  const body = { t: "push", shard: 0, epoch: 1, at: 1, count: 1, durable: 2 };
  const room = limits.peerFrameBytesMax - encodePeer({ body }, limits).size;
  const parts = { body, bytes: new Uint8Array(room) };
  assert.equal([...readPeers(frameOf([parts]), guard)][0]?.bytes?.length, room);
  refused(() => encodePeer({ body, bytes: new Uint8Array(room + 1) }, limits), "too-large");
});

test("bytes of a frame that were turned, cut or made up give messages or a refusal, never anything else", () => {
  const honest = frameOf([
    { body: { t: "unwatch", id: 3 } },
    { body: { t: "push", shard: 0, epoch: 1, at: 1, count: 1, durable: 2 }, bytes: new Uint8Array(20) },
    { body: { t: "own", shards: [{ shard: 1, epoch: 2 }] } },
  ]);
  const look = (frame: Uint8Array): void => {
    try {
      for (const parts of readPeers(frame, guard)) readPeer(parts);
    } catch (error) {
      assert.ok(isHoldfastError(error) && ["invalid-frame", "too-large"].includes(error.code), String(error));
    }
  };
  for (let length = 0; length < honest.length; length++) look(honest.subarray(0, length));
  for (let bit = 0; bit < honest.length * 8; bit++) {
    const turned = Uint8Array.from(honest);
    turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
    look(turned);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), look), { numRuns: 2_000 });
  refused(() => [...readPeers(new Uint8Array(0), guard)], "invalid-frame");
  refused(() => [...readPeers(Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0), guard)], "invalid-frame");
  const body = encodePlain({ __proto__x: 1, toString: 2 }, "msgpack");
  assert.equal(readPeer({ body: { t: "hasOwnProperty", id: body.length } }).t, "unknown");
});

test("the version that is spoken is the highest that both speak", () => {
  assert.equal(commonVersion({ min: 1, max: 1 }, { min: 1, max: 1 }), 1);
  assert.equal(commonVersion({ min: 1, max: 5 }, { min: 2, max: 3 }), 3);
  assert.equal(commonVersion({ min: 4, max: 5 }, { min: 2, max: 4 }), 4);
  assert.equal(commonVersion({ min: 4, max: 5 }, { min: 2, max: 3 }), undefined);
  assert.equal(commonVersion({ min: 2, max: 3 }, { min: 4, max: 5 }), undefined);
});
