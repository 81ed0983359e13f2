/**
 * A process that opens a sample store with bits turned, one after the other, and tells what it saw. It is a process of its
 * own because a damaged page could end it.
 */
import { temporaryDirectory } from "../system/temporary.ts";
import { look, makeSample, place } from "./flips.harness.ts";

const bits = JSON.parse(process.argv[2] ?? "[]") as number[];
using directory = temporaryDirectory();
const { open, model } = await makeSample(directory.path);
const seen: Record<string, number> = {};
for (const bit of bits) {
  const bytes = Buffer.from(open);
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  await place(directory.path, bytes, undefined);
  process.stderr.write(`bit ${bit}\n`);
  const what = await look(directory.path, model);
  seen[what] = (seen[what] ?? 0) + 1;
}
process.stdout.write(JSON.stringify(seen));
