/**
 * The operator's routes of a node that runs, for the verbs that change something: the node records who asked.
 *
 * Invariant: only the routes of operators are asked, by their names.
 */
import { type Command, Option } from "commander";
import { exchange } from "./exchange.ts";
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
export function askDoor({ url, token }: DoorOptions, asked: Asked): Promise<unknown> {
  const { method, body } = asked;
  const call = { url: targetOf(url, asked), token, method, answerMs, silence: "disconnected" } as const;
  return exchange(body === undefined ? call : { ...call, body });
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
