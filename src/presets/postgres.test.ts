/**
 * A service whose log is in PostgreSQL: it stops, starts, loses its directory and its server, and lacks nothing it acknowledged.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import {
  type PostgresServer,
  postgresSkipReason,
  startPostgres as startServer,
} from "../adapters/postgres/server.harness.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { temporaryDirectory } from "../adapters/system/temporary.ts";
import type { CallResult } from "../model/records.ts";
import { counter } from "../runtime/counter.harness.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { migratePostgres, type PostgresService, startPostgres } from "./postgres.ts";

describe("a service on PostgreSQL", { skip: postgresSkipReason() ?? false }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  async function prepared() {
    const connection = await server.database();
    await migratePostgres({ connection, shardCount: 8 });
    const directory = temporaryDirectory();
    const start = () =>
      startPostgres({
        entities: [counter],
        directory: directory.path,
        postgres: { connection },
        port: 0,
        progress: false,
        heapGrowthPercent: false,
        authenticate: async () => ({ principal: { kind: "service", id: "test" } }),
        onCrash: (error) => {
          throw error;
        },
      });
    return { directory, start };
  }

  test("goes on where it was, also without its state store", async () => {
    const { directory, start } = await prepared();
    for (const round of [0, 1, 2]) {
      const service = await start();
      assert.deepEqual(
        await countAll(service, 20),
        Array.from({ length: 20 }, () => round + 1),
      );
      await service.stop();
      if (round === 1) rmSync(`${directory.path}/state`, { recursive: true });
    }
    directory.remove();
  });

  test("serves through a restart of the server under load, and answers each command once", async () => {
    const { directory, start } = await prepared();
    const service = await start();
    let stopped = false;
    const last = new Map<string, number>();
    const load = Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        const key = `k${index}`;
        while (!stopped) {
          const total = await count(service, key);
          assert.equal(total, (last.get(key) ?? 0) + 1, "no count is lost or doubled");
          last.set(key, total);
        }
      }),
    );
    for (let round = 0; round < 3; round++) {
      const before = [...last.values()].reduce((sum, total) => sum + total, 0);
      while ([...last.values()].reduce((sum, total) => sum + total, 0) < before + 200)
        await new Promise((done) => setTimeout(done, 10));
      await server.crash();
      await server.start();
    }
    stopped = true;
    await load;
    await service.stop();
    const again = await start();
    for (const [key, total] of last) assert.equal(await count(again, key), total + 1);
    await again.stop();
    directory.remove();
  });
});

async function countAll(service: PostgresService, entities: number): Promise<number[]> {
  return Promise.all(Array.from({ length: entities }, (_, index) => count(service, `k${index}`)));
}

/** Asks again with the same request id until there is an answer. */
async function count(service: PostgresService, key: string): Promise<number> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  for (;;) {
    const result = await new Promise<CallResult>((resolve) => {
      const principal = { kind: "service", id: "test" } as const;
      service.node.execute(
        { entity: { type: "counter", key }, command: "count", input: null, requestId, principal },
        resolve,
      );
    });
    if (result.ok) return result.value as number;
    assert.ok(["unavailable", "fenced", "outcome-unknown", "overloaded"].includes(result.code), result.code);
    await new Promise((done) => setTimeout(done, 20));
  }
}
