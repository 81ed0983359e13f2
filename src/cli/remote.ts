/**
 * How the verbs ask a running node: one HTTP request with a token, JSON back.
 *
 * Invariant: the token comes from the environment or a file, never from the command line, where every user of the machine
 * could read it; it goes to the given address only, redirects are not followed.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { catalogue, type ErrorCode, HoldfastError } from "../model/errors.ts";
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
export async function askNode(
  options: RemoteOptions,
  path: string,
  { method = "GET", body }: { readonly method?: "GET" | "POST"; readonly body?: unknown } = {},
): Promise<unknown> {
  const base = parseUrl(options.url);
  const token = readToken(options);
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  const response = await send(new URL(path, base), {
    method,
    headers,
    redirect: "error",
    signal: AbortSignal.timeout(answerMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const answer = parseAnswer(text);
  if (response.ok && answer !== undefined) return answer;
  const { code, detail } = (answer ?? {}) as { code?: string; detail?: string };
  if (code !== undefined && Object.hasOwn(catalogue, code))
    throw new HoldfastError(code as ErrorCode, `${base.origin} answers: ${detail ?? ""}`);
  throw new HoldfastError(
    "unavailable",
    `${base.origin} answers with status ${response.status} and not as a Holdfast node does; is --url right?`,
  );
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

async function send(url: URL, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    const inner = (cause as Error).cause as Error | undefined;
    const why = inner?.message || (cause as Error).message;
    throw new HoldfastError("unavailable", `${url.origin} does not answer (${why}). Is the node running?`, { cause });
  }
}

function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
