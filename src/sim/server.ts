/**
 * The node behind its network: hands calls to the incarnation that lives, has every answer checked, and starts the node
 * again when it ended.
 *
 * Invariant: at most one incarnation lives; what an ended one would still say reaches nobody.
 */

import { formatRef } from "../model/ids.ts";
import type { OperatorCall, ParkedEntry } from "../model/marks.ts";
import type { CallResult, CommandCall, Principal, QueryCall, WatchCall, WatchNews } from "../model/records.ts";
import type { OpenFeeds } from "../propagation/feeds.ts";
import type { Subscribers } from "../propagation/subscribers.ts";
import type { HoldfastNode } from "../runtime/node.ts";
import type { Engine } from "./engines.ts";
import { Incarnation, type IncarnationOptions } from "./incarnation.ts";
import { Kept } from "./kept.ts";
import { SimNetwork } from "./network.ts";
import { Observer } from "./observer.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

export class Server {
  readonly observer: Observer;
  readonly network: SimNetwork;
  #incarnation: Incarnation | undefined;
  #serving = false;
  #started = 0;
  #full = false;
  /** Space was short at some time in this life. */
  #sawFull = false;
  /** Called whenever the node begins to serve. */
  readonly onServing: (() => void)[] = [];
  readonly #world: World;
  readonly #engine: Engine;
  readonly #witness: Witness;
  /** What it keeps beside its log. */
  readonly kept: Kept;

  constructor(world: World, engine: Engine, witness: Witness) {
    this.#world = world;
    this.#engine = engine;
    this.#witness = witness;
    this.kept = new Kept(world);
    this.observer = new Observer(world, witness);
    this.network = new SimNetwork(world);
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** The node that serves, if one does. */
  get node(): HoldfastNode | undefined {
    const life = this.#incarnation;
    return this.#serving && life !== undefined && life.alive && !life.failed ? life.node : undefined;
  }

  /** Of the node that serves; another one after each start. */
  get life(): { readonly alive: boolean } | undefined {
    return this.node === undefined ? undefined : this.#incarnation;
  }

  /** Makes the subscribers of a node that serves. */
  subscribe: IncarnationOptions["subscribe"] = () => undefined;

  get subscribers(): Subscribers | undefined {
    return this.node === undefined ? undefined : this.#incarnation?.subscribers;
  }

  /** Of the node that serves. */
  get feeds(): OpenFeeds | undefined {
    return this.node === undefined ? undefined : this.#incarnation?.feeds;
  }

  start(): void {
    if (this.#incarnation !== undefined) return;
    const number = ++this.#started;
    this.#sawFull = this.#full;
    const { prng, timeline } = this.#world;
    this.#world.counts.restarts = number - 1;
    this.#world.note(`node ${number} starts`);
    const mine = (work: () => void) => () => {
      if (this.#incarnation === undefined || this.#incarnation === life) work();
    };
    const life = new Incarnation(
      {
        world: this.#world,
        engine: this.#engine,
        kept: this.kept,
        witness: this.#witness,
        number,
        subscribe: (...parts) => this.subscribe(...parts),
        onServing: mine(() => {
          this.#serving = true;
          this.#witness.ledger.checkMoney(`when node ${number} began to serve`);
          for (const tell of this.onServing) tell();
        }),
        onEnded: mine(() => {
          this.#gone();
          timeline.after(prng.integer(300), () => this.start());
        }),
      },
      () => this.#sawFull,
    );
    this.#incarnation = life.alive ? life : undefined;
  }

  #gone(): void {
    this.#witness.early.ended();
    this.#incarnation = undefined;
    this.#serving = false;
  }

  /** Ends the process, with or without the machine. It is started again after a while. */
  crash(how: "process" | "power"): void {
    this.#world.note(`crash of the ${how}`);
    const pause = this.#world.prng.pick([0, 20, 400, 3_000]);
    this.#incarnation?.kill();
    if (how === "power") {
      this.#engine.cutPower();
      this.kept.cutPower();
    }
    const was = this.#incarnation;
    this.#gone();
    if (was !== undefined) this.#world.timeline.after(this.#world.prng.integer(pause + 1), () => this.start());
  }

  stop(): void {
    const life = this.#incarnation;
    if (life === undefined || !this.#serving) return;
    this.#world.note("orderly stop");
    life.stop(() => {
      if (this.#incarnation !== life) return;
      this.#gone();
      this.#world.timeline.after(this.#world.prng.integer(100), () => this.start());
    });
  }

  setFull(full: boolean): void {
    this.#world.note(full ? "no space" : "space again");
    this.#full = full;
    this.#sawFull ||= full;
    this.#engine.setFull(full);
  }

  setWall(errorMs: number): void {
    this.#world.note(`the wall clock is off by ${errorMs} ms`);
    this.#incarnation?.clock.jump(errorMs - this.#world.wallErrorMs);
    this.#world.wallErrorMs = errorMs;
  }

  execute({ call, floor }: { call: CommandCall; floor: number }, answer: (result: CallResult) => void): void {
    this.network.carry(() => {
      const life = this.#incarnation;
      if (life?.node === undefined) return;
      this.#world.counts.calls++;
      const input: unknown = typeof call.input === "object" ? { ...call.input } : call.input;
      life.node.execute({ ...call, input }, (result) => {
        if (!this.#maySpeak(life)) return;
        this.#noteAnswer(`${call.command} ${formatRef(call.entity)} ${call.requestId.slice(-6)}`, result);
        this.observer.replied(call, result, floor);
        this.network.carry(() => answer(result));
      });
    });
  }

  query(call: QueryCall, answer: (result: CallResult) => void): void {
    this.network.carry(() => {
      const life = this.#incarnation;
      if (life?.node === undefined) return;
      this.#world.counts.calls++;
      const floor = this.observer.floor(formatRef(call.entity));
      life.node.query(call, (result) => {
        if (!this.#maySpeak(life)) return;
        this.#noteAnswer(`${call.query} ${formatRef(call.entity)}`, result);
        this.observer.answered(call, result, floor);
        this.network.carry(() => answer(result));
      });
    });
  }

  quarantined(principal: Principal): readonly ParkedEntry[] {
    return this.#serving ? (this.#incarnation?.node?.quarantined(principal) ?? []) : [];
  }

  /** Of the node that lives now, whether its mark is durable or not. */
  get parked(): number {
    return this.#incarnation?.node?.health().quarantined ?? 0;
  }

  operate(call: OperatorCall, answer: (result: CallResult) => void): void {
    this.network.carry(() => {
      const life = this.#incarnation;
      if (life?.node === undefined) return;
      life.node.operate(call, (result) => {
        if (!this.#maySpeak(life)) return;
        this.#noteAnswer(`${call.verb} ${formatRef(call.entity)}`, result);
        answer(result);
      });
    });
  }

  /** @returns stops it; undefined if the node is not there */
  watch(call: WatchCall, listener: (news: WatchNews) => void): (() => void) | undefined {
    const life = this.#incarnation;
    if (life?.node === undefined) return undefined;
    return life.node.watch(call, (news) => {
      if (this.#maySpeak(life)) listener(news);
    });
  }

  #maySpeak(life: Incarnation): boolean {
    if (life.failed) this.#world.violated("a failed node says nothing", "it answered after it had stopped");
    return life.alive && !life.failed;
  }

  #noteAnswer(what: string, result: CallResult): void {
    const told = result.ok ? `${JSON.stringify(result.value)} at ${result.version}` : result.code;
    this.#world.note(`answer ${what}: ${told}`);
  }
}
