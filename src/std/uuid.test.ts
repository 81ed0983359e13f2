/** What must hold of request ids made and taken. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isUuidV7, makeUuidV7, uuidV7Time } from "./uuid.ts";

const random16 = fc.uint8Array({ minLength: 16, maxLength: 16 });

test("an id that was made is an id and carries its time", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), random16, (time, random) => {
      const id = makeUuidV7(time, random);
      assert.ok(isUuidV7(id), id);
      assert.equal(uuidV7Time(id), time);
    }),
  );
});

test("ids of different times sort by time, as text", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 2 }), random16, random16, (time, random, other) => {
      assert.ok(makeUuidV7(time, random) < makeUuidV7(time + 1, other));
    }),
  );
});

test("ids of different random bytes differ", () => {
  const random = new Uint8Array(16);
  const seen = new Set<string>();
  for (let index = 9; index < 16; index++) {
    random[index] = 255;
    seen.add(makeUuidV7(1, random));
  }
  assert.equal(seen.size, 7);
});

test("the example of RFC 9562 is an id of its time", () => {
  const id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
  assert.ok(isUuidV7(id));
  assert.equal(uuidV7Time(id), 0x017f22e279b0);
});

test("anything but the canonical form of version 7 is no id", () => {
  const good = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
  const others: unknown[] = [
    "",
    good.toUpperCase(),
    `${good} `,
    ` ${good}`,
    `${good}\n`,
    `{${good}}`,
    good.replaceAll("-", ""),
    good.replace("-7cc3", "-4cc3"),
    good.replace("-98c4", "-78c4"),
    good.replace("0", "g"),
    `${good.slice(0, 35)}\0`,
    undefined,
    null,
    7,
    [good],
    { toString: () => good },
  ];
  for (const other of others) assert.equal(isUuidV7(other), false, String(other));
});

test("a time no id can hold is refused", () => {
  const random = new Uint8Array(16);
  for (const time of [-1, 2 ** 48, Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => makeUuidV7(time, random), RangeError);
  assert.throws(() => makeUuidV7(1, new Uint8Array(15)), RangeError);
});
