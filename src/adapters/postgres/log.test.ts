/**
 * The PostgreSQL log passes the contract suite on a real server.
 */
import { after, test } from "node:test";
import { testLog } from "../../ports/log.contract.ts";
import { testDatabase } from "./database.harness.ts";
import { openPostgresLog } from "./log.ts";
import { migratePostgres } from "./migrate.ts";
import { postgresSkipReason } from "./server.harness.ts";

const skip = postgresSkipReason();
if (skip !== undefined) test("the contract suite of the log", { skip }, () => {});
else {
  const database = testDatabase();
  after(() => database.stop());
  testLog(
    "PostgreSQL",
    async ({ shardCount }) => {
      const { connection, schema, drop } = await database.schema();
      await migratePostgres({ connection, schema, shardCount });
      let log = await openPostgresLog({ connection, schema });
      return {
        log,
        frameBytesMax: log.frameBytesMax,
        async reopen() {
          await log.close();
          log = await openPostgresLog({ connection, schema });
          return log;
        },
        async dispose() {
          await log.close();
          await drop();
        },
      };
    },
    { generatedRuns: 15 },
  );
}
