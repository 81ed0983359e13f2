/**
 * The law of use: where code is entered from, and which limits anything obeys.
 */
import { posix } from "node:path";
import { everyMention } from "./reach.ts";
import { nameOf, syntaxOf } from "./syntax.ts";
import { isTestCode, packageJson, type TextFile } from "./tree.ts";

/**
 * Tests, published entries, programs that scripts and pages start, settings that tools look for, and programs whose head
 * comment says how to run them.
 */
export function entryPoints(files: readonly TextFile[]): string[] {
  const entries: string[] = [];
  for (const target of Object.values(packageJson().exports)) {
    if (typeof target === "object" && target["source"] !== undefined) entries.push(posix.normalize(target["source"]));
  }
  for (const { path, text } of files) {
    if (/\.(test|config)\.[tj]sx?$/.test(path) || isTypeDeclaration(path)) entries.push(path);
    if (text.includes(`node --conditions=source ${path}`)) entries.push(path);
    if (path.endsWith("package.json")) entries.push(...scriptPaths(path));
    if (path.endsWith(".html") || path === ".ci/run")
      entries.push(...everyMention({ path, text }), ...bareMentions(text));
  }
  return entries;
}

function isTypeDeclaration(path: string): boolean {
  return path.endsWith(".d.ts");
}

function scriptPaths(path: string): string[] {
  const folder = posix.dirname(path);
  return Object.values(packageJson(path).scripts).flatMap((script) =>
    bareMentions(script).map((one) => posix.join(folder, one)),
  );
}

function bareMentions(text: string): string[] {
  return [...text.matchAll(/[\w@./-]+\.(?:tsx?|mjs|js)\b/g)].map(([path]) => path);
}

/** Limits that no product code but their own file names: promises that nobody keeps. */
export function unusedLimits(limits: readonly string[], files: readonly TextFile[]): string[] {
  const named = new Set<string>();
  for (const file of files) {
    if (!file.path.startsWith("src/") || isTestCode(file.path) || file.path === "src/model/limits.ts") continue;
    for (const { node, parent } of syntaxOf(file).nodes) {
      const member = node.type === "MemberExpression" ? nameOf(node["property"]) : undefined;
      const taken = node.type === "Property" && parent?.type === "ObjectPattern" ? nameOf(node["key"]) : undefined;
      for (const name of [member, taken]) if (name !== undefined) named.add(name);
    }
  }
  return limits.filter((limit) => !named.has(limit)).map((limit) => `src/model/limits.ts: ${limit} is used nowhere`);
}
