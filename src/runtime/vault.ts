/**
 * Seals and opens personal data with AES-256-GCM, each value under the key of its subject.
 *
 * Invariants: a nonce is 96 bits of the random port, drawn for each value; subject and generation are authenticated with it,
 * so a sealed value cannot be passed off as another subject's. Nothing opened is kept here.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Vault } from "../core/personal.ts";
import { HoldfastError } from "../model/errors.ts";
import { partsOf, type Sealed, sealedOf } from "../model/sealed.ts";
import type { Random } from "../ports/clock.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { Plain } from "../std/plain.ts";

const cipher = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

type Keys = Pick<KeyStore, "current" | "find">;

export class KeyVault implements Vault {
  readonly #keys: Keys;
  readonly #random: Random;

  constructor(keys: Keys, random: Random) {
    this.#keys = keys;
    this.#random = random;
  }

  seal(subject: string, value: Plain): Sealed<unknown> {
    const { generation, key } = this.#keys.current(subject);
    const nonce = this.#random.bytes(nonceBytes);
    const sealing = createCipheriv(cipher, key, nonce, { authTagLength: tagBytes });
    sealing.setAAD(boundTo(subject, generation));
    const parts = [nonce, sealing.update(JSON.stringify(value), "utf8"), sealing.final(), sealing.getAuthTag()];
    return sealedOf({ subject, generation, data: Buffer.concat(parts).toString("base64url") });
  }

  open(text: string): Plain | undefined {
    const parts = partsOf(text);
    if (parts === undefined) throw damaged("A sealed value is not in the form of one");
    const { subject, generation } = parts;
    const key = this.#keys.find(subject, generation);
    if (key === "erased") return undefined;
    if (key === undefined)
      throw damaged(`The key store has no key ${generation} of ${subject}, and no note of its erasure`);
    const bytes = Buffer.from(parts.data, "base64url");
    try {
      const opening = createDecipheriv(cipher, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes });
      opening.setAAD(boundTo(subject, generation));
      opening.setAuthTag(bytes.subarray(-tagBytes));
      const opened = Buffer.concat([opening.update(bytes.subarray(nonceBytes, -tagBytes)), opening.final()]);
      return JSON.parse(opened.toString("utf8")) as Plain;
    } catch {
      throw damaged(`Key ${generation} of ${subject} does not open a value that was sealed under it`);
    }
  }
}

function boundTo(subject: string, generation: number): Buffer {
  return Buffer.from(`${subject}.${generation}`);
}

function damaged(problem: string): HoldfastError {
  return new HoldfastError("keys-damaged", `${problem}. Restore the key store that belongs to this log.`);
}
