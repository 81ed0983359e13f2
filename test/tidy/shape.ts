/**
 * The laws of shape: lengths, head comments, and the parts of TypeScript that are not written here.
 */
import type { Syntax, SyntaxNode, Visited } from "./syntax.ts";
import type { TextFile } from "./tree.ts";

export const fileLinesMax = 400;
export const functionLinesMax = 70;
/** A head comment says what the file is; fewer letters than this cannot. */
const headCharsMin = 12;

export function tooLong({ path, text }: TextFile): string[] {
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  return lines > fileLinesMax ? [`${path} has ${lines} lines, ${lines - fileLinesMax} too many`] : [];
}

export function longFunctions(syntax: Syntax): string[] {
  const found: string[] = [];
  for (const visited of syntax.nodes) {
    const { node } = visited;
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) continue;
    if (groupsTests(visited) || isTable(node)) continue;
    const first = syntax.lineOf(node.start);
    const lines = syntax.lineOf(node.end) - first + 1;
    if (lines > functionLinesMax) found.push(`${syntax.file.path}:${first} a function of ${lines} lines`);
  }
  return found;
}

/** The body of a `describe` is a list of tests, not a function that somebody has to follow. */
function groupsTests({ parent }: Visited): boolean {
  const callee = parent?.type === "CallExpression" ? (parent["callee"] as SyntaxNode) : undefined;
  return callee?.type === "Identifier" && /^(describe|suite)$/.test(String(callee["name"]));
}

/** An arrow that is nothing but an object (`commands: (command) => ({ ... })`) is a table; its members are measured. */
function isTable(node: SyntaxNode): boolean {
  let body = node["body"] as SyntaxNode | null;
  while (body?.type === "ParenthesizedExpression") body = body["expression"] as SyntaxNode;
  return node.type === "ArrowFunctionExpression" && body?.type === "ObjectExpression";
}

export function missingHead({ path, text }: TextFile): string[] {
  const start = text.startsWith("#!") ? text.slice(text.indexOf("\n") + 1) : text;
  const comment = /^\s*(\/\*[\s\S]*?\*\/|(\/\/[^\n]*\n)+)/.exec(start)?.[0] ?? "";
  const letters = comment.replace(/[^\p{L}]/gu, "").length;
  return letters >= headCharsMin ? [] : [`${path} does not open with a comment`];
}

/** The one place where inference needs an `any`, named so that nobody takes it for a habit. */
const anyAllowed = "src/model/entity.ts";

export function refusedSyntax(syntax: Syntax): string[] {
  const { file } = syntax;
  const found: string[] = [];
  const anys = syntax.nodes.filter(({ node }) => node.type === "TSAnyKeyword");
  for (const { node } of file.path === anyAllowed ? anys.slice(1) : anys) note(node, "`any`");
  for (const { node, parent } of syntax.nodes) {
    if (node.type === "TSEnumDeclaration") note(node, "an enum");
    if (node.type === "TSParameterProperty") note(node, "a parameter property");
    if (node.type === "TSModuleDeclaration" && isNamespace(node, parent)) note(node, "a namespace");
    if (node.type === "ExportAllDeclaration") note(node, "`export *`");
    if (node.type === "ExportDefaultDeclaration" && !/\.config\.ts$/.test(file.path)) note(node, "a default export");
  }
  return found;

  function note(node: SyntaxNode, what: string): void {
    found.push(`${file.path}:${syntax.lineOf(node.start)} ${what}`);
  }
}

function isNamespace(node: SyntaxNode, parent: SyntaxNode | undefined): boolean {
  return node["kind"] !== "global" && (node["id"] as SyntaxNode).type !== "Literal" && parent?.type !== node.type;
}
