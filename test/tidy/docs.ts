/**
 * What the documents claim that a test can check: links, commands, sections, quoted tests.
 */
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { read, root, type TextFile } from "./tree.ts";

/** Links to files that do not exist. */
export function brokenLinks({ path, text }: TextFile): string[] {
  const broken: string[] = [];
  for (const [, target] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (target === undefined || /^(https?:|mailto:|#)/.test(target)) continue;
    const file = posix.join(posix.dirname(path), target.replace(/#.*$/, ""));
    if (!existsSync(join(root, file))) broken.push(`${path}: ${target} does not exist`);
  }
  return broken;
}

/** `["a sentence"](file)` claims that the file holds a test of that name. */
export function missingTests({ path, text }: TextFile): string[] {
  const missing: string[] = [];
  for (const [, name, target] of text.matchAll(/\["([^"\]]+)"\]\(([^)\s]+)\)/g)) {
    const file = posix.join(posix.dirname(path), target ?? "");
    if (existsSync(join(root, file)) && !read(file).includes(name ?? ""))
      missing.push(`${path}: ${file} has no test "${name}"`);
  }
  return missing;
}

/** `npm run x` where no such script is. */
export function unknownScripts({ path, text }: TextFile, scripts: readonly string[]): string[] {
  return [...text.matchAll(/npm run ([\w:-]+)/g)]
    .filter(([, script]) => !scripts.includes(script ?? ""))
    .map(([, script]) => `${path}: there is no script "${script}"`);
}

/** A fence "```ts path" shows that file, as it is now. */
export function staleQuotes({ path, text }: TextFile): string[] {
  const stale: string[] = [];
  for (const [, file, code] of text.matchAll(/^```\w+ ([\w./-]+)\n([\s\S]*?)^```/gm)) {
    if (!existsSync(join(root, file ?? "")) || read(file ?? "") !== code)
      stale.push(`${path}: the code of ${file} is another`);
  }
  return stale;
}

/** Paths and names in backticks that neither the code nor the page's own example has. `core/x.ts` means `src/core/x.ts`. */
export function unknownNames({ path, text }: TextFile, code: string): string[] {
  const unknown: string[] = [];
  const examples = [...text.matchAll(/^```[\s\S]*?^```/gm)].join("\n");
  for (const [, quoted] of withoutCode(text).matchAll(/`([^`\n]+)`/g)) {
    const word = quoted ?? "";
    const isPath = /^(src|test|bench|docs|examples|core|wire|ports|runtime|gateway|client|adapters)\/[\w./-]+$/.test(
      word,
    );
    const isName = /^#?[A-Za-z]+[a-z0-9][A-Z]\w*$/.test(word);
    if (isPath && ![word, `src/${word}`].some((one) => existsSync(join(root, one)))) unknown.push(`${path}: ${word}`);
    if (isName && !code.includes(word) && !examples.includes(word)) unknown.push(`${path}: ${word}`);
  }
  return unknown;
}

/** Headings of one level. */
export function headings(text: string, level: number): string[] {
  const pattern = new RegExp(`^${"#".repeat(level)} (.+)$`, "gm");
  return [...withoutCode(text).matchAll(pattern)].map(([, heading]) => heading as string);
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "");
}
