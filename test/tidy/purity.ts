/**
 * The purity laws: what core code may not touch, and who alone may read a clock, throw dice or set a timer.
 */
import { isBuiltin } from "./layers.ts";
import { isReference, memberPath, type Syntax, type SyntaxNode, type Visited } from "./syntax.ts";

/** Code that must be a function of its inputs. */
export const pureFolders = /^src\/(std|model|core)\//;

/** The files that are the platform's time and chance; everybody else is handed them. */
export const platformFiles = /^src\/(adapters\/system\/|client\/platform\.ts$)/;

const timeMembers = /^(globalThis\.)?(Date\.now|performance\.(now|timeOrigin)|process\.hrtime(\.bigint)?)$/;
const chanceMembers =
  /^(globalThis\.)?(Math\.random|crypto\.(randomUUID|getRandomValues|randomBytes|randomInt|randomFillSync))$/;
const timers = /^(setTimeout|setInterval|setImmediate|requestAnimationFrame|requestIdleCallback)$/;
const timeModules = /^(node:)?(timers|timers\/promises|perf_hooks)$/;
const chanceNames = /^(random\w*|webcrypto|getRandomValues|generate\w*)$/;

/** Uses of time and chance, told with the line. */
export function timeAndChance(syntax: Syntax): string[] {
  const found = syntax.nodes.flatMap((visited) => timeOrChance(visited) ?? []);
  for (const { specifier, line, names } of syntax.imports) {
    if (timeModules.test(specifier)) found.push(told(syntax, line, `imports ${specifier}`));
    if (/^(node:)?crypto$/.test(specifier) && names.some((name) => chanceNames.test(name)))
      found.push(told(syntax, line, "takes randomness from node:crypto"));
  }
  return found;

  function timeOrChance({ node, parent, field }: Visited): string | undefined {
    const at = () => syntax.lineOf(node.start);
    const member = memberPath(node);
    if (member !== undefined && (timeMembers.test(member) || chanceMembers.test(member)))
      return told(syntax, at(), `uses ${member}`);
    if (isReference({ node, parent, field }) && timers.test(String(node["name"])))
      return told(syntax, at(), `uses ${String(node["name"])}`);
    return readsClock(node) ? told(syntax, at(), "makes a Date of now") : undefined;
  }
}

/** `new Date()` and `Date()` read the clock; `new Date(ms)` does not. */
function readsClock(node: SyntaxNode): boolean {
  const callee = node["callee"] as SyntaxNode | undefined;
  if (callee?.type !== "Identifier" || callee["name"] !== "Date") return false;
  return node.type === "CallExpression" || (node["arguments"] as readonly unknown[]).length === 0;
}

const impureGlobals = /^(Date|Promise|process|Buffer|console|globalThis|fetch|performance|crypto|queueMicrotask)$/;
const promiseVerbs = /^(then|catch|finally)$/;

/** What pure code may not do: wait, do I/O, know the platform. */
export function impurities(syntax: Syntax): string[] {
  const found: string[] = [];
  for (const visited of syntax.nodes) {
    const problem = impurity(visited);
    if (problem !== undefined) found.push(told(syntax, syntax.lineOf(visited.node.start), problem));
  }
  for (const { specifier, line } of syntax.imports) {
    if (isBuiltin(specifier)) found.push(told(syntax, line, `imports ${specifier}`));
  }
  return found;
}

function impurity(visited: Visited): string | undefined {
  const { node, parent, field } = visited;
  if (node.type === "AwaitExpression") return "awaits";
  if (node.type === "ForOfStatement" && node["await"] === true) return "awaits";
  if (node["async"] === true) return "is asynchronous";
  if (node.type === "CallExpression") {
    const callee = node["callee"] as SyntaxNode;
    const property = callee.type === "MemberExpression" ? (callee["property"] as SyntaxNode) : undefined;
    if (promiseVerbs.test(String(property?.["name"]))) return `calls .${String(property?.["name"])}`;
  }
  if (!isReference(visited) || !impureGlobals.test(String(node["name"]))) return undefined;
  // To refuse a promise one must be able to ask whether something is one.
  const asks = parent?.type === "BinaryExpression" && parent["operator"] === "instanceof" && field === "right";
  return asks ? undefined : `uses ${String(node["name"])}`;
}

function told(syntax: Syntax, line: number, problem: string): string {
  return `${syntax.file.path}:${line} ${problem}`;
}
