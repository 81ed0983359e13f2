/**
 * What is measured: a node on the segment log behind its real gateway, thousands of principals on one view. Says for each change
 * when it was durable, when the last `send` of it returned, and what the sockets had not given to the kernel then.
 */
import { join } from "node:path";
import { openSegmentLog } from "../../src/adapters/segments/open.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { startNode } from "../../src/runtime/node.ts";
import { arena } from "../arena.ts";
import { countSends } from "../sends.ts";

const log = await openSegmentLog({ directory: join(process.argv[2] ?? ".", "log"), shardCount: 16 });
const began = countSends();
const timed = new Proxy(log, {
  get: (target, name) => {
    if (name === "append")
      return async (...parameters: Parameters<typeof log.append>) => {
        const appended = await target.append(...parameters);
        began();
        return appended;
      };
    const member: unknown = Reflect.get(target, name, target);
    return typeof member === "function" ? member.bind(target) : member;
  },
});
const limits = { connectionsPerAddressMax: 10_000 };
const node = await startNode({
  entities: [arena],
  log: timed,
  clock: systemClock,
  random: systemRandom,
  shardCount: 16,
  limits,
});
const gateway = await startGateway({
  service: node,
  clock: systemClock,
  random: systemRandom,
  port: 0,
  // everybody is somebody else: access is asked for each of them
  authenticate: async (token) => ({ principal: { kind: "user", id: token ?? "nobody" } }),
});
process.send?.({ port: gateway.port });
