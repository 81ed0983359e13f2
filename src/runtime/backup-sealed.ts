/**
 * Keys in a backup, and the search for values that need them.
 *
 * Invariant: what counts as sealed is a value and never a text that looks like one, so nobody can have backups refused by
 * writing such a text.
 */
import { HoldfastError } from "../model/errors.ts";
import type { LogRecord } from "../model/records.ts";
import { isSealed } from "../model/sealed.ts";
import { sealedMember } from "../std/reserved.ts";
import type { StoredFrame } from "../wire/backup.ts";
import { decodeFrame } from "../wire/frame.ts";
import { decodeImage } from "../wire/image.ts";
import type { PartRef } from "../wire/snapshot.ts";
import { readPart } from "../wire/snapshot-part.ts";

/** The extra that holds a service's keys, as `KeyStore.export` gives them. */
export const keysExtra = "keys";

/** @throws `keys-damaged` the frame holds a sealed value */
export function refuseSealedFrame({ shard, at, bytes }: StoredFrame): void {
  if (!mayHold(bytes)) return;
  for (const record of decodeFrame(bytes, shard, at, undefined).records)
    if (recordHolds(record)) throw refused(`the log of shard ${shard} holds sealed values at offset ${at}`);
}

/** @throws `keys-damaged` an image of the part holds a sealed value */
export async function refuseSealedPart(ref: PartRef, stored: Uint8Array, turn: () => Promise<void>): Promise<void> {
  for (const images of readPart(ref, stored)) {
    for (const { name, bytes } of images)
      if (mayHold(bytes) && holds(decodeImage(bytes))) throw refused(`${name} holds sealed values`);
    await turn();
  }
}

/** Names of members stand in records and images as they are. */
function mayHold(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(sealedMember);
}

function recordHolds(record: LogRecord): boolean {
  if (record.kind !== "step") return holds(record);
  // one that was read decodes its outcome when it is asked for
  const { events, outcome, sends, timers, calls } = record;
  return holds([events, outcome, sends, timers, calls]);
}

function holds(value: unknown): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  return isSealed(value) || Object.values(value).some(holds);
}

function refused(why: string): HoldfastError {
  const remedy = "Put the key store back (`keys` in the data directory), then make the backup again.";
  return new HoldfastError("keys-damaged", `The backup has no keys, and ${why}: nobody could open them. ${remedy}`);
}
