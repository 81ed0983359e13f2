/** A process that opens a sample state store with groups of bits turned, one group after the other, and prints what each shows. */
import { look, makeSample, place } from "../../src/adapters/lmdb/flips.harness.ts";
import { temporaryDirectory } from "../../src/adapters/system/temporary.ts";

let text = "";
for await (const piece of process.stdin.setEncoding("utf8")) text += String(piece);
const groups = JSON.parse(text) as number[][];
using directory = temporaryDirectory();
const { open, model, before } = await makeSample(directory.path);
for (const bits of groups) {
  const bytes = Buffer.from(open);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  await place(directory.path, bytes, undefined);
  const seen = await look(directory.path, model).catch(async (error: unknown) => {
    await place(directory.path, bytes, undefined);
    const older = await look(directory.path, before).catch(() => "wrong");
    return older === "same" ? "older" : `wrong state: ${String(error)}`;
  });
  process.stdout.write(`${seen.replaceAll("\n", " ")}\n`);
}
