/**
 * Signatures by the Standard Webhooks specification: HMAC-SHA256 over `<id>.<timestamp>.<body>`, one per secret, so that a secret is
 * replaced while receivers still hold the old one.
 *
 * Invariant: a secret stands in no message.
 */
import { createHmac } from "node:crypto";
import { HoldfastError } from "../../model/errors.ts";

const prefix = "whsec_";
/** What the specification allows, in bytes. */
const secretBytesMin = 24;
const secretBytesMax = 64;

/** @throws `invalid-configuration` a secret is none, or there is none */
export function secretKeys(secrets: readonly string[]): Uint8Array[] {
  if (secrets.length === 0) throw misused("Give a webhook at least one secret.");
  return secrets.map((secret, index) => {
    const text = secret.startsWith(prefix) ? secret.slice(prefix.length) : secret;
    const key = Buffer.from(text, "base64");
    const isWhole = key.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "");
    if (!isWhole || key.length < secretBytesMin || key.length > secretBytesMax)
      throw misused(
        `Secret ${index + 1} is not "${prefix}" and the base64 of ${secretBytesMin} to ${secretBytesMax} bytes. ` +
          `Make one: node -p '"${prefix}" + crypto.randomBytes(32).toString("base64")'`,
      );
    return key;
  });
}

export interface Signed {
  readonly id: string;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly body: string | Uint8Array;
}

/** The value of `webhook-signature`. */
export function signatureOf({ id, timestamp, body }: Signed, keys: readonly Uint8Array[]): string {
  return keys
    .map((key) => {
      const hmac = createHmac("sha256", key).update(`${id}.${timestamp}.`);
      return `v1,${hmac.update(body).digest("base64")}`;
    })
    .join(" ");
}

function misused(text: string): HoldfastError {
  return new HoldfastError("invalid-configuration", text);
}
