/** `holdfast events table/42`: the records of an entity as they stand in the log. Needs no code of the service. */
import type { Command } from "commander";
import { eventsOf, type PastRecord } from "../history/history.ts";
import { printJson, printRecord } from "./print.ts";
import { type LogOptions, openSource, parseEntity, parseMoment, withLog, withProgress } from "./settings.ts";

interface EventsOptions extends LogOptions {
  readonly from?: string;
  readonly to?: string;
}

export function addEvents(program: Command): void {
  const command = program
    .command("events <entity>")
    .description("prints the records of an entity: commands, events, sends, timers, outcomes")
    .option("--from <moment>", "first offset or time")
    .option("--to <moment>", "last offset or time");
  withLog(command).action(events);
}

async function events(text: string, options: EventsOptions): Promise<void> {
  const entity = parseEntity(text);
  const range = {
    ...(options.from === undefined ? {} : { from: parseMoment("--from", options.from) }),
    ...(options.to === undefined ? {} : { to: parseMoment("--to", options.to) }),
  };
  const source = await openSource(options);
  await withProgress("Reading", async (bar) => {
    let count = 0;
    for await (const past of eventsOf(source, entity, range, bar)) {
      bar.clear();
      count++;
      if (options.json === true) printJson(asJson(past), 0);
      else printRecord(past);
    }
    bar.clear();
    if (count === 0) console.error(`No records of ${text} there.`);
  });
}

/** The request id as text; its bytes say nothing to people. */
function asJson({ offset, epoch, record }: PastRecord): object {
  if (record.kind === "mark") return { offset, epoch, ...record };
  const { cause } = record;
  const told = cause.kind === "request" ? { kind: cause.kind, requestId: cause.requestId } : cause;
  return { offset, epoch, ...record, cause: told };
}
