/** `holdfast calls`: outside calls of a node that runs, and what an operator does about one. */
import type { Command } from "commander";
import { formatRef } from "../model/ids.ts";
import type { CallStatus } from "../model/records.ts";
import { confirm } from "./ask.ts";
import { askDoor, type DoorOptions, withDoor } from "./door.ts";
import { print, printJson, safe, shown, time } from "./print.ts";
import { parseEntity, UsageError } from "./settings.ts";

interface ListOptions extends DoorOptions {
  readonly parked?: boolean;
  readonly type?: string;
  readonly limit?: string;
}

type Listed = Omit<CallStatus, "id"> & { readonly call: string; readonly key: string };

export function addCalls(program: Command): void {
  const group = program.command("calls").description("deals with outside calls of a node that runs, as an operator");
  withDoor(group.command("list").description("lists calls that are not settled, the oldest first"))
    .option("--parked", "only those that wait for an operator")
    .option("--type <name>", "only of this entity type")
    .option("--limit <number>", "at most so many; default 1000")
    .action(list);
  withDoor(group.command("retry <entity> <call>").description("has a parked call tried again")).action(
    (entity: string, call: string, options: DoorOptions) => act(entity, call, "retry", options),
  );
  withDoor(group.command("drop <entity> <call>").description("gives a call up; the entity is told"))
    .option("--yes", "does not ask")
    .action(drop);
}

async function list({ parked, type, limit, ...options }: ListOptions): Promise<void> {
  const parameters = {
    ...(parked === true ? { parked: "true" } : {}),
    ...(type === undefined ? {} : { type }),
    ...(limit === undefined ? {} : { limit }),
  };
  const answer = await askDoor(options, { method: "GET", path: ["calls"], parameters });
  const { calls, more } = answer as { calls: Listed[]; more: boolean };
  if (options.json === true) return printJson({ calls, more });
  if (calls.length === 0) return print("No such calls.");
  for (const { entity, call, name, input, phase, madeMs, failed, dueMs, lastError, key } of calls) {
    const due = dueMs === null ? "" : `, next attempt ${time(dueMs)}`;
    print(
      `${formatRef(entity)} ${call}  ${name} ${shown(input)}  ${phase} since ${time(madeMs)}, failed ${failed}${due}`,
    );
    print(`    key ${key}${lastError === null ? "" : `, last error: ${safe(lastError)}`}`);
  }
  if (more) print("There are more; ask with a higher --limit or a --type.");
}

async function drop(entity: string, call: string, options: DoorOptions & { yes?: boolean }): Promise<void> {
  check(entity, call);
  await confirm(`This gives up call ${call} of ${entity} for good.`, options.yes);
  await act(entity, call, "drop", options);
}

function check(entity: string, call: string): void {
  parseEntity(entity);
  if (!/^\d+\.\d+$/.test(call)) throw new UsageError(`"${call}" is not a call; write it as the list does, as in 17.0.`);
}

async function act(entity: string, call: string, verb: "retry" | "drop", options: DoorOptions): Promise<void> {
  check(entity, call);
  const { type, key } = parseEntity(entity);
  const answer = await askDoor(options, { method: "POST", path: ["calls", type, key, call, verb] });
  if (options.json === true) return printJson(answer);
  print(verb === "retry" ? `Call ${call} of ${entity} is tried again.` : `Call ${call} of ${entity} is given up.`);
}
