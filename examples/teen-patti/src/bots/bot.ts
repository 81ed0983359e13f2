/**
 * One bot at one table: watches its account and the table, and does what `brain.ts` wishes, after some thought.
 *
 * Invariants: at most one command is under way; what is carried out was wished for the newest view, not for the one that
 * started the thinking; after `stop` it does nothing more.
 */
import type { MeView, TableView } from "../contract.ts";
import type { Clock } from "../system.ts";
import { type BotOptions, momentOf, phraseFor, type Wish, wishOf } from "./brain.ts";
import type { Chance } from "./chance.ts";
import type { Door } from "./door.ts";

export type Speed = "human" | "max";

export interface BotSetup {
  readonly user: string;
  readonly name: string;
  readonly table: string;
  readonly options: BotOptions;
  readonly speed: Speed;
  readonly door: Door;
  readonly clock: Clock;
  readonly chance: Chance;
  /** A command was answered (or refused) after this long. */
  readonly onAnswer?: (latencyMs: number, failed: boolean) => void;
}

const THINK_MS_MIN = 1_000;
const THINK_MS_SPREAD = 3_000;
/** After a refusal: the view will tell why, but perhaps not at once. */
const RETRY_MS = 500;

export class Bot {
  readonly #setup: BotSetup;
  #me: MeView | undefined;
  #view: TableView | undefined;
  /** The moment of the last thing that was begun. */
  #moment = "";
  #busy = false;
  #stopped = false;
  #handsSeen = 0;
  #stops: (() => void)[] = [];
  #cancelThought: () => void = () => {};

  constructor(setup: BotSetup) {
    this.#setup = setup;
  }

  start(): void {
    const { door, user, table } = this.#setup;
    this.#stops = [
      door.watch("player", user, "me", (value) => {
        this.#me = value as MeView;
        this.#consider();
      }),
      door.watch("table", table, "seat", (value) => {
        this.#view = value as TableView;
        this.#chat(this.#view);
        this.#consider();
      }),
    ];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelThought();
    for (const stop of this.#stops) stop();
    await this.#setup.door.close();
  }

  /** Something changed: begin to think, unless that is under way. */
  #consider(): void {
    if (this.#stopped || this.#busy || this.#me === undefined || this.#view === undefined) return;
    const { options, speed, clock, chance } = this.#setup;
    const wish = wishOf(this.#me, this.#view, options, chance());
    if (wish.want === "wait") return;
    const moment = momentOf(this.#me, this.#view, wish);
    if (moment === this.#moment) return;
    this.#moment = moment;
    if (speed === "max") return void this.#carryOut(wish);
    this.#busy = true;
    this.#cancelThought = clock.after(THINK_MS_MIN + chance() * THINK_MS_SPREAD, () => this.#afterThought(moment));
  }

  /** The views may have moved on while the bot was thinking. */
  #afterThought(moment: string): void {
    this.#busy = false;
    if (this.#stopped || this.#me === undefined || this.#view === undefined) return;
    const wish = wishOf(this.#me, this.#view, this.#setup.options, this.#setup.chance());
    if (wish.want !== "wait" && momentOf(this.#me, this.#view, wish) === moment) void this.#carryOut(wish);
    else this.#consider();
  }

  async #carryOut(wish: Wish): Promise<void> {
    const { clock, onAnswer } = this.#setup;
    this.#busy = true;
    const startedMs = clock.monotonic();
    try {
      await this.#run(wish);
      onAnswer?.(clock.monotonic() - startedMs, false);
    } catch {
      // refused or cut off: look again in a while, whatever the views say by then
      onAnswer?.(clock.monotonic() - startedMs, true);
      clock.after(RETRY_MS, () => {
        this.#moment = "";
        this.#consider();
      });
    }
    this.#busy = false;
    this.#consider();
  }

  async #run(wish: Wish): Promise<unknown> {
    const { door, user, table, name } = this.#setup;
    switch (wish.want) {
      case "join":
        return door.execute("player", user, "join", { name });
      case "topUp":
        return door.execute("player", user, "topUp");
      case "sit":
        return door.execute("player", user, "sit", { table, buyIn: wish.buyIn });
      case "leave":
        return door.execute("table", table, "leave");
      case "back":
        return door.execute("table", table, "back");
      case "act":
        return door.execute("table", table, "act", wish.input);
      default:
        return undefined;
    }
  }

  /** A word after a hand, now and then; only at human speed. */
  #chat(view: TableView): void {
    const { speed, chance, door, table } = this.#setup;
    const handNumber = view.recentHands[0]?.handNumber ?? 0;
    if (speed === "max" || handNumber === this.#handsSeen) return;
    const isFirst = this.#handsSeen === 0;
    this.#handsSeen = handNumber;
    const phrase = isFirst ? null : phraseFor(view, chance());
    if (phrase !== null) void door.execute("table", table, "say", { phrase }).catch(() => undefined);
  }
}
