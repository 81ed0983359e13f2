/**
 * Feeds over HTTP: `GET /v1/feeds/{changes|absolutes|deltas}`, pulled batch by batch with a cursor, or as server-sent events.
 *
 * Invariants: nothing is opened before the caller is known; a request that its caller gave up ends its wait; what is sent of an
 * answer is a whole batch, or it is no JSON. No answer depends on which feeds happen to be kept.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isHoldfastError } from "../model/errors.ts";
import { type FeedAsk, type FeedBatch, type FeedForm, feedForms } from "../model/feeds.ts";
import type { Principal } from "../model/records.ts";
import type { Feed, Feeds } from "../propagation/feed.ts";
import { cloudEventOf } from "../wire/cloud-events.ts";
import { identify } from "./auth.ts";
import { type DoorAsk, readFeedAsk } from "./feed-ask.ts";
import { FeedStreams } from "./feed-streams.ts";
import { refuse } from "./http-answer.ts";
import { addressOf, readToken } from "./http-request.ts";
import { KeptFeeds } from "./kept-feeds.ts";
import type { GatewayContext, Identity } from "./options.ts";
import { PacedResponse } from "./paced-response.ts";
import { wantsEvents } from "./sse.ts";

export const feedsPath = "/v1/feeds";
export const feedMethods: readonly string[] = ["GET"];

/** Characters of an answer that are written at once: a piece of a millisecond's work. */
const pieceChars = 64 * 1024;

/** Undefined if the path is none of theirs. */
export function matchFeedRoute(path: string): FeedForm | undefined {
  if (!path.startsWith(`${feedsPath}/`)) return undefined;
  return feedForms.find((form) => path === `${feedsPath}/${form}`);
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly search: string;
}

export class FeedDoor {
  readonly #context: GatewayContext;
  readonly #feeds: Feeds;
  readonly #kept: KeptFeeds;
  readonly #streams: FeedStreams;
  /** Of requests under way. */
  readonly #pulling = new Set<Feed>();

  constructor(context: GatewayContext, feeds: Feeds) {
    this.#context = context;
    this.#feeds = feeds;
    this.#kept = new KeptFeeds(context.service.limits);
    this.#streams = new FeedStreams(context, feeds.service);
  }

  /** @throws HoldfastError what is wrong with the request */
  async serve(form: FeedForm, { request, response, search }: Exchange): Promise<void> {
    const identity = await identify(this.#context, readToken(request), { address: addressOf(request) });
    if (this.#context.draining) refuse("unavailable", "This node is stopping; ask again.");
    const stream = wantsEvents(request);
    const asked = readFeedAsk(form, search, this.#context.service.limits, stream);
    if (!stream) return this.#pull(asked, identity, response);
    const last = request.headers["last-event-id"];
    const start = typeof last === "string" && last !== "" ? { cursor: last } : asked.ask.start;
    const feed = await this.#open({ ...asked.ask, start, principal: identity.principal });
    await this.#streams.run(feed, asked.batch, identity, response);
  }

  sweep(nowMs: number): void {
    this.#kept.sweep(nowMs);
    this.#streams.sweep();
  }

  /** Answers who waits with what there is; ends streams. */
  close(): void {
    for (const feed of this.#pulling) feed.close();
    this.#streams.close();
    this.#kept.close();
  }

  async #pull({ ask, batch: limits, reader }: DoorAsk, identity: Identity, response: ServerResponse): Promise<void> {
    const { principal } = identity;
    const { start } = ask;
    const kept =
      typeof start === "object" && "cursor" in start ? nameOf(ask, principal, start.cursor, reader) : undefined;
    const feed = (kept === undefined ? undefined : this.#kept.take(kept)) ?? (await this.#open({ ...ask, principal }));
    const paced = new PacedResponse(response, this.#context.clock, this.#context.service.limits.feedStalledMs);
    const giveUp = (): void => feed.close();
    this.#pulling.add(feed);
    response.on("close", giveUp);
    try {
      if (paced.gone || this.#context.draining) feed.close();
      const waitMs = Math.min(limits.waitMs, this.#lastsMs(identity));
      const batch = await feed.next({ ...limits, waitMs });
      // A cursor alone does not tell what a feed of states gave after it; this answer's own name does.
      const next = ask.form === "changes" ? undefined : this.#newReader();
      await sendBatch(paced, batch, this.#feeds.service, next);
      if (paced.gone) return;
      response.off("close", giveUp);
      const name = nameOf(ask, principal, batch.cursor, next);
      if (this.#context.draining || (next === undefined && name === kept)) feed.close();
      else this.#kept.put(name, feed, ask.form, this.#context.clock.monotonic());
      response.end("]}");
    } catch (error) {
      feed.close();
      throw error;
    } finally {
      this.#pulling.delete(feed);
    }
  }

  /** One that nobody uses makes room. */
  async #open(ask: FeedAsk): Promise<Feed> {
    for (;;) {
      try {
        return await this.#feeds.open(ask);
      } catch (error) {
        if (!isHoldfastError(error) || error.code !== "overloaded" || !this.#kept.dropOldest()) throw error;
      }
    }
  }

  #lastsMs({ expiresAtMs }: Identity): number {
    return expiresAtMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, expiresAtMs - this.#context.clock.now());
  }

  #newReader(): string {
    return Buffer.from(this.#context.random.bytes(16)).toString("base64url");
  }
}

/** What a kept feed must agree in with who comes back: everything that its items depend on. */
function nameOf(
  { form, filter, view }: DoorAsk["ask"],
  { kind, id, roles }: Principal,
  cursor: string,
  reader: string | undefined,
): string {
  return JSON.stringify([cursor, form, filter ?? null, view ?? null, kind, id, roles ?? null, reader ?? null]);
}

/** All of the answer but its end. */
async function sendBatch(
  paced: PacedResponse,
  batch: FeedBatch,
  service: string,
  reader: string | undefined,
): Promise<void> {
  if (paced.gone) return;
  const { items, cursor, lag } = batch;
  const { response } = paced;
  response.statusCode = 200;
  response.setHeader("Content-Type", "application/json");
  const named = reader === undefined ? "" : `"reader":"${reader}",`;
  let text = `{"cursor":"${cursor}",${named}"lag":${JSON.stringify(lag)},"events":[`;
  for (let index = 0; index < items.length; index++) {
    const item = items[index] as (typeof items)[number];
    text += index === 0 ? cloudEventOf(item, service) : `,${cloudEventOf(item, service)}`;
    if (text.length < pieceChars) continue;
    await paced.write(text);
    if (paced.gone) return;
    text = "";
  }
  response.write(text);
}
