/** `holdfast subscribers`: durable subscribers of a node that runs, and what an operator does about one. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { AsideRecord, SubscriberStatus } from "../model/subscribers.ts";
import { duration, grouped } from "../std/progress.ts";
import { confirm } from "./ask.ts";
import { askDoor, type DoorOptions, withDoor } from "./door.ts";
import { print, printJson, safe, shown, time } from "./print.ts";
import { UsageError } from "./settings.ts";

interface CreateOptions extends DoorOptions {
  readonly config?: string;
}

interface StartOptions extends DoorOptions {
  readonly start?: string;
  readonly yes?: boolean;
}

interface IdOptions extends DoorOptions {
  readonly ids?: string;
  readonly yes?: boolean;
}

type Yes = DoorOptions & { readonly yes?: boolean };

export function addSubscribers(program: Command): void {
  const group = program
    .command("subscribers")
    .description("deals with durable subscribers of a node that runs, as an operator");
  withDoor(group.command("list", { isDefault: true }).description("lists them: state, lag, sink")).action(list);
  withDoor(group.command("show <name>").description("one of them whole, with what its sink refused")).action(show);
  withDoor(group.command("create <name>").description("creates one"))
    .option("--config <json>", 'what it is to be, as in \'{"form":"changes","sink":"analytics"}\', or @file')
    .action(create);
  const plain = { pause: "lets it rest where it stands", resume: "lets it go on; also one that is parked" };
  for (const [verb, what] of Object.entries(plain))
    withDoor(group.command(`${verb} <name>`).description(what)).action((name: string, options: DoorOptions) =>
      act(name, verb, options),
    );
  withDoor(group.command("rewind <name>").description("sets it to another start"))
    .option("--start <start>", 'beginning, now, a time such as 2026-11-23T16:00:00Z, or JSON such as {"cursor":"…"}')
    .option("--yes", "does not ask")
    .action(rewind);
  withDoor(group.command("skip <name>").description("leaves out the batch that it is parked in front of"))
    .option("--yes", "does not ask")
    .action(skip);
  withDoor(group.command("replay <name>").description("delivers again what was set aside"))
    .option("--ids <numbers>", "which, as in 3,5; default: all")
    .action((name: string, options: IdOptions) => act(name, "replay", options, idsOf(options)));
  withDoor(group.command("drop <name>").description("gives up what was set aside"))
    .option("--ids <numbers>", "which, as in 3,5; default: all")
    .option("--yes", "does not ask")
    .action(drop);
  withDoor(group.command("delete <name>").description("ends it; nothing is kept for it any more"))
    .option("--yes", "does not ask")
    .action(remove);
}

async function list(options: DoorOptions): Promise<void> {
  const answer = await askDoor(options, { method: "GET", path: ["subscribers"] });
  const { subscribers } = answer as { subscribers: SubscriberStatus[] };
  if (options.json === true) return printJson({ subscribers });
  if (subscribers.length === 0) return print("No subscribers.");
  for (const one of subscribers) print(headline(one));
}

function headline({ name, state, config, lag, aside, items }: SubscriberStatus): string {
  const { records, seconds, bytes } = lag;
  const behind =
    records === 0
      ? "up to date"
      : `${grouped(records)} records behind, ${grouped(bytes)} B, ${duration(seconds * 1_000)}`;
  const to = config.sink === null ? "is pulled" : `to ${safe(config.sink)}`;
  const more = aside === 0 ? "" : `, ${grouped(aside)} set aside`;
  return `${safe(name)}  ${safe(state)}  ${config.form} ${to}, ${behind}, ${grouped(items)} items taken${more}`;
}

async function show(name: string, options: DoorOptions): Promise<void> {
  const status = (await askDoor(options, { method: "GET", path: ["subscribers", name] })) as SubscriberStatus;
  const answer = await askDoor(options, { method: "GET", path: ["subscribers", name, "aside"] });
  const { aside } = answer as { aside: AsideRecord[] };
  if (options.json === true) return printJson({ ...status, asideRecords: aside });
  print(headline(status));
  const { trouble, lastError, config, cursor, epoch, node, held, createdMs } = status;
  if (trouble !== null) {
    print(`    ${trouble.kind} since ${time(trouble.sinceMs)}: ${safe(trouble.code)}: ${safe(trouble.detail)}`);
    if (trouble.batch !== null)
      print(`    in front of ${grouped(trouble.batch.items)} items from ${trouble.batch.first}`);
  }
  if (lastError !== null) print(`    is tried again after ${safe(lastError)}`);
  print(`    owner ${config.owner.kind}:${safe(config.owner.id)}, created ${time(createdMs)}`);
  print(
    `    running ${epoch}${node === "" ? "" : ` on ${safe(node)}`}, ${held ? "records are kept for it" : "nothing is kept for it"}`,
  );
  print(`    ${shown(config)}`);
  print(`    cursor ${cursor ?? "none yet"}`);
  for (const { id, shard, offset, entity, items, detail, atMs } of aside)
    print(`    aside ${id}: ${items} of ${safe(entity)} at ${shard}:${offset}, ${time(atMs)}: ${safe(detail)}`);
}

async function create(name: string, { config, ...options }: CreateOptions): Promise<void> {
  if (config === undefined) throw new UsageError('--config says what it is to be, as in \'{"form":"changes"}\'.');
  const answer = await askDoor(options, {
    method: "POST",
    path: ["subscribers", name],
    body: jsonOf(config, "--config"),
  });
  if (options.json === true) return printJson(answer);
  print(headline(answer as SubscriberStatus));
}

async function rewind(name: string, { start, yes, ...options }: StartOptions): Promise<void> {
  if (start === undefined) throw new UsageError("--start says where to: beginning, now, a time, or JSON.");
  const body = { start: startOf(start) };
  await confirm(`This sets ${name} to ${start}; what it was given before may come again, or be left out.`, yes);
  await act(name, "rewind", options, body);
}

async function skip(name: string, { yes, ...options }: Yes): Promise<void> {
  await confirm(`This leaves out, for good, the batch that ${name} is parked in front of.`, yes);
  await act(name, "skip", options);
}

async function drop(name: string, { yes, ids, ...options }: IdOptions): Promise<void> {
  const body = idsOf(ids === undefined ? {} : { ids });
  await confirm(`This gives up what the sink of ${name} refused.`, yes);
  await act(name, "drop", options, body);
}

async function remove(name: string, { yes, ...options }: Yes): Promise<void> {
  await confirm(`This ends ${name}; its place is lost, and nothing is kept for it any more.`, yes);
  await act(name, "delete", options);
}

function idsOf({ ids }: Pick<IdOptions, "ids">): { readonly ids: number[] } | undefined {
  if (ids === undefined) return undefined;
  if (!/^\d+(,\d+)*$/.test(ids)) throw new UsageError(`--ids is numbers such as 3,5, not "${ids}".`);
  return { ids: ids.split(",").map(Number) };
}

function startOf(text: string): unknown {
  if (text === "beginning" || text === "now") return text;
  if (text.startsWith("{")) return jsonOf(text, "--start");
  const timeMs = Date.parse(text);
  if (Number.isNaN(timeMs)) throw new UsageError(`--start is beginning, now, a time or JSON, not "${text}".`);
  return { timeMs };
}

function jsonOf(text: string, option: string): unknown {
  const given = text.startsWith("@") ? readFileSync(text.slice(1), "utf8") : text;
  try {
    return JSON.parse(given);
  } catch {
    throw new UsageError(`${option} is no JSON.`);
  }
}

async function act(name: string, verb: string, options: DoorOptions, body?: unknown): Promise<void> {
  const path = ["subscribers", name, verb];
  const answer = await askDoor(options, { method: "POST", path, ...(body === undefined ? {} : { body }) });
  if (options.json === true) return printJson(answer);
  print(`${name}: ${verb} is recorded.`);
}
