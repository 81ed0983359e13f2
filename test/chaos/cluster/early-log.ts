/**
 * A planted fault: a log that says at once that it has written, and writes later. What a killed or fenced node had answered is lost then,
 * which the checks must find.
 */
import type { Append, AppendResult } from "../../../src/ports/log.ts";
import type { ServedLog } from "../../../src/presets/embedded.ts";

const laterMs = 250;

export function answersEarly(log: ServedLog): ServedLog {
  const append = log.append.bind(log);
  let written: Promise<unknown> = Promise.resolve();
  log.append = async (appends: readonly Append[]): Promise<readonly AppendResult[]> => {
    const later = new Promise((done) => setTimeout(done, laterMs));
    written = Promise.all([written, later])
      .then(() => append(appends))
      .catch(() => undefined);
    return appends.map(({ at, count }) => ({ ok: true, tail: at + count }));
  };
  return log;
}
