/**
 * A process that holds a log and appends to it until it is killed. Prints the tail of shard 0 behind every answer.
 */
import { write } from "../../ports/log.contract.kit.ts";
import { openSegmentLog } from "./open.ts";

const directory = process.argv[2];
const log = await openSegmentLog({
  ...(directory === undefined ? {} : { directory }),
  shardCount: 4,
  segmentBytes: 64 * 1024,
});
const [position] = await log.tail([0]);
const epoch = (position?.epoch ?? 0) + 1;
let at = position?.tail ?? 1;
await log.claim([write(0, epoch, at)]);
for (;;) {
  at += 1;
  process.stdout.write(`${at}\n`);
  const [result] = await log.append([write(0, epoch, at, { bytes: 1 + ((at * 997) % 5000) })]);
  if (result?.ok !== true) throw new Error(`append answered ${JSON.stringify(result)}`);
}
