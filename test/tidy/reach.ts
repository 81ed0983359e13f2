/**
 * Which files are reached from which: by imports, and by paths in string literals (workers, child processes, pages).
 */
import { posix } from "node:path";
import { resolveImport, syntaxOf } from "./syntax.ts";
import type { TextFile } from "./tree.ts";

/** Files reached from the entries, these included. With `values`, along imports that remain when types are stripped. */
export function reachable(
  files: readonly TextFile[],
  entries: readonly string[],
  options: { readonly values: boolean },
): TextFile[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<TextFile>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const file = byPath.get(path);
    if (file === undefined || reached.has(file)) continue;
    reached.add(file);
    waiting.push(...(options.values ? valueImports(file) : everyMention(file)));
  }
  return [...reached];
}

function valueImports(file: TextFile): string[] {
  return syntaxOf(file)
    .imports.filter(({ typeOnly }) => !typeOnly)
    .flatMap(({ specifier }) => resolveImport(file.path, specifier) ?? []);
}

/** Paths that a file names, in imports or in strings; those that do not exist do no harm. */
export function everyMention(file: TextFile): string[] {
  const paths: string[] = [];
  for (const [, path] of file.text.matchAll(/["'`]([\w@./-]+\.(?:tsx?|mjs|js))["'`]/g)) {
    if (path === undefined) continue;
    paths.push(path.replace(/^\//, ""), posix.join(posix.dirname(file.path), path));
  }
  return paths;
}
