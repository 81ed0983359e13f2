/**
 * The process that is killed: the game server's entities and the accounts, on the segment log, behind the real door.
 * Arguments: data directory, port, number of tables. Prints `ready <url>` when it serves.
 */
import { entities } from "../../examples/teen-patti/src/entities.ts";
import { fastTables, openTables } from "../../examples/teen-patti/src/tables.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import { embedded } from "../../src/presets/embedded.ts";
import { account } from "./account.ts";
import { segmentBytes, shardCount } from "./settings.ts";

const [directory = "", port = "0", tables = "3"] = process.argv.slice(2);
const service = await embedded({
  entities: [...entities, account],
  directory,
  port: Number(port),
  shardCount,
  segmentBytes,
  authenticate: developmentAuthentication({ warn: () => {} }),
  onFault: (where, error) => console.error(`fault in ${where}`, error),
});
await openTables(service.node, fastTables(Number(tables)));
console.log(`ready ${service.url}`);
