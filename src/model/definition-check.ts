/**
 * Turns what an author wrote into what the core runs, and refuses what cannot work.
 *
 * Invariant: after this, every name is a legal name, every function is synchronous, every event a command can be seen to
 * emit exists, every upcast chain is complete, and lookups go through maps that have no prototype to fall into.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type {
  AnyCommand,
  CallHandler,
  CommandDefinition,
  Durability,
  EntityDefinition,
  EntityOptions,
  EventDefinition,
  PublishedSchemas,
  VersionedEvent,
  ViewDefinition,
} from "./entity.ts";
import { HoldfastError } from "./errors.ts";
import { isMemberName, isOwnType, isTypeName } from "./ids.ts";
import { relaxedWindowMs } from "./limits.ts";

type Options = EntityOptions<unknown, object, Record<string, AnyCommand>, object, object, object>;
type Command = CommandDefinition<unknown, unknown, Record<string, unknown>, unknown>;

/** @throws `invalid-definition` with the name of the part, the problem and the remedy */
export function checkDefinition(name: string, options: Options): EntityDefinition {
  if (!isTypeName(name)) {
    refuse(
      String(name),
      "is not an entity type name",
      "use lower case letters, digits and dashes, starting with a letter, at most 64",
    );
  }
  if (typeof options.state !== "function")
    refuse(name, "has no `state`", "give a function that returns the initial state");
  checkSync(name, "state", options.state);
  const events = readEvents(name, options.events);
  const calls = readCalls(name, options.calls ?? {});
  const commands = readCommands(name, options, events);
  const views = readViews(name, options.views ?? {});
  checkCallsUsed(name, commands, calls);
  return Object.freeze({
    name,
    version: readVersion(name, options.version),
    personal: readPersonal(name, options.personal),
    state: options.state,
    migrate: readMigrate(name, options),
    events,
    commands,
    queries: readQueries(name, options.queries ?? {}),
    views,
    calls,
    access: readAccess(name, "access", options.access),
    feed: readAccess(name, "feed", options.feed),
    published: readPublished(name, options.published ?? {}, events, views),
  });
}

/** @throws `invalid-definition` */
export function checkNotOwn(name: unknown): void {
  if (typeof name === "string" && isOwnType(name))
    refuse(name, "begins with `holdfast-`, as what Holdfast keeps for itself does", "give it another name");
}

function readVersion(name: string, version: number | undefined): number {
  if (version === undefined) return 1;
  if (!Number.isSafeInteger(version) || version < 1)
    refuse(name, `has version ${version}`, "use a whole number from 1");
  return version;
}

function readPersonal(name: string, personal: unknown): boolean {
  if (personal !== undefined && typeof personal !== "boolean")
    refuse(name, "has a `personal` that is neither true nor false", "write `personal: true` if it holds personal data");
  return personal === true;
}

function readMigrate(name: string, { migrate, version }: Options): EntityDefinition["migrate"] {
  if (migrate === undefined) return undefined;
  checkSync(name, "migrate", migrate);
  if ((version ?? 1) < 2) refuse(name, "has a migrate but no older version", "raise `version` when the state changes");
  return migrate;
}

function readAccess<Ask extends readonly unknown[]>(
  name: string,
  what: string,
  allows: ((...ask: Ask) => boolean) | undefined,
): (...ask: Ask) => boolean {
  if (allows === undefined) return () => false;
  checkSync(name, what, allows);
  return allows;
}

function readPublished(
  name: string,
  { events = {}, state, views = {} }: NonNullable<Options["published"]>,
  known: ReadonlyMap<string, unknown>,
  knownViews: ReadonlyMap<string, unknown>,
): PublishedSchemas {
  const read = (what: string, given: object, names: ReadonlyMap<string, unknown>) => {
    const schemas = new Map<string, StandardSchemaV1>();
    for (const [member, schema] of Object.entries(given) as [string, StandardSchemaV1 | undefined][]) {
      if (!names.has(member))
        refuse(name, `publishes the schema of the ${what} "${member}", which it has not`, "correct the name");
      if (schema !== undefined) schemas.set(member, schema);
    }
    return schemas;
  };
  return { events: read("event", events, known), state, views: read("view", views, knownViews) };
}

function readEvents(name: string, given: object): Map<string, EventDefinition> {
  const events = new Map<string, EventDefinition>();
  for (const [event, value] of members(name, "event", given)) {
    const where = `${name}: event "${event}"`;
    if (typeof value === "function") {
      checkSync(where, "evolve", value);
      events.set(event, { version: 1, upcast: {}, evolve: value as EventDefinition["evolve"] });
    } else {
      events.set(event, readVersioned(where, value as VersionedEvent<unknown, never>));
    }
  }
  return events;
}

function readVersioned(where: string, value: VersionedEvent<unknown, never>): EventDefinition {
  checkSync(where, "evolve", value?.evolve);
  if (!Number.isSafeInteger(value.version) || value.version < 1)
    refuse(where, "has no whole `version` from 1", "count its shapes from 1");
  for (let version = 1; version < value.version; version++) {
    const upcast = value.upcast?.[version];
    if (upcast === undefined) {
      refuse(
        where,
        `is at version ${value.version} but has no upcast from ${version}`,
        `add upcast: { ${version}: (old) => ... }`,
      );
    }
    checkSync(where, `upcast ${version}`, upcast);
  }
  return value as unknown as EventDefinition;
}

function readCommands(
  name: string,
  { commands: build, durability: ofType }: Options,
  events: ReadonlyMap<string, unknown>,
): Map<string, Command> {
  if (typeof build !== "function") refuse(name, "has no `commands` function", "write commands: (command) => ({ ... })");
  const byDefault = readDurability(name, ofType, "durable");
  // a schema may be a function too, so it is the second that tells
  const command = (first: unknown, second?: unknown, third?: object) =>
    typeof second === "function"
      ? { ...third, input: first, decide: second }
      : { ...(second as object | undefined), input: undefined, decide: first };
  const commands = new Map<string, Command>();
  for (const [member, value] of members(name, "command", build(command as never))) {
    const where = `${name}: command "${member}"`;
    const { input, decide, durability } = (value ?? {}) as unknown as Command;
    checkSync(where, "decide", decide);
    if (input !== undefined) checkSchema(where, input);
    checkNamesUsed(where, decide, events);
    commands.set(member, { input, decide, durability: readDurability(where, durability, byDefault) });
  }
  checkCommandsUsed(name, commands);
  return commands;
}

function readDurability(where: string, given: Durability | undefined, byDefault: Durability): Durability {
  if (given === undefined) return byDefault;
  if (given === "durable") return given;
  const windowMs: unknown = (given as { relaxed?: { windowMs?: unknown } } | null)?.relaxed?.windowMs;
  const { least, most } = relaxedWindowMs;
  if (typeof windowMs !== "number" || !Number.isSafeInteger(windowMs) || windowMs < least || windowMs > most) {
    refuse(
      where,
      "has a durability that is none",
      `write "durable", or { relaxed: { windowMs } } with a whole number of ${least} to ${most} ms`,
    );
  }
  return { relaxed: { windowMs } };
}

function readQueries(name: string, given: object): EntityDefinition["queries"] {
  const queries = new Map<
    string,
    { input?: StandardSchemaV1; read: (state: unknown, input: unknown, context: never) => unknown }
  >();
  for (const [query, value] of members(name, "query", given)) {
    const where = `${name}: query "${query}"`;
    if (typeof value === "function") {
      checkSync(where, "query", value);
      queries.set(query, { read: (state, _input, context) => value(state, context) });
    } else {
      const { input, read } = (value ?? {}) as { input: StandardSchemaV1; read: (...parameters: unknown[]) => unknown };
      checkSync(where, "read", read);
      checkSchema(where, input);
      queries.set(query, { input, read });
    }
  }
  return queries as EntityDefinition["queries"];
}

function readViews(name: string, given: object): Map<string, ViewDefinition> {
  const views = new Map<string, ViewDefinition>();
  for (const [view, value] of members(name, "view", given)) {
    checkSync(`${name}: view "${view}"`, "view", value);
    const read = value as ViewDefinition["read"];
    views.set(view, { read, shared: read.length < 2 });
  }
  return views;
}

/** Handlers are the one part that may be asynchronous: they run outside the core. */
function readCalls(name: string, given: object): Map<string, CallHandler> {
  const calls = new Map<string, CallHandler>();
  for (const [call, value] of members(name, "call", given)) {
    const where = `${name}: call "${call}"`;
    if (typeof value !== "function") {
      refuse(where, "is not a function", "give an async function of the input and `{ key, attempt, signal }`");
    }
    if (/Generator/.test((value as { constructor: { name: string } }).constructor.name)) {
      refuse(where, "is a generator, which nobody would run", "give an async function that returns its result");
    }
    calls.set(call, value as CallHandler);
  }
  return calls;
}

/** The named parts of one section, each with a legal name; names must differ in more than case. */
function members(name: string, what: string, given: unknown): [string, (...parameters: unknown[]) => unknown][] {
  if (typeof given !== "object" || given === null)
    refuse(name, `has no ${what} list`, `give an object of name: ${what}`);
  const seen = new Map<string, string>();
  const list = Object.entries(given) as [string, (...parameters: unknown[]) => unknown][];
  for (const [member] of list) {
    const where = `${name}: ${what} "${member}"`;
    if (!isMemberName(member)) {
      refuse(
        where,
        "is reserved or not a legal name",
        "use letters, digits, _ and -, starting with a letter, at most 64",
      );
    }
    const twin = seen.get(member.toLowerCase());
    if (twin !== undefined) refuse(where, `clashes with "${twin}", which differs only in case`, "rename one of them");
    seen.set(member.toLowerCase(), member);
  }
  return list;
}

const notSync: ReadonlySet<string> = new Set(["AsyncFunction", "GeneratorFunction", "AsyncGeneratorFunction"]);

function checkSync(where: string, part: string, value: unknown): void {
  if (typeof value !== "function") refuse(where, `has a ${part} that is not a function`, "give a function");
  const kind = (value as { constructor: { name: string } }).constructor.name;
  if (notSync.has(kind)) {
    refuse(
      where,
      `has a ${part} that is an ${kind}`,
      "make it synchronous: a command is one indivisible step; do slow or outside work in a handler of `calls`, asked for with `ctx.call`",
    );
  }
}

function checkSchema(where: string, schema: StandardSchemaV1): void {
  if (typeof schema?.["~standard"]?.validate !== "function") {
    refuse(
      where,
      "has an input that is no Standard Schema",
      "give a schema of zod, valibot, arktype or another that implements it",
    );
  }
}

/** Looks for `.emit("name"` in the source: a misspelt event is found now and not on the first unlucky command. */
function checkNamesUsed(where: string, decide: unknown, events: ReadonlyMap<string, unknown>): void {
  for (const [, event] of String(decide).matchAll(/\.emit\(\s*["'`]([^"'`$]+)["'`]/g)) {
    if (event !== undefined && !events.has(event)) {
      refuse(
        where,
        `emits "${event}", which is not one of its events`,
        `add it under events, or emit one of: ${[...events.keys()].join(", ")}`,
      );
    }
  }
}

/** The same for the commands that timers and replies name. */
function checkCommandsUsed(name: string, commands: ReadonlyMap<string, Command>): void {
  for (const [member, { decide }] of commands) {
    const source = String(decide);
    const scheduled = source.matchAll(/\.schedule\(\s*["'`][^"'`]*["'`]\s*,\s*\{[^}]*\}\s*,\s*["'`]([^"'`$]+)["'`]/g);
    const replies = source.matchAll(/\.send\([^;]*?\breply:\s*["'`]([^"'`$]+)["'`]/g);
    for (const [, used] of [...scheduled, ...replies]) {
      if (used !== undefined && !commands.has(used)) {
        refuse(
          `${name}: command "${member}"`,
          `names the command "${used}", which does not exist`,
          `add it, or use one of: ${[...commands.keys()].join(", ")}`,
        );
      }
    }
  }
}

/** And for the handlers that commands call, and the commands that get their results. */
function checkCallsUsed(
  name: string,
  commands: ReadonlyMap<string, Command>,
  calls: ReadonlyMap<string, unknown>,
): void {
  for (const [member, { decide }] of commands) {
    const where = `${name}: command "${member}"`;
    const source = String(decide);
    for (const [, used] of source.matchAll(/\b(?:ctx|context)\.call\(\s*["'`]([^"'`$]+)["'`]/g)) {
      if (used !== undefined && !calls.has(used)) {
        const known = calls.size === 0 ? "" : `, or call one of: ${[...calls.keys()].join(", ")}`;
        refuse(where, `calls "${used}", which is not one of its calls`, `add it under calls${known}`);
      }
    }
    for (const [, used] of source.matchAll(/\b(?:ctx|context)\.call\([^;]*?\bresult:\s*["'`]([^"'`$]+)["'`]/g)) {
      if (used !== undefined && !commands.has(used)) {
        refuse(
          where,
          `gives a call's result to the command "${used}", which does not exist`,
          `add it, or use one of: ${[...commands.keys()].join(", ")}`,
        );
      }
    }
  }
}

function refuse(where: string, problem: string, remedy: string): never {
  throw new HoldfastError("invalid-definition", `${where} ${problem}; ${remedy}.`);
}
