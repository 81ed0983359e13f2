/**
 * The process that holds personal data, and is killed. Arguments: data directory. Prints `ready <url>`. The tokens are
 * `operator` and anything else.
 */
import { embedded } from "../../src/presets/embedded.ts";
import { entities } from "./service.ts";

const [directory = ""] = process.argv.slice(2);
const service = await embedded({
  entities,
  directory,
  port: 0,
  shardCount: 1,
  segmentBytes: 128 * 1024,
  limits: { checkpointMs: 100, replayBudgetMs: 4, dedupWindowMs: 1_500, requestIdFutureMs: 300, archiveRecordsMin: 1 },
  authenticate: async (token) => ({ principal: { kind: token === "operator" ? "operator" : "user", id: "tester" } }),
  // what authors' code throws goes to a log file like this one's
  onFault: (where, error) => console.error(`fault in ${where}`, error),
});
process.once("SIGTERM", () => void service.stop().then(() => process.exit(0)));
console.log(`ready ${service.url}`);
