/**
 * The layer law: who may import whom.
 *
 * A file of `src` imports from its own folder and from folders of a lower level, whether values or types: a type that is
 * needed is a dependency too. Tests and what they share may import anything; product code imports no test code. Within
 * `adapters` each engine stands alone, beside `system`, which is the platform. Examples see only what users see; their
 * tests may see more.
 */
import { builtinModules } from "node:module";
import { resolveImport, type Syntax } from "./syntax.ts";
import { isTestCode } from "./tree.ts";

export const levels: Readonly<Record<string, number>> = {
  std: 0,
  model: 1,
  core: 2,
  ports: 2,
  wire: 2,
  adapters: 3,
  runtime: 3,
  history: 3,
  client: 3,
  gateway: 4,
  // feeds stand on the runtime; the door shows them
  propagation: 3.5,
  // beside the door, made of its parts
  admin: 4.5,
  presets: 5,
  // the package's entry gathers everything an application imports
  "index.ts": 5.5,
  testing: 6,
  sim: 6,
  cli: 7,
};

/** Packages that a folder's product code may import; `type` allows its types only. Adapters may name any engine. */
const packages: Readonly<Record<string, Readonly<Record<string, "value" | "type">>>> = {
  model: { "@standard-schema/spec": "type" },
  core: { "@standard-schema/spec": "type" },
  wire: { msgpackr: "value" },
  gateway: { "@standard-schema/spec": "type", jose: "value", ws: "value" },
  sim: { "@standard-schema/spec": "type" },
  admin: { "prom-client": "value" },
  cli: { commander: "value" },
};

/** Parts of contract suites: published, so product code, but made of tests. */
const suites = /^src\/ports\/[a-z-]+\.contract(\.[a-z-]+)?\.ts$/;

const builtins: ReadonlySet<string> = new Set(builtinModules);

export function folderOf(path: string): string {
  return path.split("/")[1] ?? "";
}

export function layerViolations(syntax: Syntax): string[] {
  const { path } = syntax.file;
  if (isTestCode(path)) return [];
  if (path.startsWith("examples/")) return publicViolations(syntax);
  if (!path.startsWith("src/")) return [];
  const from = folderOf(path);
  if (levels[from] === undefined) return [`${path}: the folder "${from}" has no level in test/tidy/layers.ts`];
  const violations: string[] = [];
  for (const { specifier, line, typeOnly } of syntax.imports) {
    const target = resolveImport(path, specifier);
    const problem =
      target === undefined ? packageProblem(path, specifier, typeOnly) : folderProblem(path, from, target);
    if (problem !== undefined) violations.push(`${path}:${line} imports ${specifier}: ${problem}`);
  }
  return violations;
}

function folderProblem(path: string, from: string, target: string): string | undefined {
  if (!target.startsWith("src/")) return "src stands alone";
  if (isTestCode(target)) return "product code imports no test code";
  const to = folderOf(target);
  if (from === to) return from === "adapters" ? engineProblem(path, target) : undefined;
  const [mine, its] = [levels[from], levels[to]];
  if (mine === undefined || its === undefined) return `"${to}" has no level`;
  return its < mine ? undefined : `${to} (level ${its}) is not below ${from} (level ${mine})`;
}

function engineProblem(path: string, target: string): string | undefined {
  const [mine, its] = [path.split("/")[2], target.split("/")[2]];
  return mine === its || its === "system" ? undefined : `the adapter ${mine} must not rest on the adapter ${its}`;
}

function packageProblem(path: string, specifier: string, typeOnly: boolean): string | undefined {
  const from = folderOf(path);
  if (from === "adapters") return undefined;
  const name = packageNameOf(specifier);
  if (isBuiltin(specifier)) {
    const tests = name === "node:test" || name === "node:assert";
    return tests && !suites.test(path) && from !== "testing" ? "only contract suites are made of tests" : undefined;
  }
  if (suites.test(path) && name === "fast-check") return undefined;
  const allowed = packages[from]?.[name];
  if (allowed === undefined) return `${from} may not name the package ${name}`;
  return allowed === "type" && !typeOnly ? `${from} may import only types of ${name}` : undefined;
}

/** Examples import the package by its public names, as its users do. */
function publicViolations(syntax: Syntax): string[] {
  const { path } = syntax.file;
  return syntax.imports
    .filter(({ specifier }) => resolveImport(path, specifier)?.startsWith("examples/") === false)
    .map(({ specifier, line }) => `${path}:${line} imports ${specifier}: examples import "holdfast" as users do`);
}

export function isBuiltin(specifier: string): boolean {
  return specifier.startsWith("node:") || builtins.has(specifier);
}

/** `@scope/name` or `name`, without the path inside the package. */
export function packageNameOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
