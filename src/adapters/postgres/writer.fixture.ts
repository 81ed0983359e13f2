/**
 * A process that delivers batches to PostgreSQL until it is killed. Which batch follows a cursor is known beforehand, so its killer can
 * say what must be in the table. Arguments: URL, epoch, the number of batches after which it ends.
 */
import { isHoldfastError } from "../../model/errors.ts";
import { batchOf, changeOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { postgresSink } from "./sink.ts";

/** Sizes differ, so that a batch that is cut differently would be seen. */
export function sizeOf(batch: number): number {
  return 1 + ((batch * 7_919) % 97);
}

export function batchAt(position: number) {
  let first = 0;
  for (let index = 0; index < position; index++) first += sizeOf(index);
  const items = Array.from({ length: sizeOf(position) }, (_, index) => changeOf(first + index));
  return batchOf(items, `c${position}`, `c${position + 1}`);
}

if (process.argv[1] === import.meta.filename) {
  const [url = "", epoch = "", until = ""] = process.argv.slice(2);
  for (let isDone = false; !isDone; ) {
    const sink = postgresSink({ connection: url, form: "changes" });
    try {
      const cursor = await sink.open(identityOf(Number(epoch)));
      let position = cursor === undefined ? 0 : Number(cursor.slice(1));
      process.stdout.write(`at ${position}\n`);
      for (; position < Number(until); position++) await sink.deliver(batchAt(position), never);
      isDone = true;
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "unavailable") throw error;
    } finally {
      await sink.close();
    }
  }
  process.stdout.write("done\n");
}
