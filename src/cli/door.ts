/**
 * The operator's routes of a node that runs, for the verbs that change something: the node records who asked.
 *
 * Invariant: the token goes into one header and nowhere else; an answer that is not a node's is never taken for one.
 */
import { type Command, Option } from "commander";
import { HoldfastError, isErrorCode } from "../model/errors.ts";
import { UsageError } from "./settings.ts";

export interface DoorOptions {
  readonly url: string;
  readonly token?: string;
  readonly json?: boolean;
}

/** What an answer is waited for; a node that rebuilds a state from a long log needs its time. */
const answerMs = 60_000;

export function withDoor(command: Command): Command {
  return command
    .addOption(
      new Option("--url <url>", "where the node's door is").env("HOLDFAST_URL").default("http://127.0.0.1:4600"),
    )
    .addOption(new Option("--token <token>", "a token of an operator; better in the variable").env("HOLDFAST_TOKEN"))
    .option("--json", "prints JSON for programs");
}

interface Asked {
  readonly method: "GET" | "POST";
  /** Each is escaped. */
  readonly path: readonly string[];
  readonly parameters?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** @throws HoldfastError what the node answered, or `disconnected` */
export async function askDoor({ url, token }: DoorOptions, asked: Asked): Promise<unknown> {
  const target = targetOf(url, asked);
  const headers: Record<string, string> = { accept: "application/json" };
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  if (asked.body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = {
    method: asked.method,
    headers,
    redirect: "error", // a token goes to the door that was named and to no other
    signal: AbortSignal.timeout(answerMs),
    ...(asked.body === undefined ? {} : { body: JSON.stringify(asked.body) }),
  };
  let response: Response;
  try {
    response = await fetch(target, init);
  } catch (cause) {
    const why = cause instanceof Error ? tell(cause) : "";
    throw new HoldfastError("disconnected", `No node answers at ${url}${why}. Name its door with --url.`, { cause });
  }
  return await readAnswer(response, url);
}

function targetOf(url: string, { path, parameters = {} }: Asked): URL {
  let target: URL;
  try {
    const base = url.endsWith("/") ? url : `${url}/`;
    target = new URL(`v1/operator/${path.map(encodeURIComponent).join("/")}`, base);
  } catch {
    throw new UsageError(`--url is an address such as http://127.0.0.1:4600, not "${url}".`);
  }
  if (!/^https?:$/.test(target.protocol)) throw new UsageError(`--url begins with http:// or https://, not "${url}".`);
  for (const [name, value] of Object.entries(parameters)) target.searchParams.set(name, value);
  return target;
}

function tell(error: Error): string {
  const inner = error.cause instanceof Error ? error.cause.message : error.message;
  return inner === "" ? "" : ` (${inner})`;
}

async function readAnswer(response: Response, url: string): Promise<unknown> {
  let value: unknown;
  try {
    value = await response.json();
  } catch (cause) {
    throw new HoldfastError("unavailable", `What answers at ${url} is not a Holdfast node.`, { cause });
  }
  if (response.ok) return value;
  const { code, detail } = (value ?? {}) as { code?: unknown; detail?: unknown };
  const text = typeof detail === "string" ? detail : `It answered ${response.status}.`;
  throw new HoldfastError(isErrorCode(code) ? code : "unavailable", text);
}
