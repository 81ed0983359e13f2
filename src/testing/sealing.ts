/**
 * Personal data in tests of one entity: sealed values without keys, the same text for the same value, so that what is expected
 * can be written down.
 */
import type { Vault } from "../core/personal.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import { partsOf, type Sealed, sealedOf } from "../model/sealed.ts";
import type { Plain } from "../std/plain.ts";

/** The sealed value that a scenario has where its subject's `value` is sealed. */
export function sealedFor<T>(subject: EntityRef, value: T): Sealed<T> {
  return seal(formatRef(subject), value) as Sealed<T>;
}

function seal(subject: string, value: unknown): Sealed<unknown> {
  return sealedOf({ subject, generation: 1, data: Buffer.from(JSON.stringify(value)).toString("base64url") });
}

/** @param erased subjects that were erased */
export function testVault(erased: readonly EntityRef[] = []): Vault {
  const gone = new Set(erased.map(formatRef));
  return {
    seal,
    open: (text) => {
      const parts = partsOf(text);
      if (parts === undefined || gone.has(parts.subject)) return undefined;
      return JSON.parse(Buffer.from(parts.data, "base64url").toString()) as Plain;
    },
  };
}
