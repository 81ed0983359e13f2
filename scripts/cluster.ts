/**
 * `npm run cluster`: PostgreSQL, three nodes of the game, bots that play, and a view of it all, on this machine.
 *
 *     npm run cluster                                  until q or Ctrl-C; the game is on the doors it shows
 *     npm run cluster -- --seconds 20 --json           a line of JSON each second and one at the end; 1 if chips were lost or made
 *
 * Invariant: whatever way it ends, no process and no file of it is left; what it says of chips was added up from the log.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emitKeypressEvents } from "node:readline";
import { parseArgs } from "node:util";
import { Audit, type Totals } from "../examples/teen-patti/src/audit.ts";
import { startCrew } from "../examples/teen-patti/src/bots/crew.ts";
import { openDoor } from "../examples/teen-patti/src/bots/door.ts";
import { systemClock } from "../examples/teen-patti/src/system.ts";
import { publicTables } from "../examples/teen-patti/src/tables.ts";
import { openPostgresLog } from "../src/adapters/postgres/log.ts";
import { postgresSkipReason, startPostgres } from "../src/adapters/postgres/server.harness.ts";
import { migratePostgres } from "../src/presets/postgres.ts";
import { decodeFrame } from "../src/wire/frame.ts";
import { type Look, Looker, lineOf, screenOf } from "./cluster-look.ts";
import { NodeProcess } from "./cluster-nodes.ts";
import { buildStalePage } from "./page.ts";

const schema = "teen_patti";
const names = ["n1", "n2", "n3"] as const;
/** A demonstration is seen better with few; a service has 256. */
const shardCount = 24;
const notesShown = 6;

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    port: text,
    seconds: text,
    speed: text,
    bots: text,
    json: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  },
});

const HELP = `A cluster on this machine: PostgreSQL, three nodes of Teen Patti, bots

  --port <n>      of the first door; the others follow   (default 4600; 0 takes free ones)
  --bots <n>      at each table                          (default 3; 0 for none)
  --speed <s>     of the bots: human or max              (default human)
  --seconds <n>   ends by itself after that
  --json          prints a line of JSON each second, and one at the end
`;

const notes: string[] = [];
const isScreen = values.json !== true && process.stdout.isTTY === true;

function note(text: string): void {
  for (const line of text.trim().split("\n")) {
    notes.push(line.slice(0, 240));
    if (!isScreen) console.error(line);
  }
  notes.splice(0, notes.length - notesShown);
}

function numberOf(name: string, given: string | undefined, fallback: number, max: number): number {
  const value = given === undefined ? fallback : Number(given);
  if (!Number.isInteger(value) || value < 0 || value > max) throw new Error(`--${name} is a number from 0 to ${max}.`);
  return value;
}

/** Every chip there is, from the log alone. Undefined: what is trimmed from it stands in the archive. */
async function chipsIn(connection: string): Promise<Totals | undefined> {
  const log = await openPostgresLog({ connection, schema });
  try {
    const all = Array.from({ length: log.shardCount }, (_, shard) => shard);
    if ((await log.tail(all)).some(({ trimmed }) => trimmed > 1)) return undefined;
    const audit = new Audit();
    for await (const frames of log.read(new Map(all.map((shard) => [shard, 1]))))
      for (const { bytes, shard, at } of frames)
        for (const record of decodeFrame(bytes, shard, at, undefined).records)
          if (record.kind === "step") audit.take(record);
    return audit.totals();
  } finally {
    await log.close();
  }
}

function makeNodes(directory: string, connection: string, token: string): NodeProcess[] {
  const port = numberOf("port", values.port, 4_600, 65_000);
  const env = {
    DATABASE_URL: connection,
    TEEN_PATTI_SECRET: randomBytes(32).toString("base64"),
    TEEN_PATTI_OPERATOR_TOKEN: token,
  };
  return names.map((name, at) => {
    const places = ["--data", join(directory, name), "--shared", join(directory, "shared")];
    const args = ["--postgres", "--cluster", name, ...places, "--bots", "0", "--speed", speed, "--operator"];
    return new NodeProcess({ name, port: port === 0 ? 0 : port + at, args, env, note });
  });
}

function playBots(nodes: readonly NodeProcess[]) {
  const urls = nodes.map(({ url }) => url);
  return startCrew({
    tables: publicTables(speed).map(({ table }) => table),
    botsPerTable: numberOf("bots", values.bots, 3, 5),
    leaveFree: 1,
    speed,
    seed: 1,
    clock: systemClock,
    openDoor: (user) => openDoor(urls[0] as string, user, { url: urls }),
  });
}

/** Shows, and takes keys, until it is to end. */
async function watch(looker: Looker, nodes: readonly NodeProcess[], ended: Promise<void>): Promise<void> {
  let last: Look | undefined;
  let over = false;
  if (isScreen && process.stdin.isTTY === true) takeKeys(nodes, looker, () => last);
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    last = await looker.look();
    if (values.json === true) console.log(JSON.stringify(last));
    else if (isScreen) process.stdout.write(screenOf(last, notes));
    else console.log(lineOf(last));
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1_000))]);
  }
}

function takeKeys(nodes: readonly NodeProcess[], looker: Looker, last: () => Look | undefined): void {
  emitKeypressEvents(process.stdin);
  process.stdin.setRawMode(true);
  process.stdin.resume();
  process.stdin.on("keypress", (_, key: { name?: string; ctrl?: boolean; sequence?: string }) => {
    const node = nodes[Number(key.sequence) - 1];
    const [from, to] = (last()?.nodes ?? [])
      .filter(({ up, draining }) => up && !draining)
      .toSorted((one, other) => other.owns.length - one.owns.length);
    const shard = from?.owns[0];
    if (key.name === "q" || (key.ctrl === true && key.name === "c")) end();
    else if (node !== undefined) node.kill();
    else if (key.name === "m" && shard !== undefined && to !== undefined)
      void looker
        .ask("move", { shards: [shard], to: to.node })
        .then((how) => note(`move of shard ${shard} to ${to.node}: ${how}`));
    else if (key.name === "d") {
      const on = last()?.nodes[1]?.draining !== true;
      void looker.ask("drain", { node: "n2", on }).then((how) => note(`drain of n2 ${on ? "on" : "off"}: ${how}`));
    }
  });
}

let end: () => void = () => {};
const speed = values.speed === "max" ? "max" : "human";

async function run(): Promise<number> {
  const missing = postgresSkipReason();
  if (missing !== undefined) throw new Error(missing);
  const seconds = values.seconds === undefined ? undefined : numberOf("seconds", values.seconds, 0, 86_400);
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => end());
  buildStalePage();
  console.error("Starting PostgreSQL and three nodes ...");
  const directory = await mkdtemp(join(tmpdir(), "holdfast-cluster-"));
  const server = await startPostgres();
  const token = randomBytes(12).toString("base64url");
  let nodes: NodeProcess[] = [];
  try {
    const connection = await server.database();
    await migratePostgres({ connection, schema, shardCount });
    nodes = makeNodes(directory, connection, token);
    await Promise.all(nodes.map((node) => node.start()));
    const url = nodes[0]?.url ?? "";
    note(
      `operate it: HOLDFAST_URL=${url} HOLDFAST_TOKEN=${token} npx holdfast nodes (shards --url ${url}, move 3 --to n2, drain n2)`,
    );
    const crew = playBots(nodes);
    if (seconds !== undefined) setTimeout(end, seconds * 1_000).unref();
    await watch(new Looker(nodes, token), nodes, ended);
    console.error("Stopping ...");
    await crew.stop();
    for (const node of nodes) await node.stop();
    return report(await chipsIn(connection), nodes);
  } finally {
    for (const node of nodes) node.kill();
    await Promise.all(nodes.map((node) => node.stop()));
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

function report(chips: Totals | undefined, nodes: readonly NodeProcess[]): number {
  const restarts = nodes.reduce((all, node) => all + node.restarts, 0);
  if (values.json === true) console.log(JSON.stringify({ ended: true, restarts, chips: chips ?? null }));
  else if (chips === undefined) console.log("The log was trimmed meanwhile; chips are not added up here.");
  else
    console.log(
      `${chips.hands} hands. ${chips.issued} chips issued: ${chips.wallets} in wallets, ${chips.tables} on tables, ${chips.inFlight} on their way. ${chips.problems.join("; ") || "None lost, none made."}`,
    );
  return chips !== undefined && chips.problems.length > 0 ? 1 : 0;
}

try {
  if (values.help === true) console.log(HELP);
  else process.exitCode = await run();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
// Keys are taken no more.
process.stdin.pause();
