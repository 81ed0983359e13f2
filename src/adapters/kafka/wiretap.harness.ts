/**
 * Tells commits of transactions apart on a connection to Kafka: each request and answer begins with its length; a request names its
 * API and a number, which its answer repeats.
 */
import type { Wiretap } from "../system/proxy.harness.ts";

const endTransaction = 26;
/** Length, API, its version, number; of an answer: length and number. */
const requestHead = 12;
const answerHead = 8;

export function kafkaTap(): Wiretap {
  const commits = new Set<number>();
  const requests = headsOf(requestHead);
  const answers = headsOf(answerHead);
  return {
    isCommit(chunk) {
      const found = requests(chunk).filter((head) => head.readInt16BE(4) === endTransaction);
      for (const head of found) commits.add(head.readInt32BE(8));
      return found.length > 0;
    },
    isAnswer: (chunk) => answers(chunk).some((head) => commits.has(head.readInt32BE(4))),
  };
}

/** The beginnings of the frames whose beginning a chunk completes. */
function headsOf(length: number): (chunk: Buffer) => Buffer[] {
  let held = Buffer.alloc(0);
  let skip = 0;
  return (chunk) => {
    const heads: Buffer[] = [];
    let bytes = Buffer.concat([held, chunk]);
    for (;;) {
      const skipped = Math.min(skip, bytes.length);
      skip -= skipped;
      bytes = bytes.subarray(skipped);
      if (bytes.length < length) break;
      heads.push(bytes.subarray(0, length));
      skip = 4 + bytes.readInt32BE(0);
    }
    held = bytes;
    return heads;
  };
}
