/**
 * A service in a process of its own, for tests that kill it: `node service-process.ts <directory> <port>`. Prints the
 * port it listens on once it serves.
 */
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import { embedded } from "../../src/presets/embedded.ts";
import { ledger } from "./service.ts";

const [directory = "", port = "0"] = process.argv.slice(2);
const service = await embedded({
  entities: [ledger],
  directory,
  shardCount: 8,
  authenticate: developmentAuthentication({ warn: () => {} }),
  port: Number(port),
});
console.log(service.gateway.port);
