/**
 * Turns what an author wrote of a projection into what runs, and refuses what cannot work.
 *
 * Invariant: after this every function is there and synchronous, and every type and event that it is to take exists.
 */
import type { AnyEntity, EntityDefinition } from "./entity.ts";
import { HoldfastError } from "./errors.ts";
import { markEvents } from "./feeds.ts";
import { isMemberName, isTypeName } from "./ids.ts";
import type { Fold, ProjectionDefinition, ProjectionOptions } from "./projection.ts";

type Options = ProjectionOptions<readonly AnyEntity[], unknown>;
type Folds = ReadonlyMap<string, Fold<unknown, unknown>>;

/** @throws `invalid-definition` with the name of the part, the problem and the remedy */
export function checkProjection(name: string, options: Options): ProjectionDefinition {
  const where = `projection ${name}`;
  if (!isTypeName(name)) {
    const remedy = "use lower case letters, digits and dashes, starting with a letter, at most 64";
    refuse(`projection ${String(name)}`, "has a name that is none", remedy);
  }
  const from = readFrom(where, options.from);
  checkFunction(where, "document", options.document);
  if (options.key !== undefined) checkFunction(where, "key", options.key);
  if (options.access !== undefined) checkFunction(where, "access", options.access);
  return Object.freeze({
    name,
    version: readVersion(where, options.version),
    personal: [...from.values()].some(({ personal }) => personal),
    from,
    document: options.document,
    key: (options.key as ProjectionDefinition["key"] | undefined) ?? (({ key }) => key),
    on: readOn(where, options.on, from),
    orderBy: readOrders(where, options.orderBy ?? {}),
    access: options.access ?? (() => false),
  });
}

function readVersion(where: string, version: number | undefined): number {
  if (version === undefined) return 1;
  if (!Number.isSafeInteger(version) || version < 1)
    refuse(where, `has version ${version}`, "use a whole number from 1");
  return version;
}

function readFrom(where: string, from: readonly AnyEntity[]): Map<string, EntityDefinition> {
  if (!Array.isArray(from) || from.length === 0)
    refuse(where, "is of no entity type", "give the definitions: from: [table]");
  const definitions = new Map<string, EntityDefinition>();
  for (const definition of from as readonly AnyEntity[]) {
    if (typeof definition?.name !== "string" || !(definition.events instanceof Map))
      refuse(where, "is given something in `from` that is no definition", "give what `defineEntity` returned");
    if (definitions.has(definition.name))
      refuse(where, `is given two definitions of "${definition.name}"`, "give each entity type once");
    definitions.set(definition.name, definition);
  }
  return definitions;
}

function readOn(where: string, on: unknown, from: ReadonlyMap<string, EntityDefinition>): ReadonlyMap<string, Folds> {
  const types = new Map<string, Folds>();
  for (const [type, given] of members(where, "on", on)) {
    const definition = from.get(type);
    if (definition === undefined)
      refuse(where, `takes changes of "${type}", which is not in its \`from\``, "add the definition there");
    const folds = new Map<string, Fold<unknown, unknown>>();
    for (const [event, fold] of members(where, `on.${type}`, given)) {
      if (!definition.events.has(event) && !(markEvents as readonly string[]).includes(event)) {
        const known = [...definition.events.keys(), ...markEvents].join(", ");
        refuse(where, `takes the event "${event}" of "${type}", which it does not have`, `take some of: ${known}`);
      }
      checkFunction(where, `on.${type}.${event}`, fold);
      folds.set(event, fold as Fold<unknown, unknown>);
    }
    if (folds.size > 0) types.set(type, folds);
  }
  if (types.size === 0) refuse(where, "takes no event", "write on: { type: { event: (document, payload) => ... } }");
  return types;
}

function readOrders(where: string, given: unknown): ProjectionDefinition["orderBy"] {
  const orders = new Map<string, (document: unknown) => number>();
  for (const [order, value] of members(where, "orderBy", given)) {
    if (!isMemberName(order))
      refuse(
        where,
        `has an order "${String(order)}"`,
        "use letters, digits, _ and -, starting with a letter, at most 64",
      );
    checkFunction(where, `orderBy.${order}`, value);
    orders.set(order, value as (document: unknown) => number);
  }
  return orders;
}

function members(where: string, part: string, given: unknown): [string, unknown][] {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    refuse(where, `has no \`${part}\``, "give an object of names and functions");
  return Object.entries(given);
}

const notSync: ReadonlySet<string> = new Set(["AsyncFunction", "GeneratorFunction", "AsyncGeneratorFunction"]);

function checkFunction(where: string, part: string, value: unknown): void {
  if (typeof value !== "function") refuse(where, `has a ${part} that is no function`, "give a function");
  const kind = (value as { constructor: { name: string } }).constructor.name;
  if (notSync.has(kind))
    refuse(
      where,
      `has a ${part} that is an ${kind}`,
      "make it synchronous: it runs again on every build, and may wait for nothing",
    );
}

function refuse(where: string, problem: string, remedy: string): never {
  throw new HoldfastError("invalid-definition", `${where[0]?.toUpperCase()}${where.slice(1)} ${problem}; ${remedy}.`);
}
