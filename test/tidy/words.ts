/**
 * Words in names, and the words that the glossary refuses.
 */
import { syntaxOf } from "./syntax.ts";
import type { TextFile } from "./tree.ts";

/** `shardLogs_maxMs` -> shard, logs, max, ms. */
export function wordsOf(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
}

/** The words of the line of the glossary's section "Refused in names" that holds nothing but words in backticks. */
export function refusedWords(glossary: string): string[] {
  const section = glossary.split(/^## /m).find((part) => part.startsWith("Refused in names")) ?? "";
  const line = section.split("\n").find((one) => /^(`[a-z]+` ?)+$/.test(one)) ?? "";
  return [...line.matchAll(/`([a-z]+)`/g)].map(([, word]) => word as string);
}

/** Names (declared or used) and file names that hold a refused word, once per name. */
export function refusedNames(file: TextFile, refused: readonly string[]): string[] {
  const isRefused = (name: string) =>
    wordsOf(name).find((word) => refused.some((stem) => word === stem || word === `${stem}s` || word === `${stem}d`));
  const syntax = syntaxOf(file);
  const found = new Map<string, string>();
  const inPath = isRefused(file.path);
  if (inPath !== undefined) found.set(file.path, `${file.path}: the path holds "${inPath}"`);
  for (const { node } of syntax.nodes) {
    if (!/^(Identifier|PrivateIdentifier)$/.test(node.type)) continue;
    const name = String(node["name"]);
    const word = isRefused(name);
    if (word !== undefined && !found.has(name))
      found.set(name, `${file.path}:${syntax.lineOf(node.start)} "${name}" holds "${word}"`);
  }
  return [...found.values()];
}
