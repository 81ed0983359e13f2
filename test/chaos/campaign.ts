/**
 * One campaign of kills: the course of a round, and the sums over all of them.
 *
 * Invariants: the audit of a round sees a copy made while no server runs; at the end of a directory everything is
 * stopped, quiet, and checked once more, then nothing may be in flight.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { seededChance } from "../../examples/teen-patti/src/bots/chance.ts";
import { startCrew } from "../../examples/teen-patti/src/bots/crew.ts";
import { openDoor } from "../../examples/teen-patti/src/bots/door.ts";
import { systemClock } from "../../examples/teen-patti/src/system.ts";
import { checkHistory, type Findings } from "./check.ts";
import { auditLog, copyLog, type LogState } from "./log-audit.ts";
import { type Acknowledged, impatient, Worker } from "./workload.ts";

export interface CampaignOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Kills on one directory, before a fresh one is taken so that logs stay short. */
  readonly roundsPerDirectory: number;
  readonly onRound?: (done: number, sums: string) => void;
}

export interface CampaignResult {
  readonly rounds: number;
  readonly elapsedMs: number;
  readonly violations: readonly string[];
  readonly sums: string;
}

const TABLES = 3;
const BOTS_PER_TABLE = 4;
const WORKERS = ["w1", "w2", "w3"];
const PARALLEL = 12;
/** The server is killed within this time after it answered its first command. */
const KILL_MS_MAX = 500;
/** A server that answers nothing for this long is a failure. */
const SILENT_MS_MAX = 20_000;
const QUIET_MS_MAX = 15_000;

type Sums = { rounds: number; acknowledged: number; unknown: number; hands: number; lost: number; doubled: number };

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const chance = seededChance(options.seed);
  const violations: string[] = [];
  const sums: Sums = { rounds: 0, acknowledged: 0, unknown: 0, hands: 0, lost: 0, doubled: 0 };
  const startedMs = performance.now();
  while (sums.rounds < options.rounds && violations.length === 0) {
    const rounds = Math.min(options.roundsPerDirectory, options.rounds - sums.rounds);
    await using stage = await Stage.open({ chance, violations, sums });
    for (let round = 1; round <= rounds && violations.length === 0; round++) {
      await stage.round(round);
      sums.rounds += 1;
      options.onRound?.(sums.rounds, describe(stage.sumsNow()));
    }
    await stage.finish();
  }
  return { rounds: sums.rounds, elapsedMs: performance.now() - startedMs, violations, sums: describe(sums) };
}

function describe({ acknowledged, unknown, hands, lost, doubled }: Sums): string {
  return `${lost} lost, ${doubled} doubled of ${acknowledged} acknowledged commands (${unknown} without an answer), ${hands} hands, chips conserved`;
}

type StageFacts = { chance: () => number; violations: string[]; sums: Sums };

/** One data directory, its server, and everybody who works on it. */
class Stage {
  readonly #facts: StageFacts;
  readonly #root: string;
  #server: { process: ChildProcess; url: string };
  readonly #workers: Worker[];
  readonly #crew: { stop(): Promise<void> };
  #hands = 0;
  #port = 0;

  private constructor(facts: StageFacts, root: string, server: { process: ChildProcess; url: string }) {
    this.#facts = facts;
    this.#root = root;
    this.#server = server;
    const { url } = server;
    this.#port = Number(new URL(url).port);
    this.#workers = WORKERS.map((name) => new Worker({ url, name, peers: WORKERS, chance: facts.chance }));
    this.#crew = startCrew({
      tables: Array.from({ length: TABLES }, (_, at) => `fast-${at + 1}`),
      botsPerTable: BOTS_PER_TABLE,
      leaveFree: 0,
      speed: "max",
      seed: Math.floor(facts.chance() * 2 ** 32),
      clock: systemClock,
      openDoor: (user) => openDoor(url, user, { random: impatient }),
    });
    for (const worker of this.#workers) worker.start(PARALLEL);
  }

  static async open(facts: StageFacts): Promise<Stage> {
    const root = await mkdtemp(join(tmpdir(), "holdfast-kill-"));
    return new Stage(facts, root, await startServer(join(root, "data"), 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.process.kill("SIGKILL");
    await Promise.all([this.#crew.stop(), ...this.#workers.map((worker) => worker.close())]);
    await rm(this.#root, { recursive: true, force: true });
  }

  sumsNow(): Sums {
    const { sums } = this.#facts;
    const here = this.#counts();
    return {
      ...sums,
      acknowledged: sums.acknowledged + here.acknowledged,
      unknown: sums.unknown + here.unknown,
      hands: sums.hands + this.#hands,
    };
  }

  async round(number: number): Promise<void> {
    for (const worker of this.#workers) worker.round(number);
    await this.#firstAnswer();
    await sleep(this.#facts.chance() * KILL_MS_MAX);
    await kill(this.#server.process);
    // What was answered until now must be in the copy. Answers of this server that are still on their way rest on the
    // same log; they are compared in the next round.
    const acknowledged = this.#acknowledged();
    const copy = join(this.#root, "copy");
    await copyLog(join(this.#root, "data"), copy);
    const [state, server] = await Promise.all([auditLog(copy), startServer(join(this.#root, "data"), this.#port)]);
    this.#server = server;
    this.#check(state, acknowledged, `round ${number}`);
    await this.#checkGoesOn(state);
  }

  async #firstAnswer(): Promise<void> {
    const before = this.#counts().acknowledged;
    const untilMs = performance.now() + SILENT_MS_MAX;
    while (this.#counts().acknowledged === before) {
      if (performance.now() > untilMs) throw new Error(`no command was answered for ${SILENT_MS_MAX} ms`);
      await sleep(5);
    }
  }

  /** Stops the work, waits until nothing is in flight, and checks it all once more. */
  async finish(): Promise<void> {
    const { violations, sums } = this.#facts;
    if (violations.length > 0) return;
    await Promise.all([this.#crew.stop(), ...this.#workers.map((worker) => worker.stop())]);
    const untilMs = performance.now() + QUIET_MS_MAX;
    for (;;) {
      await sleep(200);
      await kill(this.#server.process);
      const copy = join(this.#root, "copy");
      await copyLog(join(this.#root, "data"), copy);
      const state = await auditLog(copy);
      const { untaken } = this.#check(state, this.#acknowledged(), "at the end");
      const isQuiet = untaken.length === 0 && state.totals.inFlight === 0;
      if (isQuiet || performance.now() > untilMs) {
        if (!isQuiet) violations.push(`still in flight: ${untaken.length} gifts, ${state.totals.inFlight} chips`);
        break;
      }
      this.#server = await startServer(join(this.#root, "data"), this.#port);
    }
    const here = this.#counts();
    sums.acknowledged += here.acknowledged;
    sums.unknown += here.unknown;
    sums.hands += this.#hands;
  }

  #acknowledged(): Acknowledged[] {
    return this.#workers.flatMap((worker) => worker.acknowledged);
  }

  #counts(): { acknowledged: number; unknown: number } {
    const acknowledged = this.#workers.reduce((sum, worker) => sum + worker.acknowledged.length, 0);
    const unknown = this.#workers.reduce((sum, worker) => sum + worker.unknown, 0);
    return { acknowledged, unknown };
  }

  #check(state: LogState, acknowledged: readonly Acknowledged[], when: string): Findings {
    const { violations, sums } = this.#facts;
    const issued = new Set(this.#workers.flatMap((worker) => [...worker.issued]));
    const findings = checkHistory(state.accounts, acknowledged, issued);
    sums.lost += findings.lost.length;
    sums.doubled += findings.doubled.length;
    for (const id of findings.lost) violations.push(`${when}: ${id} was acknowledged and is lost`);
    for (const id of findings.doubled) violations.push(`${when}: ${id} was carried out twice`);
    for (const what of findings.wrong) violations.push(`${when}: ${what}`);
    for (const problem of state.totals.problems) violations.push(`${when}: ${problem}`);
    this.#hands = state.totals.hands;
    return findings;
  }

  /** Each table goes on with the hand that was in the log, cards and all, or has finished it since. */
  async #checkGoesOn(state: LogState): Promise<void> {
    const { violations } = this.#facts;
    for (const [table, { handNumber, merkleRoot }] of state.hands) {
      const response = await fetch(`${this.#server.url}/v1/entities/table/${table}/views/seat`, {
        headers: { authorization: "Bearer dev:witness", connection: "close" },
      });
      const body = (await response.json()) as { value?: { hand?: { handNumber: number; merkleRoot: string } } };
      const hand = body.value?.hand;
      const goesOn = hand !== undefined && (hand.handNumber > handNumber || hand.merkleRoot === merkleRoot);
      if (!goesOn) violations.push(`table ${table} lost hand ${handNumber}: ${JSON.stringify(body).slice(0, 200)}`);
    }
  }
}

const serverPath = fileURLToPath(new URL("server.ts", import.meta.url));

function startServer(directory: string, port: number): Promise<{ process: ChildProcess; url: string }> {
  const args = ["--conditions=source", "--disable-proto=delete", serverPath, directory, String(port), String(TABLES)];
  const server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    server.once("exit", (code) => reject(new Error(`The server ended by itself with code ${code}.`)));
    createInterface({ input: server.stdout }).on("line", (line) => {
      const url = /^ready (\S+)$/.exec(line)?.[1];
      if (url !== undefined) resolve({ process: server, url });
    });
  });
}

/** SIGKILL, and wait until it is gone. A server that ended by itself before is a failure. */
async function kill(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) throw new Error(`The server ended by itself with code ${server.exitCode}.`);
  const gone = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGKILL");
  await gone;
}
