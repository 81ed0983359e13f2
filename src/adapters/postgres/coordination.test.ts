/**
 * Coordination on PostgreSQL passes the contract suite on a real server.
 */
import { after } from "node:test";
import { testCoordination } from "../../ports/coordination.contract.ts";
import { systemClock } from "../system/clock.ts";
import { openPostgresCoordination } from "./coordination.ts";
import { testDatabase } from "./database.harness.ts";
import { migratePostgres } from "./migrate.ts";
import { postgresSkipReason } from "./server.harness.ts";

const database = testDatabase();
after(() => database.stop());

testCoordination(
  "PostgreSQL",
  async () => {
    const { connection, schema, drop } = await database.schema();
    await migratePostgres({ connection, schema, shardCount: 4 });
    const open = () => openPostgresCoordination({ connection, schema, pollMs: 5 });
    const clients = [open()];
    return {
      coordination: clients[0] as (typeof clients)[0],
      async client() {
        const client = open();
        clients.push(client);
        return client;
      },
      pass: (ms) => new Promise((resolve) => systemClock.after(ms, resolve)),
      async dispose() {
        await Promise.all(clients.map((client) => client.close()));
        await drop();
      },
    };
  },
  { skip: postgresSkipReason() },
);
