/**
 * `holdfast/nats`: a sink that writes to a stream of NATS JetStream, exactly once. It needs the packages
 * `@nats-io/transport-node` and `@nats-io/jetstream` beside it, and nats-server 2.12 or later.
 *
 * Items go to `<prefix>.<subscriber>.<shard>.<entity type>` as CloudEvents in binary mode, in the order of the batch. The place where the
 * subscriber stands (epoch, cursor) is a message of the subject `<prefix>.<subscriber>.cursor` in the same stream, and the last
 * one of the atomic batch that holds the items. It is written only if nobody has written to its subject since: a later running writes its
 * epoch there when it opens, and so fences the earlier one.
 *
 * Invariants: what stands in the stream is exactly what was handed out before the cursor that stands there, plus what `marks`
 * names. Whatever failed, the sink opens a new connection and reads its place before it writes again.
 */
import type { NodeConnectionOptions } from "@nats-io/transport-node";
import { HoldfastError } from "../../model/errors.ts";
import type { FeedItem } from "../../model/feeds.ts";
import type { Sink, SinkBatch, SinkIdentity } from "../../ports/sink.ts";
import { sequenceOf } from "../../wire/cloud-events.ts";
import { Endable, type Life } from "../system/endable.ts";
import { refusal } from "./errors.ts";
import { NatsLink } from "./link.ts";
import { messageOf } from "./message.ts";
import { firstPlace, type NatsPlace, readPlace, textOf } from "./place.ts";

export interface NatsSinkLimits {
  /** Messages of an atomic batch, the cursor's among them: the server's own limit is 1,000. Larger batches are written in several. */
  readonly messagesMax: number;
  /** How long to wait for a connection and for each answer, ms. */
  readonly answerMs: number;
}

export const natsSinkLimitsDefault: NatsSinkLimits = { messagesMax: 1_000, answerMs: 10_000 };

export interface NatsSinkOptions {
  /** Servers, credentials, TLS: what the NATS client takes. Reconnecting is ours. */
  readonly connection: NodeConnectionOptions;
  /** The stream exists, has `allow_atomic`, and takes `<prefix>.>`. With `allow_rollup_hdrs` it keeps one cursor of each subscriber. */
  readonly stream: string;
  /** Where subjects begin. Default: the service, with `_` for what no subject has. */
  readonly prefix?: string;
  readonly limits?: Partial<NatsSinkLimits>;
}

/** Times that a place may be taken away by others of the same running before a delivery is given up. */
const racesMax = 5;

export function natsSink(options: NatsSinkOptions): Sink {
  return new NatsSink(options);
}

class NatsSink implements Sink {
  readonly #options: NatsSinkOptions;
  readonly #limits: NatsSinkLimits;
  readonly #work = new Endable("The NATS sink");
  #identity: SinkIdentity | undefined;
  #link: NatsLink | undefined;
  /** Where the subscriber stands, as this sink wrote it; undefined: to be read. */
  #place: NatsPlace | undefined;

  constructor(options: NatsSinkOptions) {
    this.#options = options;
    this.#limits = { ...natsSinkLimitsDefault, ...options.limits };
    const { prefix } = options;
    if (prefix !== undefined && !/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(prefix))
      throw refusal(`The prefix ${JSON.stringify(prefix)} is not made of names of A-Z a-z 0-9 _ - with dots between.`);
  }

  async open(identity: SinkIdentity): Promise<string | undefined> {
    this.#identity = identity;
    return await this.#run(async (life) => (await this.#stand(life)).cursor);
  }

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    await this.#run(async (life) => {
      for (let races = 0; races < racesMax; races++) {
        const place = await this.#stand(life);
        if (hadArrived(place.cursor, batch)) return;
        if (await this.#write(place, batch, life)) return;
      }
      throw raced(this.#identity);
    }, signal);
  }

  async rewind(cursor: string): Promise<void> {
    await this.#run(async (life) => {
      for (let races = 0; races < racesMax; races++) {
        const place = await this.#stand(life);
        if (await this.#move({ ...place, cursor, marks: {} }, [], life)) return;
      }
      throw raced(this.#identity);
    });
  }

  async close(): Promise<void> {
    this.#work.close();
    this.#drop();
  }

  async #run<T>(work: (life: Life) => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await this.#work.run(work, signal);
    } catch (error) {
      this.#drop();
      throw error;
    }
  }

  #drop(): void {
    this.#place = undefined;
    this.#link?.close();
    this.#link = undefined;
  }

  async #linked(life: Life): Promise<NatsLink> {
    if (this.#link !== undefined) return this.#link;
    const { connection, stream } = this.#options;
    const link = await NatsLink.open({ connection, stream, answerMs: this.#limits.answerMs });
    try {
      life.check();
      this.#link = link;
      await link.checkStream([this.#subject("0.type"), this.#subject("cursor")]);
      life.check();
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /**
   * Where the subscriber stands. If that is not known, reads it and writes it again under our epoch: so whatever is still under
   * way to the server, of an earlier running or of us, finds the guard changed and leaves nothing.
   * @throws `fenced`
   */
  async #stand(life: Life): Promise<NatsPlace> {
    const link = await this.#linked(life);
    for (let races = 0; races < racesMax; races++) {
      if (this.#place !== undefined) return this.#place;
      const last = await link.last(this.#subject("cursor"));
      life.check();
      const { epoch, subscriber } = this.#who();
      const found = last === undefined ? firstPlace : readPlace(last.data, last.sequence);
      if (found.epoch > epoch)
        throw new HoldfastError(
          "fenced",
          `A later running of the subscriber ${subscriber} was here, of epoch ${found.epoch}.`,
        );
      await this.#move({ ...found, epoch }, [], life);
    }
    throw raced(this.#identity);
  }

  /** @returns whether it was written; if not, somebody else wrote and the place has to be read again */
  async #write(place: NatsPlace, batch: SinkBatch, life: Life): Promise<boolean> {
    const isNew = (item: FeedItem) => sequenceOf(item) > (place.marks[item.shard] ?? "");
    const items = isReplay(batch) ? batch.items : batch.items.filter(isNew);
    const most = this.#limits.messagesMax - 1;
    let standing = { ...place, cursor: place.cursor ?? batch.from };
    let from = 0;
    for (; from + most < items.length; from += most) {
      const part = items.slice(from, from + most);
      const marks: Record<number, string> = { ...standing.marks };
      for (const item of part) marks[item.shard] = sequenceOf(item);
      const moved = await this.#move({ ...standing, marks }, part, life);
      if (moved === undefined) return false;
      standing = { ...moved, cursor: standing.cursor };
    }
    const end = { ...standing, cursor: batch.cursor, marks: marksAfter(standing.marks, batch.items) };
    return (await this.#move(end, items.slice(from), life)) !== undefined;
  }

  /** Writes items and the place after them. */
  async #move(to: NatsPlace, items: readonly FeedItem[], life: Life): Promise<NatsPlace | undefined> {
    const link = await this.#linked(life);
    const { service } = this.#who();
    const messages = items.map((item) => messageOf(item, service, this.#subject(`${item.shard}.${item.entity.type}`)));
    const guarded = { subject: this.#subject("cursor"), data: textOf(to), after: to.sequence };
    const sequence = await link.write(messages, guarded);
    life.check();
    this.#place = sequence === undefined ? undefined : { ...to, sequence };
    return this.#place;
  }

  #subject(rest: string): string {
    const { service, subscriber } = this.#who();
    const prefix = this.#options.prefix ?? service.replace(/[^A-Za-z0-9_-]/g, "_");
    return `${prefix}.${subscriber}.${rest}`;
  }

  #who(): SinkIdentity {
    if (this.#identity === undefined) throw new HoldfastError("internal", "Broken invariant: a sink is opened first");
    return this.#identity;
  }
}

/** Its answer was lost. */
function hadArrived(cursor: string | undefined, batch: SinkBatch): boolean {
  return cursor === batch.cursor && !isReplay(batch);
}

/** Items that were set aside once and are delivered after all, out of turn: the place does not move, so it cannot tell whether they came. */
function isReplay({ from, cursor }: SinkBatch): boolean {
  return from === cursor;
}

/** What came in part may come again in smaller batches: a mark stays until a batch has reached it. */
function marksAfter(marks: NatsPlace["marks"], items: readonly FeedItem[]): NatsPlace["marks"] {
  const left: Record<number, string> = { ...marks };
  for (const item of items) {
    if (sequenceOf(item) >= (left[item.shard] ?? "~")) delete left[item.shard];
  }
  return left;
}

function raced(identity: SinkIdentity | undefined): HoldfastError {
  return new HoldfastError("unavailable", `Somebody else writes as the subscriber ${identity?.subscriber}.`);
}
