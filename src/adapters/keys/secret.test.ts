/** Keys that follow from a secret: the same everywhere, for each subject another, and never said to be erased. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHoldfastError } from "../../model/errors.ts";
import { keysFromSecret } from "./secret.ts";

const secret = "only-for-this-test-0123456789abcdef";
const asked = { principal: { kind: "operator", id: "olga" }, atMs: 1 };

test("two stores of one secret have the same keys, of another secret or subject others", () => {
  const [one, same, other] = [keysFromSecret(secret), keysFromSecret(secret), keysFromSecret(`${secret}!`)];
  const { generation, key } = one.current("player/7");
  assert.deepEqual([generation, key.length], [1, 32]);
  assert.deepEqual(same.find("player/7", 1), key);
  assert.notDeepEqual(other.find("player/7", 1), key);
  assert.notDeepEqual(one.current("player/8").key, key);
  assert.equal(one.find("player/7", 2), undefined);
});

test("an erasure is refused, and the key is there as before", async () => {
  const keys = keysFromSecret(secret);
  const { key } = keys.current("player/7");
  await assert.rejects(
    keys.erase("player/7", asked),
    (error) => isHoldfastError(error) && error.code === "invalid-configuration",
  );
  assert.deepEqual(keys.find("player/7", 1), key);
  assert.throws(() => keysFromSecret("short"), /32 characters/);
});
