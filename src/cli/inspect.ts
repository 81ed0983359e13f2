/**
 * `holdfast inspect table/42`: an entity as it is or was, and what changed between two moments. `inspect --shard 3`: all
 * entities of a shard.
 */
import type { Command } from "commander";
import { hashState } from "../history/hash.ts";
import { diffBetween, type EntityPast, shardAt, stateAt } from "../history/history.ts";
import type { Definitions, HistorySource, Moment } from "../history/source.ts";
import { formatRef } from "../model/ids.ts";
import { headline, print, printJson, printPatch, printState, shown, time } from "./print.ts";
import {
  type LogOptions,
  loadService,
  openSource,
  parseEntity,
  parseMoment,
  type ServiceOptions,
  UsageError,
  withLog,
  withProgress,
  withService,
} from "./settings.ts";

interface InspectOptions extends LogOptions, ServiceOptions {
  readonly at?: string;
  readonly diff?: string;
  readonly shard?: string;
}

export function addInspect(program: Command): void {
  const command = program
    .command("inspect [entity]")
    .description("shows the state of an entity (type/key), now or at a moment of its past")
    .option("--at <moment>", "offset of the shard, or a time: 2026-11-23T16:00:00Z")
    .option("--diff <moment>", "shows what changed since this moment, as JSON Patch")
    .option("--shard <number>", "shows every entity of the shard instead");
  withService(withLog(command)).action(inspect);
}

async function inspect(text: string | undefined, options: InspectOptions): Promise<void> {
  const at = options.at === undefined ? undefined : parseMoment("--at", options.at);
  if (options.shard !== undefined) {
    if (text !== undefined || options.diff !== undefined) throw new UsageError("--shard stands alone, or with --at.");
    return inspectShard(options.shard, at, options);
  }
  if (text === undefined) throw new UsageError("name an entity (table/42), or a shard with --shard.");
  const entity = parseEntity(text);
  const since = options.diff === undefined ? undefined : parseMoment("--diff", options.diff);
  const definitions = await loadService(options);
  const source = await openSource(options);
  if (since !== undefined) {
    const { before, after, patch } = await withProgress("Reading", (bar) =>
      diffBetween(source, definitions, entity, [since, at], bar),
    );
    if (options.json === true) return printJson({ before: summary(before), after: summary(after), patch });
    print(`from ${headline(before)}`);
    print(`to   ${headline(after)}`);
    return printPatch(patch);
  }
  const past = await withProgress("Reading", (bar) => stateAt(source, definitions, entity, at, bar));
  if (!past.exists) process.exitCode = 1;
  if (options.json === true) return printJson({ ...summary(past), ...past.image });
  if (!past.exists) return print(`${headline(past)}\ndoes not exist${at === undefined ? "" : " at that moment"}`);
  print(headline(past));
  printState(past.image);
}

function summary({ shard, offset, timeMs, exists, image }: EntityPast) {
  return { entity: formatRef(image.entity), exists, shard, offset, timeMs, version: image.version };
}

async function inspectShard(text: string, at: Moment | undefined, options: InspectOptions): Promise<void> {
  const definitions = await loadService(options);
  const source = await openSource(options);
  const shard = parseShard(text, source);
  const past = await readShard(source, definitions, shard, at);
  const names = [...past.entities.keys()].sort();
  if (options.json === true) {
    const entities = names.map((name) => past.entities.get(name));
    return printJson({ shard, offset: past.offset, timeMs: past.timeMs, entities });
  }
  const when = past.offset === 0 ? "empty" : `offset ${past.offset}, ${time(past.timeMs)}`;
  print(`shard ${shard}  ${when}  ${names.length} entities`);
  for (const name of names) {
    const image = past.entities.get(name);
    print(`${name}  version ${image?.version}  ${hashState(image?.state).slice(0, 12)}  ${shown(image?.state)}`);
  }
}

function readShard(source: HistorySource, definitions: Definitions, shard: number, at: Moment | undefined) {
  return withProgress("Reading", (bar) => shardAt(source, definitions, shard, at, bar));
}

function parseShard(text: string, source: HistorySource): number {
  const shard = Number(text);
  if (/^\d+$/.test(text) && shard < source.shardCount) return shard;
  throw new UsageError(`--shard is a number from 0 to ${source.shardCount - 1}, not "${text}".`);
}
