/**
 * How the verbs that only look ask a running node, by its door or its admin port.
 *
 * Invariant: the token comes from the environment or a file, never from the command line, where every user of the machine
 * could read it.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { exchange } from "./exchange.ts";
import { UsageError } from "./settings.ts";

export interface RemoteOptions {
  readonly url: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

const tokenVariable = "HOLDFAST_TOKEN";
const answerMs = 30_000;

export function withRemote(command: Command): Command {
  return command
    .requiredOption("--url <address>", "where the node is: its door, or its admin port")
    .option("--token-file <file>", `file with an operator's token; default: the variable ${tokenVariable}`)
    .option("--json", "prints JSON for programs");
}

/**
 * @param path begins with `/`
 * @throws `unavailable` nobody answers there; else what the node answered
 */
export function askNode(
  options: RemoteOptions,
  path: string,
  { method = "GET", body }: { readonly method?: "GET" | "POST"; readonly body?: unknown } = {},
): Promise<unknown> {
  const url = new URL(path, parseUrl(options.url));
  const asked = { url, token: readToken(options), method, answerMs, silence: "unavailable" } as const;
  return exchange(body === undefined ? asked : { ...asked, body });
}

function parseUrl(text: string): URL {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text);
  throw new UsageError(`--url is an address such as http://127.0.0.1:4601, not "${text}".`);
}

function readToken({ tokenFile }: RemoteOptions): string | undefined {
  if (tokenFile === undefined) return process.env[tokenVariable];
  try {
    return readFileSync(tokenFile, "utf8").trim();
  } catch (error) {
    throw new UsageError(`--token-file cannot be read: ${(error as Error).message}.`);
  }
}
