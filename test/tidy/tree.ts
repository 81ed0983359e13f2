/**
 * The repository's files, read once, and the sentence a broken law is told with.
 *
 * Invariant: files that git ignores are not seen; new files are, before they are committed.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** One text file; `path` is relative to the root, with slashes. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

const ignored: ReadonlySet<string> = new Set([
  ".git",
  ...readFileSync(join(root, ".gitignore"), "utf8")
    .split("\n")
    .filter((line) => line.endsWith("/"))
    .map((line) => line.slice(0, -1)),
]);

/** Paths of all files below a folder, in order. */
export function pathsBelow(folder: string): string[] {
  const paths: string[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    if (ignored.has(entry.name)) continue;
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) paths.push(...pathsBelow(path));
    else if (entry.isFile()) paths.push(path);
  }
  return paths.sort();
}

export function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

const textPattern = /\.(tsx?|mjs|cjs|js|json|md|html|css|svg|txt|yml|yaml|sh)$|(^|\/)(\.[a-z]+|run|LICENSE|NOTICE)$/;

/** Every text file of the repository. */
export const textFiles: readonly TextFile[] = pathsBelow("")
  .filter((path) => textPattern.test(path))
  .map((path) => ({ path, text: read(path) }));

/** The code that the laws are about. */
export const codeFiles: readonly TextFile[] = textFiles.filter(
  ({ path }) => /^(src|test|bench|scripts|examples)\//.test(path) && /\.(tsx?|mjs|js)$/.test(path),
);

/** Files that only tests use: tests, what tests share, and everything below `test/`. */
export function isTestCode(path: string): boolean {
  return /\.(test|testkit|harness|fixture)\.tsx?$/.test(path) || path.startsWith("test/");
}

/** Fails with every violation and how to mend it. */
export function assertLaw(violations: readonly string[], remedy: string): void {
  if (violations.length === 0) return;
  assert.fail(`${violations.length} violation(s):\n  ${violations.join("\n  ")}\nTo mend: ${remedy}`);
}

export function packageJson(path = "package.json"): {
  readonly files: readonly string[];
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
} {
  const given = JSON.parse(read(path)) as Partial<ReturnType<typeof packageJson>>;
  return { files: [], exports: {}, scripts: {}, dependencies: {}, devDependencies: {}, peerDependencies: {}, ...given };
}
