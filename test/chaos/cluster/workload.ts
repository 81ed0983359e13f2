/**
 * The clients of a run: registers and purses whose every answer is recorded, and the game with its bots.
 *
 * Invariants: a register is used by all clients at once and for a few dozen operations, so that its history is short enough to be
 * searched; each value is written once; after `stop` nothing new is asked.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { startCrew } from "../../../examples/teen-patti/src/bots/crew.ts";
import type { Door } from "../../../examples/teen-patti/src/bots/door.ts";
import { LOBBY_KEY } from "../../../examples/teen-patti/src/contract.ts";
import { systemClock } from "../../../examples/teen-patti/src/system.ts";
import { fastTables } from "../../../examples/teen-patti/src/tables.ts";
import { type Client, connect } from "../../../src/client/index.ts";
import type { Untyped } from "../../../src/client/types.ts";
import { Prng } from "../../../src/std/prng.ts";
import { impatient } from "../workload.ts";
import type { Recorder } from "./record.ts";
import { operatorToken } from "./subject.ts";

/** Of each client: a command without an answer for so long is given up, and may have been carried out. */
const timeoutsMs = [700, 2_000, 6_000, 6_000];
/** At once, of each client: on registers and on purses. */
const hands = { registers: 1, purses: 2 };
const registersAtOnce = 2;
const operationsPerRegister = 40;
const purses = 6;
const bots = { tables: 2, perTable: 4 };
/** Between what one hand asks: the checkers need time more than they need numbers. */
const restMs = 8;

export class Workload {
  /** The bots, by the names that their crew gives them. */
  static readonly players = Array.from({ length: bots.tables * bots.perTable }, (_, at) => `bot-${at + 1}`);
  readonly #recorder: Recorder;
  readonly #clients: readonly Client<Untyped>[];
  readonly #seed: number;
  readonly #url: string;
  readonly #doors: readonly string[];
  #loops: Promise<void>[] = [];
  #crew: { stop(): Promise<void> } | undefined;
  #stopped = false;
  #lastValue = 0;
  /** Registers in use, with the operations that they have had. */
  readonly #registers: { key: string; count: number }[] = [];
  #madeRegisters = 0;

  /** Every second client goes to the `doors` themselves, and from one to another as the client's code sees fit. */
  constructor(of: {
    readonly url: string;
    readonly doors: readonly string[];
    readonly seed: number;
    readonly recorder: Recorder;
  }) {
    this.#recorder = of.recorder;
    this.#seed = of.seed;
    this.#url = of.url;
    this.#doors = of.doors;
    this.#clients = timeoutsMs.map((timeoutMs, at) =>
      connect({ ...this.#way(at), token: `dev:c${at}`, timeoutMs, random: impatient }),
    );
    for (let slot = 0; slot < registersAtOnce; slot++) this.#renew(slot);
  }

  /** Opens the tables, and begins. */
  async start(): Promise<void> {
    await this.#openTables();
    this.#loops = this.#clients.flatMap((client, at) => {
      const loop = (name: string, hand: number, work: (who: string, prng: Prng) => Promise<void>) => {
        const who = `c${at}-${name}${hand}`;
        return this.#loop(who, new Prng(this.#seed * 1_000 + at * 100 + hand * 10 + name.length), work);
      };
      return [
        ...Array.from({ length: hands.registers }, (_, hand) =>
          loop("register", hand, (who, prng) => this.#useRegister(client, who, prng)),
        ),
        ...Array.from({ length: hands.purses }, (_, hand) =>
          loop("purse", hand, (who, prng) => this.#usePurse(client, who, prng)),
        ),
      ];
    });
    this.#crew = startCrew({
      tables: fastTables(bots.tables).map(({ table }) => table),
      botsPerTable: bots.perTable,
      leaveFree: 0,
      speed: "max",
      seed: this.#seed,
      clock: systemClock,
      openDoor: (user) => this.#recordedDoor(user),
    });
  }

  /** Asks nothing more; resolves when everything is answered or given up. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#loops, this.#crew?.stop()]);
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#clients.map((client) => client.close()), this.#crew?.stop()]);
  }

  /** A client for questions beside the work. */
  get client(): Client<Untyped> {
    return this.#clients.at(-1) as Client<Untyped>;
  }

  async #openTables(): Promise<void> {
    const operator = connect({ ...this.#way(0), token: operatorToken, random: impatient });
    try {
      const lobby = operator.entity("lobby", LOBBY_KEY);
      for (const table of fastTables(bots.tables)) await lobby.execute("openTable", table);
    } finally {
      await operator.close();
    }
  }

  #way(number: number): { readonly url: string | readonly string[]; readonly learnDoors: boolean } {
    const goesItself = number % 2 === 1 && this.#doors.length > 0;
    return goesItself ? { url: this.#doors, learnDoors: true } : { url: this.#url, learnDoors: false };
  }

  /** A bot's way in, with everything that it asks on record. */
  #recordedDoor(user: string): Door {
    const number = Number(user.split("-").at(-1));
    const client = connect({ ...this.#way(number), token: `dev:${user}`, random: impatient });
    return {
      execute: async (type, key, name, input) => {
        const told = await this.#recorder.ask(client, { who: user, type, key, name, input });
        if (told.kind !== "ok") throw new Error(`${name} of ${type}/${key}: ${told.kind}`);
        return told.value;
      },
      watch: (type, key, view, listener) => {
        const watch = client.entity(type, key).watch(view, ({ value, version }) => {
          this.#recorder.shown.push({ who: user, type, key, version });
          listener(value);
        });
        return () => watch.stop();
      },
      close: () => client.close(),
    };
  }

  async #loop(who: string, prng: Prng, work: (who: string, prng: Prng) => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      await work(who, prng);
      await sleep(prng.integer(2 * restMs));
    }
  }

  async #useRegister(client: Client<Untyped>, who: string, prng: Prng): Promise<void> {
    const slot = prng.integer(registersAtOnce);
    const register = this.#registers[slot] as { key: string; count: number };
    if (++register.count >= operationsPerRegister) this.#renew(slot);
    const of = { who, type: "register", key: register.key };
    const draw = prng.integer(10);
    if (draw < 4) return void (await this.#recorder.ask(client, { ...of, name: "read", input: undefined }, true));
    if (draw < 7)
      return void (await this.#recorder.ask(client, { ...of, name: "write", input: { value: ++this.#lastValue } }));
    const seen = await this.#recorder.ask(client, { ...of, name: "read", input: undefined }, true);
    if (seen.kind !== "ok" || this.#stopped) return;
    await this.#recorder.ask(client, { ...of, name: "swap", input: { from: seen.value, to: ++this.#lastValue } });
  }

  #renew(slot: number): void {
    this.#registers[slot] = { key: `r${++this.#madeRegisters}`, count: 0 };
  }

  async #usePurse(client: Client<Untyped>, who: string, prng: Prng): Promise<void> {
    const one = () => `p${prng.integer(purses)}`;
    const of = { who, type: "purse", key: one() };
    const amount = prng.between(1, 20);
    const draw = prng.integer(10);
    if (draw < 2) await this.#recorder.ask(client, { ...of, name: "grant", input: { amount: 2 * amount } });
    else if (draw < 4) await this.#recorder.ask(client, { ...of, name: "spend", input: { amount } });
    else if (draw < 8) await this.#recorder.ask(client, { ...of, name: "pay", input: { amount, to: one() } });
    else await this.#recorder.ask(client, { ...of, name: "balance", input: undefined }, true);
  }
}
