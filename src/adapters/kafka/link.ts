/**
 * A producer of one transactional id and what is read beside it: the cursor's topic.
 *
 * The client hides what a broker answered to an aborted transaction when it filters records for readers, and gets it wrong for several
 * of one producer; so the cursor's topic is read whole and the markers that end transactions are looked at here.
 *
 * Invariant: a link is used until its first failure. What became of a transaction that failed is found out by the next link: its
 * beginning ends, in the broker, whatever the one before left open.
 */
import { Admin, Consumer, FetchIsolationLevels, kListApis, ListOffsetTimestamps, Producer } from "@platformatic/kafka";
import { HoldfastError } from "../../model/errors.ts";
import { holdsAnswer, isUnknownTopic, meaningOf, refusal } from "./errors.ts";

/** Where brokers are and how they are spoken to; what the Kafka client takes. */
export type KafkaConnection = Pick<ConstructorParameters<typeof Producer>[0], "bootstrapBrokers" | "tls" | "sasl"> & {
  readonly clientId?: string;
};

export interface KafkaSinkLimits {
  /** How long to wait for a connection and for each answer, ms. */
  readonly answerMs: number;
  /** How long the broker lets a transaction be open, ms: a batch takes less, or is aborted. */
  readonly transactionMs: number;
  /** Of each request, after its first failure. */
  readonly retriesMax: number;
  /** Of records in one request: below the `max.message.bytes` of topics, 1 MiB unless somebody set it. */
  readonly requestBytes: number;
}

export const kafkaSinkLimitsDefault: KafkaSinkLimits = {
  answerMs: 10_000,
  transactionMs: 60_000,
  retriesMax: 8,
  requestBytes: 512 * 1024,
};

/** Topics that are missing are made like this. */
export interface KafkaTopicSettings {
  /** Of the items' topic. May not change later: shards would move, and consumers would see them out of order. */
  readonly partitions: number;
  /** Default: the broker's. */
  readonly replicas?: number;
  /** Of the items' topic, such as `{"cleanup.policy": "compact"}`. */
  readonly configs?: Readonly<Record<string, string>>;
}

/**
 * The cursor's topic holds one short record of each batch, and only the last counts: it is kept by size and never by age, for a
 * subscriber may rest for long.
 */
const cursorConfigs = {
  "cleanup.policy": "delete",
  "retention.ms": "-1",
  "retention.bytes": "67108864",
  "segment.bytes": "16777216",
};

/**
 * Newer versions of this request are for brokers among themselves, and refused to who has not the rights of one; the client takes the
 * newest version that there is.
 */
const addPartitionsVersionMax = 3;

class ClientProducer extends Producer {
  override [kListApis](callback: Parameters<Producer[typeof kListApis]>[0]): void {
    super[kListApis]((error, apis) => {
      const limited = apis?.map((api) =>
        api.name === "AddPartitionsToTxn"
          ? { ...api, maxVersion: Math.min(api.maxVersion, addPartitionsVersionMax) }
          : api,
      );
      callback(error, limited as NonNullable<typeof limited>);
    });
  }
}

export interface KafkaMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface LinkOptions {
  readonly connection: KafkaConnection;
  readonly transactionalId: string;
  readonly topic: string;
  readonly cursorTopic: string;
  readonly create: KafkaTopicSettings | undefined;
  readonly limits: KafkaSinkLimits;
}

type Open = Awaited<ReturnType<Producer["beginTransaction"]>>;
type Outgoing = Parameters<Open["send"]>[0]["messages"][number];

/** Length of a record beside its key, value and headers, at most. */
const recordHeadBytes = 64;
const retryMsMax = 500;
const withinMs = 10;
/** A topic that was just made may not be known everywhere: asked for so often. */
const createdRetries = 200;

export class KafkaLink {
  readonly #options: LinkOptions;
  readonly #producer: Producer;
  readonly #reader: Consumer;
  #open: Open | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    // A new producer: the defaults of the client would be taken for the id and epoch of an old one.
    const fresh = { producerId: -1n, producerEpoch: -1 };
    const { transactionalId } = options;
    this.#producer = new ClientProducer({ ...baseOf(options), idempotent: true, transactionalId, ...fresh });
    // It belongs to no group: nothing is committed, nobody joins.
    this.#reader = new Consumer({ ...baseOf(options), groupId: transactionalId });
  }

  /** Both topics are there, or are made. @throws `unavailable`, `invalid-configuration` */
  async checkTopics(): Promise<void> {
    const { topic, cursorTopic, create } = this.#options;
    for (const name of [topic, cursorTopic]) {
      if (await this.#isThere(name)) continue;
      if (create === undefined) {
        const settings = Object.entries(cursorConfigs).map(([key, value]) => `${key}=${value}`);
        throw refusal(
          `Kafka has no topic ${name}. The sink needs ${topic}, and ${cursorTopic} with one partition and ${settings.join(", ")}. Make them, or set \`create\`.`,
        );
      }
      const { partitions, replicas = -1, configs = {} } = create;
      if (name === topic) await this.#create(name, partitions, replicas, configs);
      else await this.#create(name, 1, replicas, cursorConfigs);
      if (!(await this.#isThere(name, createdRetries)))
        throw unavailable(`Kafka made ${name} and does not know it yet.`);
    }
  }

  async #isThere(name: string, retries?: number): Promise<boolean> {
    try {
      const tries = retries === undefined ? {} : { retries };
      await this.#producer.metadata({ topics: [name], autocreateTopics: false, ...tries });
      return true;
    } catch (error) {
      if (isUnknownTopic(error)) return false;
      throw meaningOf(error);
    }
  }

  async #create(name: string, partitions: number, replicas: number, configs: Readonly<Record<string, string>>) {
    const admin = new Admin(baseOf(this.#options));
    try {
      const given = Object.entries(configs).map(([key, value]) => ({ name: key, value }));
      await admin.createTopics({ topics: [name], partitions, replicas, configs: given });
    } catch (error) {
      if (!holdsAnswer(error, "TOPIC_ALREADY_EXISTS")) throw meaningOf(error);
    } finally {
      letGo(admin.close());
    }
  }

  /** Begins a transaction; the first one fences every other producer of our transactional id. */
  async begin(): Promise<void> {
    this.#open ??= await this.#producer.beginTransaction();
  }

  /** Writes all of it or nothing. @throws what the client throws */
  async commit(messages: readonly KafkaMessage[]): Promise<void> {
    await this.begin();
    const open = this.#open as Open;
    for (const part of parts(messages, this.#options.limits.requestBytes)) await open.send({ messages: part });
    await open.commit();
    this.#open = undefined;
  }

  /**
   * The value of the last record in the cursor's topic whose transaction was committed.
   * @throws what the client throws
   */
  async last(): Promise<string | undefined> {
    const begin = await this.#edge(ListOffsetTimestamps.EARLIEST);
    const end = await this.#edge(ListOffsetTimestamps.LATEST);
    for (let window = 16n; ; window *= 8n) {
      const from = end - window > begin ? end - window : begin;
      const found = await this.#lastIn(from, end);
      if (found !== undefined || from === begin) return found;
    }
  }

  async #edge(timestamp: bigint): Promise<bigint> {
    const { cursorTopic } = this.#options;
    const isolationLevel = FetchIsolationLevels.READ_UNCOMMITTED;
    const edges = await this.#reader.listOffsets({ topics: [cursorTopic], timestamp, isolationLevel });
    return edges.get(cursorTopic)?.[0] ?? 0n;
  }

  async #lastIn(from: bigint, end: bigint): Promise<string | undefined> {
    let found: string | undefined;
    let written: string | undefined;
    for (let offset = from; offset < end; ) {
      const batches = await this.#fetch(offset);
      for (const { attributes, firstOffset, lastOffsetDelta, records } of batches) {
        if ((attributes & isControl) === 0) written = records.at(-1)?.value?.toString() ?? written;
        else {
          if (records[0]?.key?.readInt16BE(2) === commitMarker) found = written ?? found;
          written = undefined;
        }
        offset = firstOffset + BigInt(lastOffsetDelta) + 1n;
      }
      if (batches.length === 0) throw unavailable("Kafka: the cursor's topic cannot be read to its end.");
    }
    return found;
  }

  async #fetch(fetchOffset: bigint) {
    const { cursorTopic } = this.#options;
    const { topics } = await this.#reader.metadata({ topics: [cursorTopic] });
    const topic = topics.get(cursorTopic);
    const node = topic?.partitions[0]?.leader ?? -1;
    const isolationLevel = FetchIsolationLevels.READ_UNCOMMITTED;
    const part = {
      partition: 0,
      currentLeaderEpoch: -1,
      fetchOffset,
      lastFetchedEpoch: -1,
      partitionMaxBytes: fetchBytes,
    };
    const wanted = [{ topicId: topic?.id ?? "", partitions: [part] }];
    const reads = { minBytes: 1, maxBytes: fetchBytes, maxWaitTime: fetchWaitMs, isolationLevel };
    const { responses } = await this.#reader.fetch({ node, topics: wanted, ...reads });
    return responses[0]?.partitions[0]?.records ?? [];
  }

  /** Does not wait for an end in good order: what is under way fails. */
  close(): void {
    letGo(this.#producer.close(true));
    letGo(this.#reader.close(true));
  }
}

/** Of a batch that ends a transaction; and its key's second number when it was committed. */
const isControl = 1 << 5;
const commitMarker = 1;
const fetchBytes = 1024 * 1024;
const fetchWaitMs = 1_000;

function baseOf({ connection, limits }: LinkOptions) {
  const { answerMs, transactionMs, retriesMax } = limits;
  return {
    clientId: "holdfast",
    ...connection,
    connectTimeout: answerMs,
    requestTimeout: answerMs,
    // The client gives it to the broker as the time that a transaction may be open.
    timeout: transactionMs,
    retries: retriesMax,
    retryDelay,
    autocreateTopics: false,
  };
}

/**
 * Soon at first: after a commit the broker refuses the next transaction for a few milliseconds. What the client asks within other
 * requests it tries again for each try of those.
 */
function retryDelay(_client: object, operation: string, attempt: number): number {
  const isWithin = ["findCoordinator", "listApis", "metadata"].includes(operation);
  return isWithin ? withinMs : Math.min(retryMsMax, 2 ** attempt);
}

/** Requests of about so many bytes: a broker takes the records of one request as one message of its `max.message.bytes`. */
function* parts(messages: readonly KafkaMessage[], bytesMax: number): Generator<Outgoing[]> {
  let part: Outgoing[] = [];
  let bytes = 0;
  for (const { topic, partition, key, value, headers } of messages) {
    const pairs = Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const);
    const record = { topic, partition, key: Buffer.from(key), value: Buffer.from(value), headers: new Map(pairs) };
    const length = [record.key, record.value, ...pairs.flat()].reduce((sum, one) => sum + one.length, recordHeadBytes);
    if (part.length > 0 && bytes + length > bytesMax) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(record);
    bytes += length;
  }
  if (part.length > 0) yield part;
}

function unavailable(message: string): HoldfastError {
  return new HoldfastError("unavailable", message);
}

function letGo(ending: Promise<void>): void {
  ending.catch(() => undefined);
}
