/**
 * Sealed values by every path, and an erasure: what the service of `test/erasure` records.
 *
 * Invariant: a replay needs no key, so none is kept. No command breaks here: a captured stack would hold paths of the machine.
 */

import { ManualClock } from "../../examples/teen-patti/src/game.testkit.ts";
import { openMemoryKeys } from "../../src/adapters/keys/memory.ts";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import type { CallResult } from "../../src/model/records.ts";
import { startNode } from "../../src/runtime/node.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { entities } from "../erasure/service.ts";

const shardCount = 2;

export async function recordPersonal(): Promise<MemoryStore> {
  const store = createMemoryStore(shardCount);
  const clock = new ManualClock();
  const keys = await openMemoryKeys({ random: systemRandom });
  const node = await startNode({
    entities,
    log: openMemoryLog({ store }),
    keys,
    clock,
    random: systemRandom,
    shardCount,
  });
  const run = async (key: string, command: string, input: unknown): Promise<void> => {
    const requestId = makeUuidV7(clock.now(), systemRandom.bytes(16));
    const call = { entity: { type: "person", key }, command, input, requestId, principal: { kind: "user", id: key } };
    await new Promise<CallResult>((done) => node.execute(call as Parameters<typeof node.execute>[0], done));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    clock.move(100);
  };
  for (const key of ["ann", "bob", "cleo"]) await run(key, "register", { name: `The name of ${key}` });
  await run("ann", "refuse", { name: "another name" });
  const principal = { kind: "operator", id: "olga" } as const;
  await new Promise((done) => node.erase({ subject: { type: "person", key: "ann" }, principal }, done));
  await run("ann", "register", { name: "A name after the erasure" });
  clock.move(86_400_000);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  await node.stop();
  return store;
}
