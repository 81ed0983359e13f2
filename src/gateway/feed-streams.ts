/**
 * Feeds as server-sent events: one CloudEvent per message, with the cursor as the id of the last one of each batch. So
 * `Last-Event-ID` resumes without a gap; what came of a batch that was cut off comes again.
 *
 * Invariants: the next batch is asked for when the one before has left, so that a stream costs one batch however slow its reader
 * is; a stream whose token has ended is over.
 */
import type { ServerResponse } from "node:http";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { BatchLimits, FeedBatch } from "../model/feeds.ts";
import type { Feed } from "../propagation/feed.ts";
import { cloudEventOf } from "../wire/cloud-events.ts";
import type { GatewayContext, Identity } from "./options.ts";
import { PacedResponse } from "./paced-response.ts";

const pieceChars = 64 * 1024;

interface Stream {
  readonly feed: Feed;
  readonly paced: PacedResponse;
  readonly identity: Identity;
}

export class FeedStreams {
  readonly #context: GatewayContext;
  readonly #service: string;
  readonly #streams = new Set<Stream>();

  constructor(context: GatewayContext, service: string) {
    this.#context = context;
    this.#service = service;
  }

  /** Resolves when the stream is over. Never rejects. */
  async run(feed: Feed, batch: BatchLimits, identity: Identity, response: ServerResponse): Promise<void> {
    const { clock, service } = this.#context;
    const paced = new PacedResponse(response, clock, service.limits.feedStalledMs);
    const stream: Stream = { feed, paced, identity };
    this.#streams.add(stream);
    response.on("close", () => feed.close());
    let ended: HoldfastError | undefined;
    try {
      await this.#follow(stream, { ...batch, waitMs: service.limits.pingMs });
    } catch (error) {
      ended = this.#known(error);
    } finally {
      this.#streams.delete(stream);
      feed.close();
    }
    if (paced.gone || response.writableEnded) return;
    if (ended === undefined) response.end();
    else response.end(`event: ended\ndata: ${JSON.stringify({ code: ended.code, detail: ended.message })}\n\n`);
  }

  /** Wakes streams whose token has ended. Called now and then. */
  sweep(): void {
    const now = this.#context.clock.now();
    for (const { feed, identity } of this.#streams) if (now >= (identity.expiresAtMs ?? Infinity)) feed.close();
  }

  /** Ends every stream; its reader connects again, elsewhere. */
  close(): void {
    for (const stream of this.#streams) {
      stream.feed.close();
      if (!stream.paced.gone) stream.paced.response.end();
    }
  }

  async #follow({ feed, paced, identity }: Stream, batch: BatchLimits): Promise<void> {
    const { response } = paced;
    if (paced.gone) return;
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no" });
    // A reader that loses its connection before the first item comes back to where it began.
    let { cursor } = feed;
    await paced.write(`retry: 1000\nid: ${cursor}\n\n`);
    while (!paced.gone) {
      const next = await feed.next(batch);
      if (paced.gone || response.writableEnded) return;
      this.#checkLasts(identity);
      if (next.items.length > 0) await this.#send(paced, next);
      else await paced.write(next.cursor === cursor ? ": still here\n\n" : `id: ${next.cursor}\n\n`);
      ({ cursor } = next);
    }
  }

  /** @throws `unauthenticated` */
  #checkLasts({ expiresAtMs }: Identity): void {
    if (expiresAtMs !== undefined && this.#context.clock.now() >= expiresAtMs)
      throw new HoldfastError("unauthenticated", "The token has ended.");
  }

  async #send(paced: PacedResponse, { items, cursor }: FeedBatch): Promise<void> {
    let text = "";
    for (const [index, item] of items.entries()) {
      if (index === items.length - 1) text += `id: ${cursor}\n`;
      text += `event: ${item.kind}\ndata: ${cloudEventOf(item, this.#service)}\n\n`;
      if (text.length < pieceChars) continue;
      await paced.write(text);
      if (paced.gone || paced.response.writableEnded) return;
      text = "";
    }
    if (text !== "") await paced.write(text);
  }

  #known(error: unknown): HoldfastError {
    if (isHoldfastError(error)) return error;
    const thrown = error instanceof Error ? error.name : typeof error;
    this.#context.report({ where: "http", code: "internal", thrown });
    return new HoldfastError("internal", "Something went wrong here.");
  }
}
