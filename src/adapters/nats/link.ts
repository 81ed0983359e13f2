/**
 * One connection to NATS, and the two things that the sink does over it: read the last message of a subject, and write messages
 * as one atomic batch (the server's ADR-50; nats-server 2.12 and later).
 *
 * The headers of a batch are written here and not by the client's `startBatch`, because that one waits for an answer more and does not
 * tell which error the server answered a commit with.
 *
 * Invariant: a link does not reconnect. When it broke nobody knows what became of the batch under way, so the sink opens
 * another one and looks.
 */
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import {
  connect,
  headers,
  type MsgHdrs,
  type NatsConnection,
  type NodeConnectionOptions,
  nuid,
} from "@nats-io/transport-node";
import { HoldfastError } from "../../model/errors.ts";
import { meaningOf, refusal } from "./errors.ts";

export interface OutgoingMessage {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: string;
}

/** The last message of a batch: written only if nobody has written to its subject since. */
export interface GuardedMessage {
  readonly subject: string;
  readonly data: string;
  /** Sequence of the subject's last message; 0: there is none. */
  readonly after: number;
}

export interface LinkOptions {
  readonly connection: NodeConnectionOptions;
  readonly stream: string;
  /** For each answer, ms. */
  readonly answerMs: number;
}

/** Answers that mean: somebody has written to the guarded subject. */
const guardCodes: ReadonlySet<number> = new Set([10_071, 10_164]);

/** `NATS/1.0` and the empty line at the end; of each header the colon, the space and the end of the line. */
const headerFrameBytes = 12;
const headerLineBytes = 4;

interface Prepared {
  readonly data: Uint8Array;
  readonly options: { readonly headers: MsgHdrs };
}

interface Answer {
  readonly seq?: number;
  readonly count?: number;
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string };
}

export class NatsLink {
  readonly #connection: NatsConnection;
  readonly #manager: JetStreamManager;
  readonly #options: LinkOptions;
  #messageBytesMax: number;
  /** The stream keeps one message of a cursor's subject, if it may. */
  #rollsUp = false;

  private constructor(connection: NatsConnection, manager: JetStreamManager, options: LinkOptions) {
    this.#connection = connection;
    this.#manager = manager;
    this.#options = options;
    this.#messageBytesMax = connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
  }

  /** @throws `unavailable`, `invalid-configuration` */
  static async open(options: LinkOptions): Promise<NatsLink> {
    const { connection, answerMs } = options;
    const limits = { reconnect: false, waitOnFirstConnect: false, timeout: answerMs };
    let opened: NatsConnection | undefined;
    try {
      opened = await connect({ ...connection, ...limits });
      const manager = await jetstreamManager(opened, { timeout: answerMs, checkAPI: false });
      return new NatsLink(opened, manager, options);
    } catch (error) {
      await opened?.close();
      throw meaningOf(error, options.stream);
    }
  }

  /**
   * Whether the stream can take what the sink writes to these subjects.
   * @throws `unavailable`, `invalid-configuration`
   */
  async checkStream(subjects: readonly string[]): Promise<void> {
    const { stream } = this.#options;
    try {
      const { config } = await this.#manager.streams.info(stream);
      if (config.allow_atomic !== true)
        throw refusal(`The stream ${stream} takes no atomic batches: set allow_atomic (nats-server 2.12 and later).`);
      if (config.retention !== "limits")
        throw refusal(
          `The stream ${stream} has retention ${config.retention}, which drops cursors: it must be limits.`,
        );
      if (config.max_msg_size > 0) this.#messageBytesMax = Math.min(this.#messageBytesMax, config.max_msg_size);
      this.#rollsUp = config.allow_rollup_hdrs === true;
      for (const subject of subjects) {
        const owner = await this.#manager.streams.find(subject).catch(() => "no stream");
        if (owner !== stream)
          throw refusal(`The stream ${stream} does not take the subject ${subject}; ${owner} does.`);
      }
    } catch (error) {
      throw meaningOf(error, stream);
    }
  }

  /** @throws `unavailable`, `invalid-configuration` */
  async last(subject: string): Promise<{ readonly sequence: number; readonly data: string } | undefined> {
    const { stream } = this.#options;
    try {
      const found = await this.#manager.streams.getMessage(stream, { last_by_subj: subject });
      return found === null ? undefined : { sequence: found.seq, data: found.string() };
    } catch (error) {
      throw meaningOf(error, stream);
    }
  }

  /**
   * Writes all of it or nothing.
   * @returns the sequence of the guarded message; undefined: nothing was written, since somebody wrote to its subject
   * @throws `unavailable` (it may have been written), `rejected`, `invalid-configuration`
   */
  async write(messages: readonly OutgoingMessage[], guarded: GuardedMessage): Promise<number | undefined> {
    const { stream, answerMs } = this.#options;
    try {
      const batch = nuid.next();
      const prepared = messages.map(({ data, headers: own }, index) => {
        return this.#prepared(data, { ...own, ...batchHeaders(batch, index + 1) });
      });
      const commit = this.#prepared(guarded.data, {
        ...batchHeaders(batch, messages.length + 1),
        "Nats-Batch-Commit": "1",
        "Nats-Expected-Stream": stream,
        "Nats-Expected-Last-Subject-Sequence": String(guarded.after),
        ...(this.#rollsUp ? { "Nats-Rollup": "sub" } : {}),
      });
      for (const [index, { data, options }] of prepared.entries()) {
        this.#connection.publish(messages[index]?.subject ?? "", data, options);
      }
      const { data, options } = commit;
      const reply = await this.#connection.request(guarded.subject, data, { ...options, timeout: answerMs });
      const { error, seq, count } = reply.json<Answer>();
      if (error?.err_code !== undefined && guardCodes.has(error.err_code)) return undefined;
      if (error !== undefined) throw meaningOf(error, stream);
      if (seq === undefined || count !== messages.length + 1)
        throw new HoldfastError("unavailable", `The stream ${stream} gave an answer that fits no batch.`);
      return seq;
    } catch (error) {
      throw meaningOf(error, stream);
    }
  }

  /** @throws `rejected`; of a message that is too large the server would say only that the batch lacks one */
  #prepared(text: string, own: Readonly<Record<string, string>>): Prepared {
    const data = Buffer.from(text);
    const made = headers();
    let bytes = data.length + headerFrameBytes;
    for (const [name, value] of Object.entries(own)) {
      made.set(name, value);
      bytes += name.length + value.length + headerLineBytes;
    }
    if (bytes > this.#messageBytesMax) {
      const { stream } = this.#options;
      throw new HoldfastError(
        "rejected",
        `A message of ${bytes} bytes is larger than the stream ${stream} or its server takes, ${this.#messageBytesMax}. Raise max_msg_size or max_payload, or follow fewer data.`,
      );
    }
    return { data, options: { headers: made } };
  }

  /** Does not wait for an end in good order: what is under way fails. */
  close(): void {
    this.#connection.close().catch(() => undefined);
  }
}

function batchHeaders(batch: string, number: number): Readonly<Record<string, string>> {
  return { "Nats-Batch-Id": batch, "Nats-Batch-Sequence": String(number) };
}
