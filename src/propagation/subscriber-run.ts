/**
 * Performs one running of a subscriber: `core/changefeed/subscriber.ts` says what is next, here it is done.
 *
 * Invariant: one thing at a time; what was opened is closed before the running ends, also when something failed on the way.
 */
import { hear, makeRun, nextOf, stopRun } from "../core/changefeed/subscriber.ts";
import { runnerPrincipal, subscriberType } from "../core/changefeed/subscriber-entity.ts";
import type { Facts, Next, Outcome, Run, RunBatch } from "../core/changefeed/subscriber-steps.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import { type FeedBatch, type FeedItem, noLag } from "../model/feeds.ts";
import type { Offset } from "../model/ids.ts";
import type { CallResult } from "../model/records.ts";
import type { SubscriberConfig, SubscriberOrders } from "../model/subscribers.ts";
import type { Random } from "../ports/clock.ts";
import type { Sink } from "../ports/sink.ts";
import type { FeedSource } from "../runtime/feed-source.ts";
import type { Feed, Feeds } from "./feed.ts";
import type { OwnCommands } from "./own-commands.ts";
import { isWhole, lagOf, placesIn, recordsBetween } from "./places.ts";
import { subscriberAsk } from "./subscriber-ask.ts";

/** Makes a sink; secrets stay in its code and in the environment. */
export type SinkMaker = () => Sink;

export interface RunParts {
  readonly name: string;
  readonly commands: OwnCommands;
  readonly feeds: Feeds;
  readonly source: FeedSource;
  readonly random: Random;
  readonly sinks: Readonly<Record<string, SinkMaker>>;
  /** Of the node, for who looks. */
  readonly node: string;
  readonly report: (where: string, error: unknown) => void;
}

/** A sink or feed that is open. */
interface Opened {
  readonly sink: Sink;
  feed: Feed;
  /** What the sink was given as its last cursor. */
  mark: string;
  /** The feed was closed to end a read. */
  isLetGo: boolean;
}

export class SubscriberRun {
  readonly #parts: RunParts;
  readonly #run: Run;
  #opened: Opened | undefined;
  /** Lets be what is being waited for. */
  #interrupt: () => void = () => {};
  #over: Promise<void> | undefined;

  constructor(parts: RunParts, orders: SubscriberOrders, version: Offset) {
    this.#parts = parts;
    this.#run = makeRun(orders, version, parts.source.limits);
  }

  get lastError(): string | null {
    return this.#run.lastError;
  }

  /** Where it stands, recorded or not; undefined if it is not open. */
  get place(): { readonly cursor: string; readonly readMs: number } | undefined {
    const { opened, place, placeMs, last } = this.#run;
    if (opened === undefined || place === undefined) return undefined;
    // A feed that waits has passed what is nobody's news, other subscribers' cursors among it.
    const waiting = last.kind === "read" ? this.#opened?.feed : undefined;
    return { cursor: waiting?.cursor ?? place, readMs: placeMs };
  }

  start(): void {
    const { name, report } = this.#parts;
    this.#over ??= this.#loop().catch((error: unknown) => report(`subscriber ${name}`, error));
  }

  hear(orders: SubscriberOrders, version: Offset): void {
    if (hear(this.#run, orders, version)) this.#interrupt();
  }

  /** Records where it stands, closes, and is over. */
  async stop(): Promise<void> {
    stopRun(this.#run);
    this.#interrupt();
    await this.#over;
  }

  async #loop(): Promise<void> {
    let outcome: Outcome = { kind: "done" };
    for (;;) {
      const next = nextOf(this.#run, outcome, this.#facts());
      if (next.kind === "stop") return;
      outcome = await this.#perform(next);
      this.#interrupt = () => {};
    }
  }

  #facts(): Facts {
    const { source, random } = this.#parts;
    const [byte = 0] = random.bytes(1);
    const { place, placeMs } = this.#run;
    const lag = place === undefined ? noLag : lagOf(placesIn(place, source), placeMs, source);
    return { nowMs: source.clock.monotonic(), chance: byte / 256, lag };
  }

  async #perform(next: Next): Promise<Outcome> {
    try {
      return await this.#done(next);
    } catch (error) {
      const { name, report } = this.#parts;
      if (isHoldfastError(error)) {
        const retryAfterMs = error.details?.["retryAfterMs"];
        const failed = { kind: "failed", code: error.code, detail: error.message } as const;
        return typeof retryAfterMs === "number" ? { ...failed, retryAfterMs } : failed;
      }
      // A sink is code of the service's author: what it throws is told, and tried again.
      report(`subscriber ${name}: ${next.kind}`, error);
      return { kind: "failed", code: "unavailable", detail: error instanceof Error ? error.message : String(error) };
    }
  }

  async #done(next: Next): Promise<Outcome> {
    switch (next.kind) {
      case "rest":
        await this.#interrupted(undefined);
        return { kind: "done" };
      case "wait":
        await this.#interrupted(next.ms);
        return { kind: "done" };
      case "begin":
        return begun(await this.#command("begin", { node: this.#parts.node }));
      case "open":
        return await this.#open(next);
      case "seek":
        await this.#seek(this.#opened as Opened, next.cursor);
        return { kind: "done" };
      case "read":
        return await this.#read(next.itemsMax, next.waitMs);
      case "deliver":
        await this.#deliver(next.batch);
        return { kind: "done" };
      case "replay":
        await this.#replay(next.id, next.cursor);
        return { kind: "done" };
      case "close":
        await this.#close();
        return { kind: "done" };
      default:
        return await this.#record(next);
    }
  }

  async #record(next: Next): Promise<Outcome> {
    switch (next.kind) {
      case "commit": {
        const { cursor, cursorMs, items, batches } = next;
        return recorded(
          await this.#command("commit", { cursor, cursorMs, items, batches, ...this.#mark() }),
          this.#mark(),
        );
      }
      case "trouble":
        return recorded(await this.#command("trouble", { trouble: next.trouble }));
      case "begin-again":
        return recorded(await this.#command("begin-again", {}));
      case "replayed":
        return recorded(await this.#command("replayed", { id: next.id, refused: next.refused }));
      case "set-aside": {
        const { cursor, readMs, items } = next.batch;
        const { shard, offset, entity } = items[0] as FeedItem;
        const name = `${entity.type}/${entity.key}`;
        const record = { shard, offset, items: items.length, entity: name, detail: next.detail };
        const outcome = recorded(
          await this.#command("set-aside", { record, cursor, cursorMs: readMs, ...this.#mark() }),
          this.#mark(),
        );
        // A delta would lead from what the sink does not hold.
        if (outcome.kind === "done") for (const item of items) this.#opened?.feed.forget(item.entity);
        return outcome;
      }
      default:
        return { kind: "done" };
    }
  }

  /** Of a sink that keeps a cursor, which stays behind the place while nothing is delivered. */
  #mark(): { readonly mark?: string } {
    return this.#opened?.sink.rewind === undefined ? {} : { mark: this.#opened.mark };
  }

  #command(command: string, input: object): Promise<CallResult> {
    const { commands, name } = this.#parts;
    const { epoch, opened, orders } = this.#run;
    const entity = { type: subscriberType, key: name };
    const run = { epoch, rewinds: opened?.rewinds ?? orders.rewinds };
    const unwanted = () => this.#run.stopping || this.#run.past;
    return commands.untilAnswered(
      { entity, command, input: { ...input, ...run }, principal: runnerPrincipal },
      unwanted,
    );
  }

  get #config(): SubscriberConfig {
    const { config } = this.#run.orders;
    if (config === null) throw new HoldfastError("not-found", "The subscriber was deleted.");
    return config;
  }

  /** By the orders of when it was planned, whatever comes meanwhile. */
  async #open({ cursor, mark, rewound, config }: Extract<Next, { kind: "open" }>): Promise<Outcome> {
    const { name, feeds, sinks } = this.#parts;
    const make = Object.hasOwn(sinks, config.sink ?? "") ? sinks[config.sink as string] : undefined;
    if (make === undefined) {
      const known = Object.keys(sinks).join(", ") || "none";
      const text = `The service has no sink "${config.sink}"; it has: ${known}. Add it to \`sinks\`, then resume.`;
      throw new HoldfastError("invalid-configuration", text);
    }
    const sink = make();
    if (sink.forms?.includes(config.form) === false) {
      const text = `The sink "${config.sink}" takes ${sink.forms.join(", ")}, and not ${config.form}.`;
      throw new HoldfastError("invalid-configuration", text);
    }
    let own: string | undefined;
    let feed: Feed | undefined;
    try {
      const opening = sink.open({ subscriber: name, epoch: this.#run.epoch, service: feeds.service });
      own = await this.#patiently(opening, () => {});
      const counts = !rewound && own !== undefined && own !== mark;
      const at = counts ? cursorOf(own as string) : cursor;
      feed = await feeds.open(subscriberAsk(config, at === null ? config.start : { cursor: at }));
      if (rewound) await sink.rewind?.(feed.cursor);
    } catch (error) {
      feed?.close();
      await this.#closeSink(sink);
      throw error;
    }
    this.#opened = { sink, feed, mark: rewound || own === undefined ? feed.cursor : own, isLetGo: false };
    return { kind: "opened", cursor: feed.cursor, fresh: rewound || feed.cursor !== cursor };
  }

  async #seek(opened: Opened, cursor: string): Promise<void> {
    opened.feed.close();
    opened.feed = await this.#parts.feeds.open(subscriberAsk(this.#config, { cursor }));
    opened.isLetGo = false;
  }

  async #read(itemsMax: number, waitMs: number): Promise<Outcome> {
    const opened = this.#opened as Opened;
    const { source } = this.#parts;
    const { batchBytes, batchLingerMs } = this.#config;
    if (opened.isLetGo) await this.#seek(opened, opened.feed.cursor);
    const { feed } = opened;
    this.#interrupt = () => {
      opened.isLetGo = true;
      feed.close();
    };
    const from = feed.cursor;
    const limits = { itemsMax, bytesMax: batchBytes, waitMs, lingerMs: batchLingerMs };
    const { items, cursor, lag }: FeedBatch = await feed.next(limits);
    const readMs = source.now() - lag.seconds * 1_000;
    const before = placesIn(from, source);
    const batch: RunBatch = { items, from, cursor, readMs, whole: isWhole(before) };
    const records = from === cursor ? 0 : recordsBetween(before, placesIn(cursor, source));
    return { kind: "read", batch, records };
  }

  async #deliver(batch: RunBatch): Promise<void> {
    const abort = new AbortController();
    const opened = this.#opened as Opened;
    const cursor = nextMark(opened.mark, batch.cursor);
    const delivery = opened.sink.deliver({ items: batch.items, from: opened.mark, cursor }, abort.signal);
    await this.#patiently(delivery, () => abort.abort());
    opened.mark = cursor;
  }

  /**
   * What is on its way may arrive for as long as a stopping node waits for anything; then it is given up, whether the sink
   * heeds that or not.
   */
  #patiently<Value>(work: Promise<Value>, giveUp: () => void): Promise<Value> {
    const { clock, limits } = this.#parts.source;
    let cancel = () => {};
    const givenUp = new Promise<never>((_, reject) => {
      this.#interrupt = () => {
        cancel();
        cancel = clock.after(limits.drainMs, () => {
          giveUp();
          reject(new HoldfastError("aborted", "The sink did not answer in time."));
        });
      };
    });
    return Promise.race([work, givenUp]).finally(() => cancel());
  }

  async #replay(id: number, cursor: string): Promise<void> {
    const { feeds } = this.#parts;
    const record = this.#run.orders.again.find((one) => one.id === id);
    if (record === undefined) return;
    const ask = subscriberAsk(this.#config, { offsets: { [record.shard]: record.offset } });
    const feed = await feeds.open({ ...ask, filter: { ...ask.filter, shards: [record.shard] } });
    try {
      const { items } = await feed.next({ itemsMax: 1 });
      const same = items.filter(({ kind, offset }) => kind !== "change" || offset === record.offset);
      if (same.length === 0) throw new HoldfastError("cursor-lost", "The record gives nothing any more.");
      await this.#deliver({ items: same, from: cursor, cursor, readMs: 0, whole: false });
    } finally {
      feed.close();
    }
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    opened?.feed.close();
    if (opened !== undefined) await this.#closeSink(opened.sink);
  }

  /** It is not waited for longer than a stopping node waits for anything. */
  async #closeSink(sink: Sink): Promise<void> {
    const { name, report, source } = this.#parts;
    let cancel = () => {};
    const late = new Promise<void>((resolve) => {
      cancel = source.clock.after(source.limits.drainMs, resolve);
    });
    const closing = sink.close().catch((error: unknown) => report(`subscriber ${name}: close`, error));
    await Promise.race([closing, late]);
    cancel();
  }

  /** Until the orders change, or the time is up. */
  #interrupted(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const cancel = ms === undefined ? () => {} : this.#parts.source.clock.after(ms, resolve);
      this.#interrupt = () => {
        cancel();
        resolve();
      };
    });
  }
}

/**
 * Sinks that keep the cursor know by it whether a batch was taken already. Batches that do not move the feed (of a shard's
 * present states, of what was set aside) get a number of their own behind it; a further attempt gets the same.
 */
function nextMark(last: string, cursor: string): string {
  const [before, count = "0"] = last.split("~");
  return before === cursor ? `${cursor}~${Number(count) + 1}` : cursor;
}

function cursorOf(mark: string): string {
  return mark.split("~")[0] as string;
}

function begun(result: CallResult): Outcome {
  if (!result.ok) return failed(result);
  return { kind: "begun", orders: result.value as unknown as SubscriberOrders, version: result.version };
}

function recorded(result: CallResult, mark: { readonly mark?: string } = {}): Outcome {
  return result.ok ? { kind: "done", version: result.version, ...mark } : failed(result);
}

function failed({ code, detail, reason, version }: Extract<CallResult, { ok: false }>): Outcome {
  return { kind: "failed", code, detail, reason, version };
}
