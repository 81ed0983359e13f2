/**
 * The webhook sink: batches as signed HTTP requests (Standard Webhooks, CloudEvents), at least once.
 *
 * Invariants: requests follow one another, so a receiver sees items in order. A batch that comes again has the `webhook-id` it had and the
 * same events with the same ids. No redirect is followed, no more than a few kilobytes of an answer are read, and nothing is kept
 * of it but the status and `Retry-After`.
 */
import { createHash } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import { isIP } from "node:net";
import { HoldfastError } from "../../model/errors.ts";
import type { FeedItem } from "../../model/feeds.ts";
import type { Clock } from "../../ports/clock.ts";
import { idOf, type Sink, type SinkBatch, type SinkIdentity } from "../../ports/sink.ts";
import {
  cloudEventBatchMediaType,
  cloudEventBatchOf,
  cloudEventMediaType,
  cloudEventOf,
} from "../../wire/cloud-events.ts";
import { systemClock } from "../system/clock.ts";
import { isPublicAddress, lookupPublic, notPublic } from "./addresses.ts";
import { secretKeys, signatureOf } from "./signature.ts";

export interface WebhookSinkOptions {
  /** `https://…`; `http:` for receivers beside the node. Without user and password: those go into `headers`. */
  readonly url: string;
  /** `whsec_…`. Several while one is being replaced: there is a signature by each. */
  readonly secrets: readonly string[];
  /** `batch`: one request with an array of events. `event`: one request each. Default `batch`. */
  readonly body?: "batch" | "event";
  /** Sent along, for example `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** From connecting to the end of the answer. Default 15,000. */
  readonly timeoutMs?: number;
  /** Refuses addresses that are not of the public internet. For services whose users name the URLs. Default false. */
  readonly publicOnly?: boolean;
  readonly clock?: Clock;
}

/** @throws `invalid-configuration` the URL, a secret or a header is none */
export function webhookSink(options: WebhookSinkOptions): Sink {
  return new WebhookSink(options);
}

const timeoutMsDefault = 15_000;
/** Read of an answer, so that its connection can be used again. */
const answerBytesMax = 64 * 1024;
/** What a receiver may ask for; a longer pause is for an operator to decide. */
const retryAfterMsMax = 86_400_000;
const ownHeaders =
  /^(content-type|content-length|host|user-agent|transfer-encoding|connection|webhook-.*|holdfast-.*)$/i;

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
}

class WebhookSink implements Sink {
  readonly #url: URL;
  readonly #keys: readonly Uint8Array[];
  readonly #options: WebhookSinkOptions;
  readonly #clock: Clock;
  readonly #agent: http.Agent;
  /** Ends when the sink is closed. */
  readonly #closing = new AbortController();
  #identity: SinkIdentity | undefined;
  /** One request each: those of a batch that failed which were taken, so that they do not come again for the one that was not. */
  #taken: string[] = [];

  constructor(options: WebhookSinkOptions) {
    this.#url = checkedUrl(options);
    this.#keys = secretKeys(options.secrets);
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    checkHeaders(options.headers ?? {});
    const { Agent } = this.#url.protocol === "https:" ? https : http;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
  }

  async open(identity: SinkIdentity): Promise<undefined> {
    this.#identity = identity;
  }

  async deliver({ items }: SinkBatch, signal: AbortSignal): Promise<void> {
    if (this.#identity === undefined) throw new HoldfastError("internal", "Broken invariant: a sink is opened first");
    const { service } = this.#identity;
    if (signal.aborted) throw aborted();
    if (items.length === 0) return;
    if (this.#options.body !== "event") {
      await this.#post(items, cloudEventBatchMediaType, cloudEventBatchOf(items, service), signal);
      return;
    }
    await this.#deliverEach(items, service, signal);
  }

  async #deliverEach(items: readonly FeedItem[], service: string, signal: AbortSignal): Promise<void> {
    const before = this.#taken;
    const taken: string[] = [];
    this.#taken = taken;
    for (const item of items) {
      const id = idOf(item);
      if (before[taken.length] !== id)
        await this.#post([item], cloudEventMediaType, cloudEventOf(item, service), signal);
      taken.push(id);
    }
    this.#taken = [];
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#agent.destroy();
  }

  async #post(items: readonly FeedItem[], type: string, text: string, signal: AbortSignal): Promise<void> {
    if (this.#closing.signal.aborted) throw closed();
    const body = Buffer.from(text);
    const id = this.#messageId(items);
    const timestamp = Math.floor(this.#clock.now() / 1000);
    const headers = {
      ...this.#options.headers,
      "content-type": `${type}; charset=utf-8`,
      "content-length": body.length,
      "user-agent": "holdfast",
      "holdfast-subscriber": encodeURIComponent(this.#identity?.subscriber ?? ""),
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": signatureOf({ id, timestamp, body }, this.#keys),
    };
    const timeout = new AbortController();
    const cancel = this.#clock.after(this.#options.timeoutMs ?? timeoutMsDefault, () => timeout.abort());
    const ends = AbortSignal.any([signal, timeout.signal, this.#closing.signal]);
    let answer: Answer;
    try {
      answer = await this.#request(headers, body, ends);
    } catch (cause) {
      if (signal.aborted) throw aborted();
      if (this.#closing.signal.aborted) throw closed();
      throw this.#unanswered(cause, timeout.signal.aborted);
    } finally {
      cancel();
    }
    this.#check(answer);
  }

  #request(headers: http.OutgoingHttpHeaders, body: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const { request } = this.#url.protocol === "https:" ? https : http;
    const lookup = this.#options.publicOnly === true ? { lookup: lookupPublic } : {};
    const options = { method: "POST", agent: this.#agent, headers, signal, ...lookup };
    return new Promise((done, reject) => {
      const sent = request(this.#url, options, (response) => {
        const answer = { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] };
        let bytes = 0;
        // The status is the answer. The rest is read for the connection's sake; whoever talks on loses it.
        response.on("data", (piece: Buffer) => {
          bytes += piece.length;
          if (bytes > answerBytesMax) response.destroy();
        });
        response.on("error", () => done(answer));
        response.on("close", () => done(answer));
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** The same items have the same id, whoever sends them. */
  #messageId(items: readonly FeedItem[]): string {
    const hash = createHash("sha256").update(`${this.#identity?.service}\n${this.#identity?.subscriber}`);
    for (const item of items) hash.update(`\n${idOf(item)}`);
    return `msg_${hash.digest("base64url").slice(0, 27)}`;
  }

  #check({ status, retryAfter }: Answer): void {
    if (status >= 200 && status < 300) return;
    const details = { status, ...this.#retryAfter(retryAfter) };
    if (status === 408 || status === 425 || status === 429 || status >= 500 || status < 300)
      throw new HoldfastError("unavailable", `${this.#place()} answered ${status}.`, { details });
    const why = status < 400 ? "; redirects are not followed, name the URL that is meant" : "";
    throw new HoldfastError("rejected", `${this.#place()} refused with ${status}${why}.`, { details });
  }

  /** Seconds, or a date. */
  #retryAfter(text: string | undefined): { retryAfterMs?: number } {
    if (text === undefined) return {};
    const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - this.#clock.now();
    return Number.isFinite(ms) ? { retryAfterMs: Math.min(Math.max(0, ms), retryAfterMsMax) } : {};
  }

  #unanswered(cause: unknown, late: boolean): HoldfastError {
    const code = (cause as { code?: unknown }).code;
    const inside = code === notPublic ? " It is not of the public internet, and `publicOnly` is set." : "";
    const why = late ? `in ${this.#options.timeoutMs ?? timeoutMsDefault} ms` : `(${String(code ?? cause)})`;
    return new HoldfastError("unavailable", `${this.#place()} did not answer ${why}.${inside}`, { cause });
  }

  /** Without the query, which may hold a token. */
  #place(): string {
    return `The webhook ${this.#url.origin}${this.#url.pathname}`;
  }
}

function checkedUrl({ url: text, publicOnly }: WebhookSinkOptions): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw misused("The URL of a webhook is not one of https: or http:.");
  if (url.username !== "" || url.password !== "")
    throw misused("The URL of a webhook holds a user or a password. Put them into a header.");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (publicOnly === true && isIP(host) !== 0 && !isPublicAddress(host))
    throw misused(`The address ${host} is not of the public internet, and \`publicOnly\` is set.`);
  return url;
}

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (ownHeaders.test(name)) throw misused(`The header ${name} is the sink's own.`);
    try {
      http.validateHeaderName(name);
      http.validateHeaderValue(name, value);
    } catch (cause) {
      throw new HoldfastError("invalid-configuration", `The header ${JSON.stringify(name)} is none.`, { cause });
    }
  }
}

function misused(text: string): HoldfastError {
  return new HoldfastError("invalid-configuration", text);
}

function closed(): HoldfastError {
  return new HoldfastError("unavailable", "The sink is closed.");
}

function aborted(): HoldfastError {
  return new HoldfastError("aborted", "The delivery was given up.");
}
