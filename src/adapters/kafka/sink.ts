/**
 * `holdfast/kafka`: a sink that writes to a topic of Kafka, exactly once for consumers that read committed records only
 * (`isolation.level=read_committed`). It needs the package `@platformatic/kafka` beside it.
 *
 * Items are CloudEvents in binary mode, keyed by entity. A batch and the subscriber's place after it (epoch, cursor) are one transaction; the
 * place is a record of a topic of its own. The transactional id is the subscriber's, so that beginning to write fences whoever wrote
 * before. The broker does not know which of two is the later running: the epoch in the place tells. A running that finds a
 * higher one is fenced for good; one that was fenced by an earlier one begins again, and fences it.
 *
 * Invariants: committed in the topic is exactly what was handed out before the cursor that is committed. Whatever failed, the
 * sink takes a new producer and reads its place before it writes again.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Sink, SinkBatch, SinkIdentity } from "../../ports/sink.ts";
import { Endable, type Life } from "../system/endable.ts";
import { innermost, isFencing, meaningOf, refusal } from "./errors.ts";
import {
  type KafkaConnection,
  KafkaLink,
  type KafkaMessage,
  type KafkaSinkLimits,
  type KafkaTopicSettings,
  kafkaSinkLimitsDefault,
} from "./link.ts";
import { messageOf } from "./message.ts";

export type { KafkaConnection, KafkaSinkLimits, KafkaTopicSettings } from "./link.ts";

export interface KafkaSinkOptions {
  readonly connection: KafkaConnection;
  /** Where items go. Default `<service>.<subscriber>`. */
  readonly topic?: string;
  /** Where the cursor is kept; of this subscriber alone. Default `<service>.<subscriber>.cursor`. */
  readonly cursorTopic?: string;
  /** Makes the topics that are missing. Left out: they exist. */
  readonly create?: KafkaTopicSettings;
  readonly limits?: Partial<KafkaSinkLimits>;
}

interface Place {
  readonly epoch: number;
  /** Undefined: nothing was delivered yet. */
  readonly cursor: string | undefined;
}

/** Times that an earlier running may fence us before a delivery is given up. */
const racesMax = 5;
const topicName = /^[A-Za-z0-9._-]{1,249}$/;

export function kafkaSink(options: KafkaSinkOptions): Sink {
  return new KafkaSink(options);
}

class KafkaSink implements Sink {
  readonly #options: KafkaSinkOptions;
  readonly #work = new Endable("The Kafka sink");
  #identity: SinkIdentity | undefined;
  #link: KafkaLink | undefined;
  /** Where the subscriber stands, as this sink wrote it; undefined: to be read. */
  #place: Place | undefined;

  constructor(options: KafkaSinkOptions) {
    this.#options = options;
    // The client, given none, asks itself until the stack is full.
    if (options.connection.bootstrapBrokers.length === 0) throw refusal("A Kafka sink needs one of bootstrapBrokers.");
    for (const name of [options.topic, options.cursorTopic]) {
      if (name !== undefined && !topicName.test(name))
        throw refusal(`${JSON.stringify(name)} is no name of a topic: 1 to 249 of A-Z a-z 0-9 . _ -.`);
    }
  }

  async open(identity: SinkIdentity): Promise<string | undefined> {
    this.#identity = identity;
    return await this.#run(async (life) => (await this.#stand(life)).cursor);
  }

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    await this.#run(async (life) => {
      const place = await this.#stand(life);
      // It had arrived, and the answer was lost. Items that were set aside once come out of turn and do not move the place.
      if (place.cursor === batch.cursor && batch.from !== batch.cursor) return;
      const { service } = this.#who();
      const messages = batch.items.map((item) => messageOf(item, service, this.#topic));
      await this.#move({ ...place, cursor: batch.cursor }, messages, life);
    }, signal);
  }

  async rewind(cursor: string): Promise<void> {
    await this.#run(async (life) => await this.#move({ ...(await this.#stand(life)), cursor }, [], life));
  }

  async close(): Promise<void> {
    this.#work.close();
    this.#drop();
  }

  /** Work that fails because another producer was here is done again: then it finds out who that was. */
  async #run<T>(work: (life: Life) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let races = 1; ; races++) {
      try {
        return await this.#work.run(work, signal);
      } catch (error) {
        this.#drop();
        if (!isFencing(error) || races >= racesMax) throw meaningOf(error);
      }
    }
  }

  #drop(): void {
    this.#place = undefined;
    this.#link?.close();
    this.#link = undefined;
  }

  /**
   * Where the subscriber stands. If that is not known, a new producer ends what others left open and so fences them; then the place
   * is read, and written again under our epoch, which an earlier running that comes later will find.
   * @throws `fenced`
   */
  async #stand(life: Life): Promise<Place> {
    if (this.#place !== undefined) return this.#place;
    const link = this.#linked();
    await link.checkTopics();
    life.check();
    await link.begin();
    life.check();
    const found = readPlace(await link.last());
    life.check();
    const { epoch, subscriber } = this.#who();
    if (found.epoch > epoch)
      throw new HoldfastError(
        "fenced",
        `A later running of the subscriber ${subscriber} was here, of epoch ${found.epoch}.`,
      );
    return await this.#move({ ...found, epoch }, [], life);
  }

  /** Writes messages and the place after them. */
  async #move(to: Place, messages: readonly KafkaMessage[], life: Life): Promise<Place> {
    const value = JSON.stringify({ epoch: to.epoch, cursor: to.cursor ?? null });
    const key = this.#who().subscriber;
    const record = { topic: this.#cursorTopic, partition: 0, key, value, headers: {} };
    await this.#linked().commit([...messages, record]);
    life.check();
    this.#place = to;
    return to;
  }

  #linked(): KafkaLink {
    if (this.#link !== undefined) return this.#link;
    const { connection, create, limits } = this.#options;
    const { service, subscriber } = this.#who();
    try {
      this.#link = new KafkaLink({
        connection,
        transactionalId: `holdfast/${encodeURIComponent(service)}/${subscriber}`,
        topic: this.#topic,
        cursorTopic: this.#cursorTopic,
        create,
        limits: { ...kafkaSinkLimitsDefault, ...limits },
      });
    } catch (error) {
      throw refusal(`The Kafka client does not take its options: ${innermost(error)}.`, error);
    }
    return this.#link;
  }

  get #topic(): string {
    return this.#options.topic ?? this.#ownName;
  }

  get #cursorTopic(): string {
    return this.#options.cursorTopic ?? `${this.#ownName}.cursor`;
  }

  /** With `_` for what no topic's name has. */
  get #ownName(): string {
    const { service, subscriber } = this.#who();
    return `${service.replace(/[^A-Za-z0-9._-]/g, "_")}.${subscriber}`;
  }

  #who(): SinkIdentity {
    if (this.#identity === undefined) throw new HoldfastError("internal", "Broken invariant: a sink is opened first");
    return this.#identity;
  }
}

/** @throws `invalid-configuration` somebody else writes to the topic */
function readPlace(text: string | undefined): Place {
  if (text === undefined) return { epoch: 0, cursor: undefined };
  const strange = () => refusal(`The cursor's topic holds what is no cursor of a subscriber: ${text.slice(0, 100)}`);
  let found: { readonly epoch?: unknown; readonly cursor?: unknown } | null;
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    throw strange();
  }
  const { epoch, cursor } = found ?? {};
  if (typeof epoch !== "number" || (cursor !== null && typeof cursor !== "string")) throw strange();
  return { epoch, cursor: cursor ?? undefined };
}
