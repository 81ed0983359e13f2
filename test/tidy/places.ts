/**
 * Traces of one machine in files: absolute paths of people's directories, addresses of package registries.
 *
 * The patterns are put together from pieces, so that this file does not break its own law.
 */
import { homedir } from "node:os";
import type { TextFile } from "./tree.ts";
import { root } from "./tree.ts";

const homes = ["home", "Users", "root", "work", "workspace", "mnt"].join("|");
const absolutePath = new RegExp(String.raw`(?<![\w.~*{}$/:-])/(?:${homes})/[\w.-]+`, "g");
const windowsPath = new RegExp(String.raw`\b[A-Z]:\\\\?(?:${homes})\\`, "gi");
const registry = new RegExp(["registry", String.raw`[\w-]+(\.[\w-]+)*\.[a-z]{2,}`].join(String.raw`\.`), "gi");

/** What this very machine would leave behind, whatever the patterns say. */
function localTraces(): string[] {
  const traces = [root.replace(/[/\\]$/, ""), homedir()];
  const host = /^https?:\/\/([^/]+)/.exec(process.env["npm_config_registry"] ?? "")?.[1];
  if (host !== undefined) traces.push(host);
  return traces.filter((trace) => trace.length > 5);
}

export function placeTraces({ path, text }: TextFile, traces: readonly string[] = localTraces()): string[] {
  const found: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const hit =
      [absolutePath, windowsPath, registry].flatMap((pattern) => line.match(pattern) ?? [])[0] ??
      traces.find((trace) => line.includes(trace));
    if (hit !== undefined) found.push(`${path}:${index + 1} holds ${hit}`);
  }
  return found;
}
