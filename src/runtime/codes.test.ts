/** What becomes of kept states when the code is another one: every branch. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEntity } from "../model/entity.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { StoredImage } from "../model/images.ts";
import type { Plain } from "../std/plain.ts";
import { decodeImage, encodeImage } from "../wire/image.ts";
import { type Codes, codesOf, converterOf, type Past, planFor, sameCodes } from "./codes.ts";

interface Code {
  readonly version?: number;
  readonly by?: number;
  readonly migrate?: (state: unknown, version: number) => { count: number };
}

/** An entity type that counts; `by` makes it other code. */
function counter({ version = 1, by = 1, migrate }: Code = {}) {
  return defineEntity("counter", {
    version,
    state: () => ({ count: 0 }),
    events: {
      counted: by === 1 ? (state) => void (state.count += 1) : (state) => void (state.count += 2),
    },
    commands: () => ({}),
    ...(migrate === undefined ? {} : { migrate }),
  });
}

const other = defineEntity("other", { state: () => ({}), events: {}, commands: () => ({}) });
const definitionsOf = (...entities: { name: string }[]) => new Map(entities.map((one) => [one.name, one])) as never;

const kept = codesOf(definitionsOf(counter()));
const logWhole: Past = { logWhole: true, archiveWhole: true, records: 100 };
const archiveWhole: Past = { logWhole: false, archiveWhole: true, records: 100 };
const trimmed: Past = { logWhole: false, archiveWhole: false, records: 100 };

function plan(codes: Codes, code: Code, past: Past, replayRecordsMax = 1_000) {
  return planFor(codes, definitionsOf(counter(code)), past, replayRecordsMax);
}

function imageOf(state: Plain, type = "counter"): StoredImage {
  const entity = { type, key: "a" };
  return encodeImage({ entity, version: 7, touched: 9, state, timers: [], outbox: [], inbox: [], calls: [] });
}

function convert(codes: Codes, entities: readonly { name: string }[], image: StoredImage) {
  return decodeImage(converterOf(codes, definitionsOf(...entities))(image).bytes)?.state;
}

function refusal(codes: Codes, entities: readonly { name: string }[], image: StoredImage): string {
  try {
    convert(codes, entities, image);
  } catch (error) {
    assert.ok(isHoldfastError(error) && error.code === "unknown-event", String(error));
    return error.message;
  }
  return assert.fail("it is refused");
}

test("states of the same code are taken as they are, whatever else there is", () => {
  for (const past of [logWhole, archiveWhole, trimmed]) assert.equal(plan(kept, {}, past), "take");
  assert.deepEqual(convert(kept, [counter()], imageOf({ count: 3 })), { count: 3 });
});

test("states of other code are evolved again while the log is whole, however long it is", () => {
  for (const code of [{ by: 2 }, { version: 2 }, { version: 2, migrate: () => ({ count: 0 }) }])
    assert.equal(plan(kept, code, { ...logWhole, records: 1e9 }), "replay");
});

test("states of other code are evolved again through an archive that is whole", () => {
  for (const code of [{ by: 2 }, { version: 2 }, { version: 2, migrate: () => ({ count: 0 }) }])
    assert.equal(plan(kept, code, archiveWhole), "replay");
});

test("an archive that is too long is replayed only where the states cannot be used", () => {
  const migrate = () => ({ count: 0 });
  assert.equal(plan(kept, { by: 2 }, archiveWhole, 99), "convert");
  assert.equal(plan(kept, { version: 2, migrate }, archiveWhole, 99), "convert");
  assert.equal(plan(kept, { version: 2 }, archiveWhole, 99), "replay");
  assert.equal(planFor(kept, definitionsOf(other), archiveWhole, 99), "replay", "the type is gone");
});

test("types that were added cost no replay of the archive", () => {
  const added = definitionsOf(counter(), other);
  assert.equal(planFor(kept, added, archiveWhole, 1_000), "convert");
  assert.deepEqual(convert(kept, [counter(), other], imageOf({ count: 3 })), { count: 3 });
});

test("trimmed, version raised: each state goes through `migrate`, and the rest of its image stays", () => {
  const migrate = (state: unknown, version: number) => ({ count: (state as { count: number }).count * 10 + version });
  assert.equal(plan(kept, { version: 2, migrate }, trimmed), "convert");
  const converted = converterOf(kept, definitionsOf(counter({ version: 2, migrate })))(imageOf({ count: 3 }));
  const image = decodeImage(converted.bytes);
  assert.deepEqual(image?.state, { count: 31 });
  assert.deepEqual([converted.touched, image?.version, image?.touched], [9, 7, 9]);
});

test("trimmed, same version: other code says that older states hold", () => {
  assert.equal(plan(kept, { by: 2 }, trimmed), "convert");
  assert.deepEqual(convert(kept, [counter({ by: 2 })], imageOf({ count: 3 })), { count: 3 });
});

test("trimmed, version raised without `migrate`: refused, and told what to do", () => {
  assert.equal(plan(kept, { version: 2 }, trimmed), "convert");
  assert.match(
    refusal(kept, [counter({ version: 2 })], imageOf({ count: 3 })),
    /kept states of "counter" cannot be used: they are of version 1, the definition's is 2. Give it a `migrate`/,
  );
});

test("states of a newer version are refused, and so are those of a type that is gone", () => {
  const newer = codesOf(definitionsOf(counter({ version: 3 })));
  assert.match(refusal(newer, [counter()], imageOf({ count: 3 })), /of version 3, the definition's is 1/);
  assert.match(refusal(kept, [other], imageOf({ count: 3 })), /does not define that type/);
});

test("a type that is gone refuses nothing as long as it has no states", () => {
  const both = codesOf(definitionsOf(counter(), other));
  assert.deepEqual(convert(both, [counter()], imageOf({ count: 3 })), { count: 3 });
});

test("a `migrate` that gives nothing refuses the state", () => {
  const migrate = () => undefined as never;
  assert.match(refusal(kept, [counter({ version: 2, migrate })], imageOf({ count: 3 })), /gave no state/);
});

test("codes are the same only if no type is more, less or other", () => {
  const both = codesOf(definitionsOf(counter(), other));
  assert.ok(sameCodes(both, { ...both }));
  assert.ok(!sameCodes(both, kept) && !sameCodes(kept, both));
  assert.ok(!sameCodes(kept, codesOf(definitionsOf(counter({ by: 2 })))));
});
