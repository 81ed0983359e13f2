/**
 * The nodes of one run, the network between them, and what is done to them.
 *
 * Invariants: what the arrangement asks for happens after each loss and after nothing else: in a cluster the node comes back, in a
 * takeover the next one is started in its place, and the one of before is ended a while after it has come back; after `heal` nothing is
 * paused, cut or down.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresServer } from "../../../src/adapters/postgres/server.harness.ts";
import { Balancer, type Target } from "./balancer.ts";
import type { Fault } from "./faults.ts";
import type { Cut, Network } from "./network.ts";
import { Running } from "./nodes.ts";
import { type Arrangement, mayEnd, type NodeSettings } from "./subject.ts";

export interface StageOptions {
  readonly arrangement: Arrangement;
  readonly settings: readonly NodeSettings[];
  readonly network: Network | undefined;
  readonly server: PostgresServer;
  /** Some clients hold on to a node that is lost. */
  readonly clientsHold: boolean;
  /** Told of everything that is done, for people. */
  readonly trace?: (line: string) => void;
}

export interface Counts {
  kills: number;
  pauses: number;
  cuts: number;
  databases: number;
  /** Processes that were started. */
  starts: number;
}

/** How long a node that was replaced may go on beside the one in its place, once it is back. */
const besideMs = 1_500;
/** For the next one to serve; then nobody waits for it any longer. */
const replacedMsMax = 10_000;
/** Until a supervisor starts a process again that ended. */
const restartMs = 300;
/** Until the balancer cuts a connection to a node that is lost: soon, or only when the node has long been back. */
const noticeMs = { soon: 400, late: 15_000 };

interface Slot {
  readonly index: number;
  readonly settings: NodeSettings;
  readonly target: Target;
  running: Running | undefined;
}

export class Stage {
  readonly counts: Counts = { kills: 0, pauses: 0, cuts: 0, databases: 0, starts: 0 };
  /** Nodes that ended by themselves because something is broken. */
  readonly violations: string[] = [];
  /** Nodes that ended by themselves, which they may: with an exit code, and what they said. */
  readonly ends: string[] = [];
  readonly #options: StageOptions;
  readonly #arrangement: Arrangement;
  readonly #slots: readonly Slot[];
  readonly #cuts = new Set<Cut>();
  /** Courses of faults, and what follows from them. */
  readonly #under = new Set<Promise<void>>();
  readonly #balancer: Promise<Balancer>;
  /** In a takeover: the one that is meant to serve. */
  #active = 0;
  #databaseIsDown = false;
  #closed = false;

  constructor(options: StageOptions) {
    this.#options = options;
    this.#arrangement = options.arrangement;
    this.#slots = options.settings.map((settings, index) => {
      return { index, settings, target: { host: settings.host, port: settings.door.port }, running: undefined };
    });
    this.#balancer = Balancer.open(
      () => this.#healthy(),
      options.clientsHold ? [noticeMs.soon, noticeMs.late] : [noticeMs.soon],
    );
  }

  /** Where clients connect. */
  async url(): Promise<string> {
    return (await this.#balancer).url;
  }

  /** Starts what should run and does not. Resolves when it serves. */
  async start(): Promise<void> {
    const meant = this.#slots.filter(({ index }) => this.#arrangement === "cluster" || index === this.#active);
    for (const slot of meant) if (slot.running?.isOver ?? true) this.#run(slot);
    for (const { running } of meant) await running?.served;
  }

  /** Does it, and undoes it when its time is over. */
  perform(fault: Fault): void {
    this.#trace(`${JSON.stringify(fault)}, active ${this.#active}`);
    this.#follow(this.#course(fault));
  }

  /** Ends every fault, once those that were begun have run their course. What is down then has still to be started. */
  async heal(): Promise<void> {
    while (this.#under.size > 0) await Promise.all(this.#under);
    this.#cuts.clear();
    this.#filter();
    for (const { running } of this.#slots) running?.resume();
    if (this.#arrangement === "takeover") {
      for (const { index, running } of this.#slots) if (index !== this.#active) await running?.kill();
    }
  }

  /** SIGKILL of all. */
  async killAll(): Promise<void> {
    await Promise.all(this.#slots.flatMap(({ running }) => running?.kill() ?? []));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.killAll();
    this.#cuts.clear();
    this.#filter();
    await (await this.#balancer).close();
  }

  #run(slot: Slot): void {
    const { network } = this.#options;
    this.counts.starts += 1;
    this.#trace(`start ${slot.settings.node}`);
    const running: Running = new Running({
      settings: slot.settings,
      command: network?.commandOf(slot.index) ?? [],
      broken: (said) => this.violations.push(`${slot.settings.node} says: ${said.slice(0, 1_500)}`),
      ended: (code, said) => this.#ended(slot, running, code, said),
    });
    slot.running = running;
    void running.served.then(() => this.#trace(`${slot.settings.node} ${running.isReady ? "serves" : "is gone"}`));
  }

  #trace(line: string): void {
    this.#options.trace?.(`  ${(performance.now() / 1_000).toFixed(2)} ${line}`);
  }

  #ended(slot: Slot, running: Running, code: number | null, said: string): void {
    const told = `${slot.settings.node} ended by itself with code ${code}: ${said.slice(-1_500)}`;
    if (!mayEnd(this.#arrangement, code, said)) this.violations.push(told);
    this.ends.push(told);
    this.#trace(told);
    const wasMeant = this.#arrangement === "cluster" || slot.index === this.#active;
    if (this.#closed || slot.running !== running || !wasMeant) return;
    this.#follow(
      sleep(restartMs).then(() => {
        if (!this.#closed && slot.running === running) this.#run(slot);
      }),
    );
  }

  #healthy(): readonly Target[] {
    const deaf = new Set([...this.#cuts].filter(({ end }) => end.kind === "clients").map(({ node }) => node));
    const meant = this.#slots.filter(({ index }) => this.#arrangement === "cluster" || index === this.#active);
    return meant
      .filter(({ index, running }) => running?.isReady === true && !running.isPaused && !deaf.has(index))
      .map(({ target }) => target);
  }

  #course(fault: Fault): Promise<void> {
    if (fault.kind === "database") return this.#restartDatabase(fault);
    const slot = this.#victim(fault.node);
    const running = slot?.running;
    if (slot === undefined || running === undefined) return Promise.resolve();
    if (fault.kind === "cut") return this.#cut(slot, running, { ...fault, node: slot.index }, fault.forMs);
    if (fault.kind === "kill") return this.#kill(slot, running, fault.forMs);
    return this.#pause(slot, running, fault.forMs);
  }

  /** The node of the plan; another one if that is down or paused already, so that as much is done as was planned. */
  #victim(node: number): Slot | undefined {
    if (this.#arrangement === "takeover") return this.#slots[this.#active];
    const inTurn = [...this.#slots.slice(node), ...this.#slots.slice(0, node)];
    return inTurn.find(({ running }) => running !== undefined && !running.isOver && !running.isPaused);
  }

  async #kill(slot: Slot, running: Running, forMs: number): Promise<void> {
    if (await running.kill()) this.counts.kills += 1;
    if (this.#arrangement === "takeover") return this.#replace(slot);
    await sleep(forMs);
    if (slot.running === running) this.#run(slot);
  }

  async #pause(slot: Slot, running: Running, forMs: number): Promise<void> {
    if (!running.pause()) return;
    this.counts.pauses += 1;
    this.#replace(slot);
    await sleep(forMs);
    await this.#replaced(slot);
    running.resume();
    await this.#endBeside(slot, running);
  }

  async #cut(slot: Slot, running: Running, cut: Cut, forMs: number): Promise<void> {
    this.counts.cuts += 1;
    this.#cuts.add(cut);
    this.#filter();
    this.#replace(slot);
    await sleep(forMs);
    await this.#replaced(slot);
    this.#cuts.delete(cut);
    this.#filter();
    await this.#endBeside(slot, running);
  }

  async #restartDatabase({ how, forMs }: Extract<Fault, { kind: "database" }>): Promise<void> {
    if (this.#databaseIsDown) return;
    this.#databaseIsDown = true;
    this.counts.databases += 1;
    const { server } = this.#options;
    await (how === "kill" ? server.crash() : server.shutDown(how));
    await sleep(forMs);
    await server.start();
    this.#databaseIsDown = false;
  }

  /** In a takeover the next one is started, whatever became of the active one. */
  #replace(lost: Slot): void {
    if (this.#arrangement !== "takeover" || lost.index !== this.#active || this.#closed) return;
    this.#active = (this.#active + 1) % this.#slots.length;
    const next = this.#slots[this.#active] as Slot;
    const before = next.running;
    const start = () => {
      if (this.#closed || next.running !== before) return;
      this.#run(next);
    };
    if (before === undefined || before.isOver) start();
    else this.#follow(before.kill().then(start));
  }

  /** The one in its place has served for a moment: one that comes back before is no test of anything. */
  async #replaced(lost: Slot): Promise<void> {
    if (this.#arrangement !== "takeover") return;
    for (let waitedMs = 0; waitedMs < replacedMsMax; waitedMs += 50) {
      const next = this.#slots[this.#active] as Slot;
      if (next === lost || next.running?.isReady === true) break;
      await sleep(50);
    }
    await sleep(restartMs);
  }

  /** In a takeover one that is back is fenced; it may try for a while. */
  async #endBeside(slot: Slot, running: Running): Promise<void> {
    if (this.#arrangement !== "takeover") return;
    await sleep(besideMs);
    if (slot.index === this.#active && slot.running === running) return;
    await running.kill();
  }

  #filter(): void {
    const { network, settings, server } = this.#options;
    network?.cut([...this.#cuts], { database: server.port, door: settings[0]?.door.port ?? 0 });
  }

  #follow(course: Promise<void>): void {
    const followed = course
      .catch((error: unknown) => void this.violations.push(`the harness failed: ${String(error)}`))
      .then(() => void this.#under.delete(followed));
    this.#under.add(followed);
  }
}
