/**
 * The durable subscribers of a simulated service: their sinks, an operator who orders them about, and second runners that believe
 * for a while that they are the only ones.
 *
 * Invariant: when the faults are over every subscriber runs again, whatever was done to it; so a run can come to rest.
 */
import { isHoldfastError } from "../../model/errors.ts";
import { type ShardId, shardOf } from "../../model/ids.ts";
import type { Principal, WatchCall, WatchNews } from "../../model/records.ts";
import type { OpenFeeds } from "../../propagation/feeds.ts";
import { type SubscriberOrder, Subscribers, type SubscribersOptions } from "../../propagation/subscribers.ts";
import type { HoldfastNode } from "../../runtime/node.ts";
import { Prng } from "../../std/prng.ts";
import type { Server } from "../server.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";
import { SimSink, type SinkHolder, SinkStore } from "./sim-sink.ts";
import { SubscriberRecord } from "./subscriber-record.ts";
import type { FeedTruth } from "./truth.ts";

const operator: Principal = { kind: "operator", id: "sim" };
const lookMs = 300;

export class SimSubscribers {
  readonly #world: World;
  readonly #server: Server;
  readonly #truth: FeedTruth;
  readonly #prng: Prng;
  readonly #stores = new Map<string, SinkStore>();
  /** A second runner is at work in this life of the node. */
  #rivalled: SinkHolder | undefined;

  constructor(world: World, server: Server, witness: Witness, truth: FeedTruth) {
    this.#world = world;
    this.#server = server;
    this.#truth = truth;
    this.#prng = new Prng(world.swarm.seed ^ 0x73756273);
    const parts = { world, truth, keptFrom: (shard: ShardId) => server.kept.archive.begins(shard) };
    for (const { name, ask } of world.swarm.downstream.subscribers) {
      this.#stores.set(name, new SinkStore(new SubscriberRecord(parts, name)));
      world.note(`${name}: ${JSON.stringify(ask)}`);
    }
    if (this.#stores.size === 0) return;
    witness.onOwn = (record) => this.#stores.get(record.entity.key)?.record.saw(record);
    server.subscribe = (life, node, feeds) => this.#subscribe(life, node, feeds);
  }

  begin(): void {
    if (this.#stores.size === 0) return;
    this.#operate();
    const { timeline, swarm } = this.#world;
    for (let index = 0; index < swarm.downstream.rivals; index++)
      timeline.after(this.#prng.integer(swarm.faultsMs), () => this.#beginRival());
  }

  #options(life: SinkHolder, node: HoldfastNode, feeds: OpenFeeds): SubscribersOptions {
    const onOpening = (name: string) => this.#rewindOpening(name);
    const facts = { world: this.#world, prng: this.#prng, stores: this.#stores, onOpening };
    return {
      service: this.#world.swarm.downstream.rivals > 0 ? this.#lateNews(node) : node,
      feeds,
      source: node.source,
      random: { bytes: (count) => this.#prng.bytes(count) },
      sinks: { loose: () => new SimSink(facts, life, false), exact: () => new SimSink(facts, life, true) },
      declared: this.#world.swarm.downstream.subscribers
        .filter(({ name }) => name === "sub-0")
        .map(({ name, ask }) => ({ name, ...ask })),
      report: (where, error) => {
        // a declaration that took longer than request ids are remembered is made again at the next start
        if (isHoldfastError(error) && error.code === "request-expired") return;
        this.#world.violated("runners do not fail", `${where}: ${String(error)}`);
      },
    };
  }

  #subscribe(life: SinkHolder, node: HoldfastNode, feeds: OpenFeeds): Subscribers {
    const subscribers = new Subscribers(this.#options(life, node, feeds));
    subscribers.start();
    return subscribers;
  }

  /** What a runner hears of its orders comes late, though in order as from any watch: it goes on for a while after another has begun. */
  #lateNews(node: HoldfastNode): SubscribersOptions["service"] {
    const watch = (call: WatchCall, listener: (news: WatchNews) => void) => {
      const { clock } = node.source;
      let [first, ended, lastMs] = [true, false, 0];
      return node.watch(call, (news) => {
        if (ended) return;
        ended = !news.ok;
        if (first || !news.ok) listener(news);
        else {
          lastMs = Math.max(lastMs, clock.monotonic() + this.#prng.integer(1_500));
          clock.after(lastMs - clock.monotonic(), () => ended || listener(news));
        }
        first = false;
      });
    };
    return {
      limits: node.limits,
      execute: (call, done) => node.execute(call, done),
      query: (call, done) => node.query(call, done),
      watch,
    };
  }

  /** It works until the process ends, soon after. */
  #beginRival(): void {
    const { node, feeds, life } = this.#server;
    if (node === undefined || feeds === undefined || life === undefined || !this.#world.faulty) return;
    this.#world.note("a second runner");
    new Subscribers(this.#options(life, node, feeds)).start();
    this.#rivalled = life;
    this.#world.timeline.after(this.#prng.between(100, 3_000), () => this.endRival());
  }

  endRival(): void {
    if (this.#rivalled !== undefined && this.#rivalled === this.#server.life) this.#server.crash("process");
    this.#rivalled = undefined;
  }

  #operate(): void {
    const { timeline, faulty, swarm } = this.#world;
    const { ordersMs } = swarm.downstream;
    if (!faulty) this.endRival();
    if (!faulty || ordersMs > 0) for (const { record } of this.#stores.values()) this.#treat(record);
    else this.#createAll();
    timeline.after(faulty && ordersMs > 0 ? this.#prng.integer(2 * ordersMs) : lookMs, () => this.#operate());
  }

  #createAll(): void {
    for (const { record } of this.#stores.values())
      if (record.config === null && record.epoch === 0) this.#create(record.name);
  }

  #treat(record: SubscriberRecord): void {
    const { name, config, trouble, paused } = record;
    const prng = this.#prng;
    if (config === null) return this.#create(name);
    if (!this.#world.faulty) {
      if (trouble?.kind === "failed") this.#order({ name, verb: "rewind", start: "beginning" });
      else if ((trouble?.batch ?? null) !== null) this.#order({ name, verb: "skip" });
      else if (paused || trouble !== null) this.#order({ name, verb: "resume" });
      else if (trouble === null && record.aside.length > 0) this.#order({ name, verb: "drop" });
      return;
    }
    const draw = prng.integer(20);
    if (draw < 5) this.#order({ name, verb: "pause" });
    else if (draw < 11) this.#order({ name, verb: "resume" });
    else if (draw < 13) this.#order({ name, verb: "rewind", start: this.#drawStart(record) });
    else if (draw < 15) this.#order({ name, verb: "skip" });
    else if (draw < 17) this.#order({ name, verb: prng.pick(["replay", "drop"]) });
    else if (draw < 18) this.#order({ name, verb: "delete" });
  }

  #rewindOpening(name: string): void {
    const { faulty, swarm } = this.#world;
    const record = this.#stores.get(name)?.record;
    if (!faulty || swarm.downstream.ordersMs === 0 || record === undefined || !this.#prng.chance(0.1)) return;
    this.#order({ name, verb: "rewind", start: this.#drawStart(record) });
  }

  #drawStart({ begun }: SubscriberRecord): unknown {
    const draw = this.#prng.integer(4);
    if (draw === 0 || begun === null) return "beginning";
    return draw === 1 ? "now" : { cursor: begun };
  }

  #create(name: string): void {
    const facts = this.#world.swarm.downstream.subscribers.find((one) => one.name === name);
    if (facts === undefined) return;
    void this.#server.subscribers?.create(name, facts.ask, operator).catch(() => {});
  }

  #order(order: Omit<SubscriberOrder, "principal">): void {
    void this.#server.subscribers?.order({ ...order, principal: operator }).catch(() => {});
  }

  /** What has not arrived, in words. */
  get open(): string | undefined {
    for (const { record, ...store } of this.#stores.values()) {
      const { name, config, paused, trouble, opening, cursor } = record;
      if (config === null) return `${name} is not there`;
      if (paused || trouble !== null || cursor === null) return `${name} is ${trouble?.kind ?? "not running"}`;
      const book = opening?.book ?? record.bookAt(opening?.from ?? cursor);
      const open = book.describeOpen();
      if (open !== undefined) return `${name}: ${open}`;
      void store;
    }
    return undefined;
  }

  /** At rest: everything that came since the last rewind was taken. */
  checkLast(): void {
    for (const store of this.#stores.values()) {
      const { record } = store;
      if (record.config === null || record.begun === null || !record.isWhole) continue;
      if (record.config.form === "changes") this.#checkChanges(store);
      else if (record.config.filter.events === undefined) this.#checkStates(store);
    }
  }

  #checkChanges({ record, taken }: SinkStore): void {
    const { name, begun, config } = record;
    for (const [shard, { offset }] of record.bookAt(begun as string).places)
      for (const change of this.#truth.changes(config?.filter ?? {}, 0, shard, [offset, this.#truth.next(shard)])) {
        const { index } = change;
        if (!taken.has(`${shard}-${change.offset}-${index}`))
          return this.#world.violated("everything arrives", `${name}: ${shard}-${change.offset}-${index} did not`);
      }
  }

  #checkStates({ record, latest }: SinkStore): void {
    const { shardCount } = this.#world.swarm;
    for (const [entity, version] of latest) {
      const last = this.#truth.lastVersion(entity);
      const [type = "", key = ""] = entity.split("/");
      if (version !== last && shardOf(type, key, shardCount) >= 0)
        return this.#world.violated("the last state arrives", `${record.name}: ${entity} at ${version}, not ${last}`);
    }
  }
}
