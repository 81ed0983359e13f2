/**
 * Keys of personal data that follow from one secret: every node of a cluster that knows it has them all, without a word to the others.
 *
 * Invariant: the key of a subject is always the same. So nothing can be erased: whoever asks for that is told so, and never that it is done.
 */
import { hkdfSync } from "node:crypto";
import { HoldfastError } from "../../model/errors.ts";
import type { KeyStore } from "../../ports/key-store.ts";
import { emptyKeys } from "../../wire/keys.ts";

const secretCharsMin = 32;
const keyBytes = 32;
/** Derived keys that are kept; the oldest go. 10,000 are about 2 MB. */
const keptMax = 10_000;

/** @throws `invalid-configuration` the secret is too short */
export function keysFromSecret(secret: string): KeyStore {
  if (secret.length < secretCharsMin)
    throw new HoldfastError(
      "invalid-configuration",
      `The secret of the keys needs ${secretCharsMin} characters or more: \`openssl rand -base64 32\`.`,
    );
  const kept = new Map<string, Uint8Array>();
  const keyOf = (subject: string): Uint8Array => {
    const known = kept.get(subject);
    if (known !== undefined) return known;
    const key = new Uint8Array(hkdfSync("sha256", secret, "holdfast personal data", subject, keyBytes));
    kept.set(subject, key);
    if (kept.size > keptMax) kept.delete(kept.keys().next().value as string);
    return key;
  };
  return {
    current: (subject) => ({ generation: 1, key: keyOf(subject) }),
    find: (subject, generation) => (generation === 1 ? keyOf(subject) : undefined),
    dirty: false,
    sync: async () => {},
    erase: async () => {
      const text = "Keys that follow from a secret cannot be erased; nothing was done.";
      throw new HoldfastError("invalid-configuration", text);
    },
    unmarked: () => [],
    marked: async () => {},
    export: async () => emptyKeys(new Uint8Array(16)),
    import: async () => {},
    close: async () => kept.clear(),
  };
}
