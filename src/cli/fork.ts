/** `holdfast fork table/42 --command deal`: what a command would have done, on a copy that only this process knows. */
import type { Command } from "commander";
import { type Fork, type ForkCommand, forkEntity } from "../history/fork.ts";
import { stateAt } from "../history/history.ts";
import { definitionOf } from "../history/replay.ts";
import type { Principal } from "../model/records.ts";
import { makeChance } from "../runtime/chance.ts";
import { Prng } from "../std/prng.ts";
import { effectLines, headline, print, printJson, printPatch, printState, shown } from "./print.ts";
import {
  type LogOptions,
  loadService,
  openSource,
  parseEntity,
  parseJson,
  parseMoment,
  type ServiceOptions,
  UsageError,
  withLog,
  withProgress,
  withService,
} from "./settings.ts";

interface ForkOptions extends LogOptions, ServiceOptions {
  readonly command: string;
  readonly input?: string;
  readonly at?: string;
  readonly as?: string;
  readonly now?: string;
  readonly seed: string;
}

export function addFork(program: Command): void {
  const command = program
    .command("fork <entity>")
    .description("runs a command on a copy of an entity and shows what comes of it; the log stays as it is")
    .requiredOption("--command <name>", "command to run")
    .option("--input <json>", "its input")
    .option("--at <moment>", "the copy is of this moment: an offset or a time")
    .option("--as <principal>", "who asks, as kind:id (user:ann); without it the access rule is not consulted")
    .option("--now <time>", "time of the command; default: the recorded time of the moment")
    .option("--seed <number>", "of the decide's random", "1");
  withService(withLog(command)).action(fork);
}

async function fork(text: string, options: ForkOptions): Promise<void> {
  const entity = parseEntity(text);
  const at = options.at === undefined ? undefined : parseMoment("--at", options.at);
  const facts = readFacts(options);
  const definitions = await loadService(options);
  const definition = definitionOf(definitions, entity.type);
  const source = await openSource(options);
  const past = await withProgress("Reading", (bar) => stateAt(source, definitions, entity, at, bar));
  const forked = forkEntity(past, definition, facts);
  if (options.json === true) return printJson(asJson(forked));
  print(`a copy of ${headline(past)}`);
  printFork(forked, options.command);
}

function readFacts({ command, input, as, now, seed }: ForkOptions): ForkCommand {
  if (!/^\d{1,15}$/.test(seed)) throw new UsageError(`--seed is a number, not "${seed}".`);
  const prng = new Prng(Number(seed));
  const time = now === undefined ? undefined : parseMoment("--now", now);
  if (time !== undefined && !("timeMs" in time)) throw new UsageError("--now is a time, as in 2026-11-23T16:00:00Z.");
  return {
    command,
    input: input === undefined ? undefined : parseJson("--input", input),
    chance: makeChance({ bytes: (count) => prng.bytes(count) }),
    ...(time === undefined ? {} : { nowMs: time.timeMs }),
    ...(as === undefined ? {} : { principal: parsePrincipal(as) }),
  };
}

const principalPattern = /^(user|service|operator|entity|system|anonymous):(.*)$/;

function parsePrincipal(text: string): Principal {
  const [, kind, id] = principalPattern.exec(text) ?? [];
  if (kind === undefined) throw new UsageError(`--as is kind:id, as in user:ann or operator:eve, not "${text}".`);
  return { kind: kind as Principal["kind"], id: id ?? "" };
}

export function asJson({ reply, record, before, after, patch, faults }: Fork): object {
  const { events = [], sends = [], timers = [], calls = [] } = record ?? {};
  return { reply, events, sends, timers, calls, before: before.state, after: after.state, patch, faults };
}

export function printFork({ reply, record, after, patch, faults }: Fork, command: string): void {
  if (reply.ok) print(`${command} would reply ${shown(reply.value)}`);
  else print(`${command} would be refused: ${reply.code} ${shown(reply.reason ?? reply.detail)}`);
  for (const fault of faults) print(`threw: ${shown(fault)}`);
  if (record === undefined) return print("nothing would be recorded");
  for (const line of effectLines(record)) print(`    ${line}`);
  printPatch(patch);
  print("state after:");
  printState(after);
}
