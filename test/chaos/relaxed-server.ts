/**
 * The process that is killed inside the loss window. Argument: data directory. Prints its port when it serves, and `slow`
 * when an append took more than the share of the window that the promise allows it.
 */
import { openSegmentLog } from "../../src/adapters/segments/open.ts";
import { systemClock as clock } from "../../src/adapters/system/clock.ts";
import { systemRandom as random } from "../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { relaxedShare } from "../../src/model/limits.ts";
import { startNode } from "../../src/runtime/node.ts";
import { meter, windowMs } from "./relaxed-meter.ts";

const [directory = ""] = process.argv.slice(2);
const shardCount = 4;
const log = await openSegmentLog({ directory, shardCount });
const append = log.append.bind(log);
log.append = async (appends) => {
  const startedMs = clock.monotonic();
  const results = await append(appends);
  if (clock.monotonic() - startedMs > windowMs * relaxedShare.append) console.log("slow");
  return results;
};
const node = await startNode({ entities: [meter], log, clock, random, shardCount });
const authenticate = developmentAuthentication({ warn: () => {} });
const gateway = await startGateway({ service: node, clock, random, authenticate, port: 0 });
console.log(gateway.port);
