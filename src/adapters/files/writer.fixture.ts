/**
 * A process that delivers batches to files until it is killed. Which batch follows a cursor is known beforehand. Arguments: directory,
 * epoch, the number of batches after which it ends.
 */
import { batchOf, changeOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { filesSink } from "./sink.ts";

export const batchItems = 40;

export function batchAt(position: number) {
  const items = Array.from({ length: batchItems }, (_, index) => changeOf(position * batchItems + index));
  return batchOf(items, `c${position}`, `c${position + 1}`);
}

if (process.argv[1] === import.meta.filename) {
  const [directory = "", epoch = "", until = ""] = process.argv.slice(2);
  const sink = filesSink({ directory, fileBytesMax: 100_000 });
  const cursor = await sink.open(identityOf(Number(epoch)));
  process.stdout.write(`at ${cursor}\n`);
  for (let position = Number(cursor?.slice(1) ?? 0); position < Number(until); position++)
    await sink.deliver(batchAt(position), never);
  await sink.close();
}
