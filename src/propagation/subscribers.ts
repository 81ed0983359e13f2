/**
 * The durable subscribers of a node: it runs those whose shard it serves, tells how they are, and takes orders for them.
 *
 * What there are is read from the directory entity, each one's orders from its own; both are watched. A watch that ends (the
 * shard moved, or recovers) ends the running, and a watch that begins begins one, with an epoch of its own.
 *
 * Invariant: until everything is known of all of them, everything is held for them, within the cap.
 */
import { directoryKey, directoryType, runnerPrincipal, subscriberType } from "../core/changefeed/subscriber-entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { FeedStart } from "../model/feeds.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { checkSubscriberName, readFeedStart, readSubscriberAsk } from "../model/subscriber-config.ts";
import type {
  AsideRecord,
  SubscriberAsk,
  SubscriberConfig,
  SubscriberDeclaration,
  SubscriberStatus,
} from "../model/subscribers.ts";
import type { Random } from "../ports/clock.ts";
import type { FeedSource } from "../runtime/feed-source.ts";
import type { Served } from "../runtime/served.ts";
import type { Service } from "../runtime/service.ts";
import type { Feeds } from "./feed.ts";
import { Follow } from "./follow.ts";
import { FollowedSubscriber, type FollowParts, forbidden } from "./followed-subscriber.ts";
import { OwnCommands } from "./own-commands.ts";
import { subscriberAsk } from "./subscriber-ask.ts";
import type { SubscriberGroup } from "./subscriber-group.ts";
import type { SinkMaker } from "./subscriber-run.ts";

export interface SubscribersOptions {
  readonly service: Pick<Service, "execute" | "query" | "watch" | "limits">;
  readonly feeds: Feeds;
  readonly source: FeedSource;
  readonly random: Random;
  /** By the names that subscribers give. */
  readonly sinks?: Readonly<Record<string, SinkMaker>>;
  readonly declared?: readonly SubscriberDeclaration[];
  /** Of the node, for who looks. */
  readonly node?: string;
  /** Where there are several nodes: each runs those whose entity's shard it serves. */
  readonly served?: Served;
  readonly report?: (where: string, error: unknown) => void;
}

/** What an operator may do with one. */
export const subscriberVerbs = ["pause", "resume", "rewind", "skip", "replay", "drop", "delete"] as const;
export type SubscriberVerb = (typeof subscriberVerbs)[number];

export interface SubscriberOrder {
  readonly name: string;
  readonly verb: SubscriberVerb;
  readonly principal: Principal;
  /** Of `rewind`. */
  readonly start?: unknown;
  /** Of `replay` and `drop`: which records that were set aside. Default: all. */
  readonly ids?: readonly number[];
}

const declarer: Principal = { kind: "system", id: "declaration" };
/** How long a new subscriber's first word is waited for. */
const knownMs = 5_000;

export class Subscribers {
  readonly #options: SubscribersOptions;
  readonly #parts: FollowParts;
  readonly #followed = new Map<string, FollowedSubscriber>();
  /** As the directory names them; undefined before it was read. */
  #listed: ReadonlySet<string> | undefined;
  #directory: Follow<readonly string[]> | undefined;
  #stopped = false;
  #unserved: () => void = () => {};
  /** Lets the tails of all shards be known, while there are subscribers whose lag may be asked for. */
  #unheed: (() => void) | undefined;

  /** @throws `invalid-input` a declaration is wrong */
  constructor(options: SubscribersOptions) {
    this.#options = options;
    const { service, feeds, source, random, sinks = {}, served, node = "", report = () => {} } = options;
    const commands = new OwnCommands({ service, clock: source.clock, random, now: source.now });
    const parts = { commands, service, feeds, source, random, sinks, report };
    this.#parts = {
      ...parts,
      // Of a node that is one of several, as it is when that is needed: its name is known when it has joined.
      get node() {
        return served?.name ?? node;
      },
      ...(served === undefined ? {} : { served }),
    };
    for (const declared of options.declared ?? []) this.#declaration(declared);
  }

  /** Begins when the node serves: follows those that are there, and declares those of the code. */
  start(): void {
    const { service, source, served } = this.#options;
    this.#unserved = served?.onChange(() => this.#servedChanged()) ?? this.#unserved;
    this.#directory = new Follow<readonly string[]>(
      { service, clock: source.clock },
      { entity: { type: directoryType, key: directoryKey }, view: "names", principal: runnerPrincipal },
      { news: (names) => this.#list(names), lost: () => {} },
    );
    for (const declared of this.#options.declared ?? []) void this.#declare(declared);
  }

  /** Each running records where it stands. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unserved();
    this.#unheed?.();
    this.#directory?.end();
    await Promise.all([...this.#followed.values()].map((one) => one.end()));
  }

  /** How many the directory names. */
  get listed(): number {
    return this.#listed?.size ?? 0;
  }

  list(): SubscriberStatus[] {
    const found = [...this.#followed.values()].map((one) => one.status()).filter((status) => status !== undefined);
    return found.sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** @throws `not-found` */
  show(name: string): SubscriberStatus {
    const status = this.#followed.get(name)?.status();
    if (status === undefined) throw notFound(name);
    return status;
  }

  /** For consumers of a subscriber that is pulled. @throws `forbidden`, `unavailable`, `cursor-lost` */
  pulled(name: string, principal: Principal): SubscriberGroup {
    const one = this.#followed.get(name);
    if (one === undefined) throw principal.kind === "operator" ? notFound(name) : forbidden(name);
    return one.pulled(principal);
  }

  /** What its sink refused. @throws `not-found`, `unavailable` */
  async aside(name: string): Promise<readonly AsideRecord[]> {
    this.show(name);
    const entity = { type: subscriberType, key: name };
    const call = { entity, query: "aside", input: undefined, principal: runnerPrincipal };
    const result = await new Promise<CallResult>((done) => this.#options.service.query(call, done));
    if (!result.ok) throw new HoldfastError(result.code, result.detail);
    return result.value as unknown as readonly AsideRecord[];
  }

  /**
   * @throws `invalid-input`, `unknown-type`, `unknown-view`, `forbidden` what is asked for cannot be followed
   * @throws `rejected` there is one of this name; `overloaded` there are too many
   */
  async create(name: string, ask: SubscriberAsk, principal: Principal): Promise<SubscriberStatus> {
    checkSubscriberName(name);
    const { service, feeds } = this.#options;
    const { kind, id } = principal;
    const config = readSubscriberAsk(ask, { kind, id }, service.limits);
    if (this.listed >= service.limits.subscribersMax)
      throw new HoldfastError("overloaded", `There are ${service.limits.subscribersMax} subscribers; delete one.`);
    const feed = await feeds.open(subscriberAsk(config, config.start));
    feed.close();
    await this.#execute({ name, command: "create", input: { config }, principal });
    return await this.#known(name);
  }

  /** @throws `not-found`, `invalid-input`, `forbidden`; `rejected` it cannot be done now; the detail says why */
  async order({ name, verb, principal, start, ids }: SubscriberOrder): Promise<void> {
    checkSubscriberName(name);
    if (this.#followed.get(name)?.status() === undefined) throw notFound(name);
    await this.#execute({ name, command: verb, input: inputOf(verb, start, ids), principal });
  }

  /** Of the shard, the record before which nothing is kept for subscribers; undefined: nothing is. */
  held(shard: ShardId): Offset | undefined {
    const { source } = this.#options;
    const tail = source.recent.tail(shard);
    const floor = Math.max(1, tail - source.limits.subscriberHoldRecordsMax);
    if (!this.#isKnown) return floor;
    let held: Offset | undefined;
    for (const one of this.#followed.values()) {
      const offset = one.held(shard);
      if (offset !== undefined && offset >= floor) held = Math.min(held ?? offset, offset);
      else if (offset !== undefined) held = Math.min(held ?? floor, floor);
    }
    return held;
  }

  get #isKnown(): boolean {
    const listed = this.#listed;
    if (listed === undefined) return false;
    for (const name of listed) if (this.#followed.get(name)?.isKnown !== true) return false;
    return true;
  }

  #servedChanged(): void {
    for (const one of this.#followed.values()) one.servedChanged();
  }

  #list(names: readonly string[]): void {
    this.#listed = new Set(names);
    const { source } = this.#options;
    if (names.length > 0) this.#unheed ??= source.heed([...Array.from({ length: source.shardCount }).keys()], "tails");
    for (const name of names) this.#follow(name);
    this.#prune();
  }

  #follow(name: string): FollowedSubscriber {
    let one = this.#followed.get(name);
    if (one === undefined) {
      one = new FollowedSubscriber(name, this.#parts, () => this.#prune());
      this.#followed.set(name, one);
      one.start();
    }
    return one;
  }

  /** Lets those go that are neither listed nor there. */
  #prune(): void {
    if (this.#stopped) return;
    for (const [name, one] of this.#followed) {
      if (this.#listed?.has(name) === true || !one.isGone) continue;
      this.#followed.delete(name);
      void one.end();
    }
  }

  async #known(name: string): Promise<SubscriberStatus> {
    const { clock } = this.#options.source;
    const one = this.#follow(name);
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = clock.after(knownMs, resolve);
    });
    await Promise.race([one.known(), late]);
    cancel();
    return this.show(name);
  }

  #declaration({ name, ...ask }: SubscriberDeclaration): { name: string; config: SubscriberConfig } {
    const { kind, id } = declarer;
    return {
      name: checkSubscriberName(name),
      config: readSubscriberAsk(ask, { kind, id }, this.#options.service.limits),
    };
  }

  async #declare(declared: SubscriberDeclaration): Promise<void> {
    const { name, config } = this.#declaration(declared);
    const result = await this.#parts.commands.untilAnswered(
      { entity: { type: subscriberType, key: name }, command: "declare", input: { config }, principal: declarer },
      () => this.#stopped,
    );
    if (result.ok) this.#follow(name);
    else if (!this.#stopped) this.#parts.report(`subscriber ${name}`, new HoldfastError(result.code, result.detail));
  }

  async #execute(order: { name: string; command: string; input: unknown; principal: Principal }): Promise<void> {
    const { name, command, input, principal } = order;
    const entity = { type: subscriberType, key: name };
    const result = await this.#parts.commands.once({ entity, command, input, principal });
    if (result.ok) return;
    if (result.reason === "not-found" && (command === "replay" || command === "drop"))
      throw new HoldfastError("not-found", "No such record is set aside.");
    if (result.reason === "not-found") throw notFound(name);
    throw new HoldfastError(result.code, refusals[result.reason ?? ""] ?? result.detail, {
      ...(result.reason === undefined ? {} : { details: { reason: result.reason } }),
    });
  }
}

const refusals: Readonly<Record<string, string>> = {
  exists: "There is a subscriber of this name.",
  "rewind-needed": "Its records are gone; rewind it to a start that there still is.",
  "nothing-to-skip": "It is not parked in front of a batch.",
};

function notFound(name: string): HoldfastError {
  return new HoldfastError("not-found", `There is no subscriber "${name}".`);
}

function inputOf(verb: SubscriberVerb, start: unknown, ids: readonly number[] | undefined): unknown {
  if (verb === "rewind") return { start: readFeedStart(start) satisfies FeedStart };
  if (start !== undefined) throw new HoldfastError("invalid-input", "Only a rewind takes a start.");
  if (verb === "replay" || verb === "drop") return { ids: ids ?? null };
  if (ids !== undefined) throw new HoldfastError("invalid-input", "Only replay and drop take ids.");
  return undefined;
}
