/**
 * What the verbs are told on the command line, checked: the log's place, the service's code, entities, moments.
 *
 * Invariant: a value that cannot be right is refused before anything is read, with the form it should have.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { systemClock } from "../adapters/system/clock.ts";
import { indexDefinitions } from "../history/replay.ts";
import type { Definitions, HistorySource, Moment } from "../history/source.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { catalogue, HoldfastError } from "../model/errors.ts";
import { type EntityRef, isKey, isTypeName } from "../model/ids.ts";
import { ProgressBar } from "../presets/progress-bar.ts";
import { openPast } from "../presets/snapshot-source.ts";

/** It was called wrongly; exit code 2. */
export class UsageError extends Error {}

/** An error of the catalogue as people read it: what happened and what to do stand in its message. */
export function explain(error: HoldfastError): string {
  return `error ${error.code}: ${catalogue[error.code].title}.\n${error.message}`;
}

export interface LogOptions {
  readonly data: string;
  readonly json?: boolean;
}

export function withLog(command: Command): Command {
  return command
    .option("--data <directory>", "data directory of the service", ".data")
    .option("--json", "prints JSON for programs");
}

export interface ServiceOptions {
  readonly service?: string;
}

export function withService(command: Command): Command {
  return command.option("--service <module>", "module that exports the entities of the service");
}

export async function openSource({ data }: LogOptions): Promise<HistorySource & { readonly bytes: number }> {
  return openPast(data);
}

/** The entities of a module: its export `entities`, or every export that is one. */
export async function loadService({ service }: ServiceOptions): Promise<Definitions> {
  if (service === undefined) {
    throw new UsageError(
      "this evolves states and needs the code for it: --service <module>, a module that exports the service's entities. " +
        "`holdfast events` prints records without it.",
    );
  }
  return indexDefinitions((await loadModule("--service", service)).entities);
}

/** A module with the entities that it exports, of which there is one at least. */
export async function loadModule(
  option: string,
  file: string,
): Promise<{ readonly module: Readonly<Record<string, unknown>>; readonly entities: readonly EntityDefinition[] }> {
  const path = resolve(file);
  if (!existsSync(path)) throw new UsageError(`${option}: there is no file ${file}.`);
  const module = await importModule(path, file);
  const named = module["entities"];
  const candidates = Array.isArray(named) ? named : Object.values(module);
  const entities = candidates.filter(isDefinition);
  if (entities.length > 0) return { module, entities };
  throw new UsageError(
    `${option}: ${file} exports no entity. Export what \`defineEntity\` returned, or an array of them named \`entities\`.`,
  );
}

async function importModule(path: string, service: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError("invalid-definition", `${service} cannot be loaded: ${why}`, { cause });
  }
}

/** By its looks: the module may use another copy of this package. */
function isDefinition(value: unknown): value is EntityDefinition {
  if (typeof value !== "object" || value === null) return false;
  const { name, state, events, commands } = value as Partial<EntityDefinition>;
  return typeof name === "string" && typeof state === "function" && events instanceof Map && commands instanceof Map;
}

export function parseEntity(text: string): EntityRef {
  const [type, key, ...more] = text.split("/");
  if (more.length === 0 && isTypeName(type) && isKey(key)) return { type, key };
  throw new UsageError(`"${text}" is not an entity; write type/key, as in table/42.`);
}

/** An offset, or a time in the form of ISO 8601. */
export function parseMoment(option: string, text: string): Moment {
  if (/^\d+$/.test(text)) {
    const offset = Number(text);
    if (Number.isSafeInteger(offset)) return { offset };
  } else if (/^\d{4}-\d\d-\d\d(T|$)/.test(text)) {
    const timeMs = Date.parse(text);
    if (!Number.isNaN(timeMs)) return { timeMs };
  }
  throw new UsageError(`${option} is an offset (17) or a time (2026-11-23T16:00:00Z), not "${text}".`);
}

export function parseJson(option: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${option} is not JSON: ${(error as Error).message}.`);
  }
}

/** Runs work that reads much, with a bar that is gone before anything is printed. */
export async function withProgress<T>(what: string, work: (bar: ProgressBar) => Promise<T>, unit?: string): Promise<T> {
  const bar = new ProgressBar(what, process.stderr, systemClock, unit);
  try {
    return await work(bar);
  } finally {
    bar.clear();
  }
}
