/**
 * The game server: engine, door, page and bots in one process. `npm start` at the root builds the page and runs this.
 *
 * Invariants: starting again on the same data directory goes on where it was, the running hands and their cards included;
 * a start that fails says what to do and leaves nothing running; SIGINT and SIGTERM stop it without losing anything.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  type Authenticate,
  developmentAuthentication,
  type EmbeddedOptions,
  type EmbeddedService,
  embedded,
  isHoldfastError,
} from "holdfast";
import { type Speed } from "./bots/bot.ts";
import { startCrew } from "./bots/crew.ts";
import { openDoor } from "./bots/door.ts";
import { downstreamOf } from "./downstream.ts";
import { entities, projections } from "./entities.ts";
import { type Reviewer, setReviewer } from "./review.ts";
import { systemClock, systemSeed } from "./system.ts";
import { fastTables, openTables, publicTables } from "./tables.ts";

const HELP = `Teen Patti on Holdfast

  --port <n>        where to listen                    (default 4600; 0 takes a free port)
  --host <address>  address to listen on               (default 127.0.0.1)
  --door <url>      where browsers reach this game; once for each address, so that they go from one to another
  --data <dir>      where the log lives                (default ./.data)
  --postgres        the log is in the PostgreSQL of the variable DATABASE_URL, in the schema teen_patti
  --cluster <name>  with --postgres: the node of this name, one of several
  --shared <dir>    with --cluster: a directory that all nodes see   (default ./.data/shared)
  --bots <n>        bots at each public table          (default 3; 0 for none)
  --speed <s>       human or max                       (default human)
  --fast <n>        also opens n tables for load, without pauses between hands
  --seed <n>        of the bots                        (default: random)
  --admin <n>       port for metrics and status       (default: none; 0 takes a free port)
  --operator        takes the token in TEEN_PATTI_OPERATOR_TOKEN for an operator's: \`holdfast erase player/…\`

  TEEN_PATTI_SECRET          with --cluster: what all nodes know and nobody else, of 32 characters or more
  TEEN_PATTI_POSTGRES        postgres://… gets a row for each settled hand, for analysts
  TEEN_PATTI_WEBHOOK         a URL that is told of big wins; needs TEEN_PATTI_WEBHOOK_SECRET (whsec_…)
  TEEN_PATTI_REVIEW          a URL that is asked about large winnings; needs TEEN_PATTI_REVIEW_SECRET (whsec_…)
`;

type Options = {
  port: number;
  host: string;
  doors: readonly string[];
  data: string;
  bots: number;
  speed: Speed;
  fast: number;
  seed: number;
  admin: number | null;
  postgres: string | null;
  operatorToken: string | null;
  cluster: { name: string; shared: string; secret: string } | null;
};

function readOptions(args: readonly string[]): Options | null {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: text,
      host: text,
      door: { type: "string", multiple: true },
      data: text,
      bots: text,
      speed: text,
      fast: text,
      seed: text,
      admin: text,
      operator: { type: "boolean" },
      postgres: { type: "boolean" },
      cluster: text,
      shared: text,
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help === true) return null;
  const speed = values.speed ?? "human";
  if (speed !== "human" && speed !== "max") throw new Error("--speed is human or max.");
  return {
    port: numberOf("port", values.port, 4600, 65_535),
    host: values.host ?? "127.0.0.1",
    doors: values.door ?? [],
    data: values.data ?? ".data",
    bots: numberOf("bots", values.bots, 3, 5),
    speed,
    fast: numberOf("fast", values.fast, 0, 1_000),
    seed: numberOf("seed", values.seed, systemSeed(), 2 ** 32),
    admin: values.admin === undefined ? null : numberOf("admin", values.admin, 0, 65_535),
    operatorToken: values.operator === true ? operatorToken() : null,
    postgres: values.postgres === true ? databaseUrl() : null,
    cluster:
      values.cluster === undefined ? null : clusterOf(values.cluster, values.shared ?? ".data/shared", values.postgres),
  };
}

function databaseUrl(): string {
  const url = process.env["DATABASE_URL"] ?? "";
  if (url === "") throw new Error("--postgres needs the database's URL in DATABASE_URL.");
  return url;
}

function clusterOf(name: string, shared: string, postgres: boolean | undefined): Options["cluster"] {
  const secret = process.env["TEEN_PATTI_SECRET"] ?? "";
  if (postgres !== true) throw new Error("--cluster needs --postgres: the nodes share the log that is there.");
  if (secret.length < 32) throw new Error("--cluster needs TEEN_PATTI_SECRET, of 32 characters or more.");
  return { name, shared, secret };
}

function operatorToken(): string {
  const token = process.env["TEEN_PATTI_OPERATOR_TOKEN"] ?? "";
  if (token.length < 16) throw new Error("--operator needs TEEN_PATTI_OPERATOR_TOKEN, of 16 characters or more.");
  return token;
}

/** Anybody is the user of the name in the token, as in development; who knows the secret is the operator. */
function authentication(secret: string | null): Authenticate {
  const asUser = developmentAuthentication({ warn: (text) => console.error(text) });
  return (token, caller) =>
    secret !== null && token === secret
      ? Promise.resolve({ principal: { kind: "operator", id: "operator" } })
      : asUser(token, caller);
}

function reviewerOf(environment: NodeJS.ProcessEnv): Reviewer | null {
  const { TEEN_PATTI_REVIEW: url, TEEN_PATTI_REVIEW_SECRET: secret } = environment;
  if (url === undefined) return null;
  if (secret === undefined || !URL.canParse(url))
    throw new Error("TEEN_PATTI_REVIEW is a URL, and needs the secret of who is asked in TEEN_PATTI_REVIEW_SECRET.");
  return { url, secret };
}

function numberOf(name: string, text: string | undefined, fallback: number, max: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(value) || value < 0 || value > max) throw new Error(`--${name} is a number from 0 to ${max}.`);
  return value;
}

async function start(options: Options): Promise<void> {
  const page = fileURLToPath(new URL("../page/dist", import.meta.url));
  setReviewer(reviewerOf(process.env));
  const { sinks, subscribers, lines } = await downstreamOf(process.env);
  const hasPage = existsSync(`${page}/index.html`);
  const service = await startService(options, {
    entities,
    projections,
    sinks,
    subscribers,
    serviceName: "teen-patti",
    directory: options.data,
    port: options.port,
    host: options.host,
    ...(options.doors.length === 0 ? {} : { doors: () => options.doors }),
    authenticate: authentication(options.operatorToken),
    title: "Teen Patti",
    onFault: (where, error) => console.error(`A fault in ${where}:`, error),
    ...(options.admin === null ? {} : { admin: { port: options.admin } }),
    ...(hasPage ? { staticDirectory: page } : {}),
  });
  const tables = [...publicTables(options.speed), ...fastTables(options.fast)];
  await openTables(service.node, tables);
  const crew = startCrew({
    tables: publicTables(options.speed).map(({ table }) => table),
    botsPerTable: options.bots,
    leaveFree: 1,
    speed: options.speed,
    seed: options.seed,
    clock: systemClock,
    openDoor: (user) => openDoor(service.url, user),
  });
  stopOnSignals(service, () => crew.stop());
  if (!hasPage) console.error("The page is not built; only the API is served. `npm start` builds it.");
  for (const line of lines) console.log(line);
  if (service.admin !== undefined) console.log(`Metrics are on ${service.admin.url}/metrics`);
  console.log(`Teen Patti is on ${service.url}  (data in ${options.data}, ${tables.length} tables)`);
}

async function startService(
  { postgres: connection, cluster }: Options,
  options: EmbeddedOptions,
): Promise<EmbeddedService> {
  if (connection === null) return embedded(options);
  // The driver is optional: loaded only where it is used.
  const { migratePostgres, startPostgres } = await import("holdfast/postgres");
  const postgres = { connection, schema: "teen_patti" };
  await migratePostgres(postgres);
  if (cluster === null) return startPostgres({ ...options, postgres });
  const { keysFromSecret, startCluster } = await import("holdfast/cluster");
  const { name, shared, secret } = cluster;
  // What one node sealed the others must be able to open.
  return startCluster({
    ...options,
    postgres,
    name,
    shared,
    keys: keysFromSecret(secret),
    peer: { secrets: [secret] },
  });
}

function stopOnSignals(service: EmbeddedService, stopCrew: () => Promise<void>): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1);
    stopping = true;
    console.log(`${signal}: stopping; once more ends it at once.`);
    stopCrew()
      .then(() => service.stop())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          console.error("Could not stop cleanly; nothing that was acknowledged is lost.", error);
          process.exit(1);
        },
      );
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  // Whoever runs several of these, and ended without a word, wants none of them to stay.
  process.on("disconnect", () => process.exit(1));
}

function explain(error: unknown): string {
  if (!isHoldfastError(error)) return error instanceof Error ? error.message : String(error);
  const isPort = error.message.includes("EADDRINUSE");
  return isPort
    ? `${error.message}\nSomething else is listening there: stop it, or start with --port <another>.`
    : error.message;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === null) console.log(HELP);
  else await start(options);
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}
