/**
 * Which golden logs there are, and how one is replayed.
 *
 * Invariant: each has the code of today, which must evolve the states that the code of then did.
 */
import { entities as game } from "../../examples/teen-patti/src/entities.ts";
import { type MemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import type { StateHashes } from "../../src/history/hash.ts";
import { indexDefinitions } from "../../src/history/replay.ts";
import { logSource } from "../../src/history/source.ts";
import { type Verification, verifyHistory } from "../../src/history/verify.ts";
import type { AnyEntity } from "../../src/model/entity.ts";
import { entities as personal } from "../erasure/service.ts";
import { entities as sink } from "./kitchen-sink.ts";

export const golden: Readonly<Record<"kitchen-sink" | "game" | "personal", readonly AnyEntity[]>> = {
  "kitchen-sink": sink,
  game,
  personal,
};

export function verifyStore(
  store: MemoryStore,
  entities: readonly AnyEntity[],
  against?: StateHashes,
): Promise<Verification> {
  const source = logSource(openMemoryLog({ store }), store.shards.length);
  return verifyHistory(source, indexDefinitions(entities), against === undefined ? {} : { against });
}
