/**
 * `holdfast quarantine`: what is parked, and the verbs that deal with it, over the door of a node that runs.
 *
 * Invariant: nothing here decides anything: the node does, and records who asked. What it gave of an entity holds inputs and
 * states, so a file of it is readable to its owner alone.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { HoldfastError } from "../model/errors.ts";
import { formatRef } from "../model/ids.ts";
import type { Captured, ParkedEntry } from "../model/marks.ts";
import { confirm } from "./ask.ts";
import { askDoor, type DoorOptions, withDoor } from "./door.ts";
import { pretty, print, printJson, safe, shown, time } from "./print.ts";
import { parseEntity, parseJson, UsageError } from "./settings.ts";

interface VerbOptions extends DoorOptions {
  readonly ifParkedAt?: string;
  readonly yes?: boolean;
}

export function addQuarantine(program: Command): void {
  const group = program
    .command("quarantine")
    .description("deals with parked entities of a node that runs, as an operator");
  withDoor(group.command("list").description("lists what is parked, why, since when")).action(list);
  withDoor(group.command("show <entity>").description("shows the last good state, what broke it, and the error"))
    .option("--out <file>", "writes it to a file, for `holdfast replay`")
    .action(show);
  verb(group.command("skip <entity>").description("leaves out the command or record that broke it"))
    .option("--yes", "does not ask")
    .action((text: string, options: VerbOptions) =>
      act(text, "skip", options, "This leaves out for good what broke it."),
    );
  verb(group.command("repair <entity>").description("gives it a whole new state"))
    .requiredOption("--state <json>", "the state, or @file with it")
    .option("--yes", "does not ask")
    .action((text: string, options: VerbOptions & { state: string }) =>
      act(text, "repair", options, "This replaces its state.", { state: readState(options.state) }),
    );
  verb(group.command("resume <entity>").description("takes it back into service")).action(
    (text: string, options: VerbOptions) => act(text, "resume", options),
  );
}

function verb(command: Command): Command {
  return withDoor(command).option("--if-parked-at <offset>", "only if the list gives this as its parkedAt");
}

async function list(options: DoorOptions): Promise<void> {
  const { parked } = (await askDoor(options, { method: "GET", path: ["quarantine"] })) as { parked: ParkedEntry[] };
  if (options.json === true) return printJson(parked);
  if (parked.length === 0) return print("Nothing is parked.");
  for (const { entity, parkedAt, sinceMs, why, readable, version } of parked) {
    const unreadable = readable ? "" : ", its state is being rebuilt";
    print(
      `${formatRef(entity)}  ${why}  since ${time(sinceMs)}, parked at ${parkedAt}, version ${version}${unreadable}`,
    );
  }
}

interface Inspected {
  readonly parkedAt: number;
  readonly sinceMs: number;
  readonly why: string | null;
  readonly version: number;
  readonly error: string | null;
  readonly captured: Captured | null;
  readonly state: unknown;
}

async function show(text: string, options: DoorOptions & { out?: string }): Promise<void> {
  const value = (await operate(text, "inspect", options)) as Inspected;
  if (options.out !== undefined) writeCapture(options.out, value);
  if (options.json === true) return printJson(value);
  const { why, sinceMs, parkedAt, version, error, captured, state } = value;
  print(`${text}  ${why}  since ${time(sinceMs)}, parked at ${parkedAt}, version ${version}`);
  if (error !== null) print(safe(error));
  if (captured !== null) {
    print(`command ${captured.command} ${shown(captured.input)}  (${captured.cause.kind}, ${time(captured.now)})`);
    if (captured.principal !== null) print(`asked by ${captured.principal.kind} ${shown(captured.principal.id)}`);
    for (const { name, version: of, payload } of captured.events) print(`    ${name} v${of} ${shown(payload)}`);
  }
  print(state === null ? "The state is not known yet." : pretty(state));
  if (options.out !== undefined)
    print(`Written to ${options.out}. Try it against your code: holdfast replay ${options.out} --service <module>`);
}

function writeCapture(path: string, value: unknown): void {
  try {
    writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const text = `${path} could not be written: ${(cause as Error).message}.`;
    throw new HoldfastError("invalid-configuration", text, { cause });
  }
}

async function act(text: string, name: string, options: VerbOptions, asks?: string, body: object = {}): Promise<void> {
  parseEntity(text);
  const guard = options.ifParkedAt;
  if (guard !== undefined && !/^\d{1,15}$/.test(guard))
    throw new UsageError(`--if-parked-at is an offset, not "${guard}".`);
  if (asks !== undefined) await confirm(`${text}: ${asks}`, options.yes);
  const sent = { ...body, ...(guard === undefined ? {} : { ifParkedAt: Number(guard) }) };
  const value = (await operate(text, name, options, sent)) as { parked: boolean; version: number; left: number[] };
  if (options.json === true) return printJson(value);
  print(`${name}: done; ${text} is ${value.parked ? "parked still" : "in service"}, version ${value.version}.`);
  if (value.left.length > 0) print(`left out: the events of offsets ${value.left.join(", ")}`);
}

async function operate(text: string, name: string, options: DoorOptions, body: object = {}): Promise<unknown> {
  const { type, key } = parseEntity(text);
  const answer = await askDoor(options, { method: "POST", path: ["quarantine", type, key, name], body });
  return (answer as { value: unknown }).value;
}

function readState(text: string): unknown {
  if (!text.startsWith("@")) return parseJson("--state", text);
  let content: string;
  try {
    content = readFileSync(text.slice(1), "utf8");
  } catch (error) {
    throw new UsageError(`--state: ${(error as Error).message}.`);
  }
  return parseJson("--state", content);
}
