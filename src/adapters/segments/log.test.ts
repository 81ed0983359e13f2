/**
 * The segment log passes the contract suite on real files.
 */
import { testLog } from "../../ports/log.contract.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { openSegmentLog } from "./open.ts";

testLog(
  "segments on real files",
  async ({ shardCount }) => {
    const directory = temporaryDirectory();
    const options = { directory: directory.path, shardCount, segmentBytes: 64 * 1024 };
    let log = await openSegmentLog(options);
    return {
      log,
      frameBytesMax: log.frameBytesMax,
      async reopen() {
        await log.close();
        log = await openSegmentLog(options);
        return log;
      },
      async dispose() {
        await log.close();
        directory.remove();
      },
    };
  },
  { generatedRuns: 15 },
);
