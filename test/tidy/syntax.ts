/**
 * The syntax of a file, as far as the laws ask for it: nodes, imports, functions, identifiers.
 *
 * Invariant: a file that does not parse fails every law that reads it; nothing is skipped silently.
 */

import { posix } from "node:path";
import { parseSync } from "oxc-parser";
import type { TextFile } from "./tree.ts";

/** A node of the ESTree; its other fields depend on `type`. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Visited {
  readonly node: SyntaxNode;
  readonly parent: SyntaxNode | undefined;
  /** Field of the parent that holds it. */
  readonly field: string;
}

export interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly names: readonly string[];
  readonly line: number;
}

export interface Syntax {
  readonly file: TextFile;
  readonly nodes: readonly Visited[];
  readonly imports: readonly Import[];
  lineOf(position: number): number;
}

const known = new Map<TextFile, Syntax>();

export function syntaxOf(file: TextFile): Syntax {
  let syntax = known.get(file);
  if (syntax === undefined) {
    syntax = parse(file);
    known.set(file, syntax);
  }
  return syntax;
}

function parse(file: TextFile): Syntax {
  const { program, errors } = parseSync(file.path, file.text);
  const fault = errors[0];
  if (fault !== undefined) throw new Error(`${file.path} does not parse: ${fault.message}`);
  const starts = lineStarts(file.text);
  const lineOf = (position: number) => lineAt(starts, position);
  const nodes: Visited[] = [];
  visit(program as unknown as SyntaxNode, undefined, "", nodes);
  const imports = nodes.flatMap(({ node }) => importOf(node, lineOf) ?? []);
  return { file, nodes, imports, lineOf };
}

function visit(node: SyntaxNode, parent: SyntaxNode | undefined, field: string, into: Visited[]): void {
  into.push({ node, parent, field });
  for (const [name, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, node, name, into);
  }
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as SyntaxNode).type === "string";
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function lineAt(starts: readonly number[], position: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((starts[middle] as number) <= position) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}

const importing: ReadonlySet<string> = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
]);

function importOf(node: SyntaxNode, lineOf: (position: number) => number): Import | undefined {
  if (!importing.has(node.type) || !isNode(node["source"])) return undefined;
  const specifier = node["source"]["value"];
  if (typeof specifier !== "string") return undefined;
  const specifiers = ((node["specifiers"] ?? []) as readonly SyntaxNode[]).filter(isNode);
  const isType = (kind: unknown) => kind === "type";
  const all =
    specifiers.length > 0 && specifiers.every((one) => isType(one["importKind"]) || isType(one["exportKind"]));
  return {
    specifier,
    typeOnly: isType(node["importKind"]) || isType(node["exportKind"]) || node.type === "TSImportType" || all,
    names: specifiers.map((one) => nameOf(one["imported"]) ?? nameOf(one["local"]) ?? ""),
    line: lineOf(node.start),
  };
}

/** The path a relative import means, or undefined for a package. */
export function resolveImport(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : undefined;
}

export function nameOf(node: unknown): string | undefined {
  return isNode(node) && typeof node["name"] === "string" ? node["name"] : undefined;
}

/** `Date.now` for a member expression of plain names; undefined for anything else. */
export function memberPath(node: SyntaxNode): string | undefined {
  if (node.type !== "MemberExpression" || node["computed"] === true) return undefined;
  const object = node["object"] as SyntaxNode;
  const before = object.type === "Identifier" ? nameOf(object) : memberPath(object);
  const property = nameOf(node["property"]);
  return before === undefined || property === undefined ? undefined : `${before}.${property}`;
}

/** True where an identifier is a value or type that is used, not the name of a property or of an import's source. */
export function isReference({ node, parent, field }: Visited): boolean {
  if (node.type !== "Identifier" || parent === undefined) return false;
  if (parent.type === "MemberExpression") return field === "object" || parent["computed"] === true;
  if (parent.type === "Property" || parent.type === "MethodDefinition" || parent.type === "PropertyDefinition")
    return field === "value" || parent["computed"] === true;
  return !/^(TSPropertySignature|TSMethodSignature)$/.test(parent.type) || field !== "key";
}
