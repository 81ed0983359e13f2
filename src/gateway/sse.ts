/**
 * Views as server-sent events: `absolute` and `delta`, each with the cursor `run:version` as its id, so that a browser
 * that reconnects with `Last-Event-ID` gets what it missed.
 *
 * Invariant: what is queued to one stream is bounded: over half of `outgoingBytesPerConnectionMax` it falls behind and
 * comes back with an absolute; behind for `slowMs`, or with its token ended, it is closed.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorCode } from "../model/errors.ts";
import type { EntityRef } from "../model/ids.ts";
import type { WatchCall } from "../model/records.ts";
import { sendProblem } from "./http-answer.ts";
import type { GatewayContext, Identity } from "./options.ts";
import type { Resume, Subscription, WatchHub } from "./subscriptions.ts";

const cursorPattern = /^([A-Za-z0-9_-]{1,64}):(0|[1-9][0-9]{0,15})$/;

/** Whether the request asks for events rather than one value. */
export function wantsEvents(request: IncomingMessage): boolean {
  return (request.headers.accept ?? "")
    .split(",")
    .some((part) => part.split(";", 1)[0]?.trim().toLowerCase() === "text/event-stream");
}

interface Stream {
  readonly hub: WatchHub;
  readonly response: ServerResponse;
  readonly identity: Identity;
  subscription: Subscription | undefined;
  started: boolean;
  slowMs: number;
  heartbeatMs: number;
  closed: boolean;
}

export class EventStreams {
  readonly #context: GatewayContext;
  readonly #streams = new Set<Stream>();

  constructor(context: GatewayContext) {
    this.#context = context;
  }

  open(
    route: { readonly entity: EntityRef; readonly name: string },
    identity: Identity,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const call = { entity: route.entity, view: route.name, principal: identity.principal };
    this.follow(this.#context.hub, call, { identity, request, response });
  }

  /** Follows what a hub watches, until the identity ends. */
  follow(
    hub: WatchHub,
    call: WatchCall,
    { identity, request, response }: { identity: Identity; request: IncomingMessage; response: ServerResponse },
  ): void {
    const nowMs = this.#context.clock.monotonic();
    const stream: Stream = {
      hub,
      response,
      identity,
      subscription: undefined,
      started: false,
      slowMs: -1,
      heartbeatMs: nowMs,
      closed: false,
    };
    this.#streams.add(stream);
    response.on("close", () => this.#close(stream));
    response.on("drain", () => this.#drained(stream));
    const { run } = hub;
    const subscription = hub.subscribe(call, readCursor(request), {
      ready: () => stream.slowMs < 0,
      show: ({ body, text }) => this.#event(stream, body.t, `${run}:${body.version}`, text),
      ended: (code, detail) => this.#ended(stream, code, detail),
    });
    stream.subscription = subscription;
    if (stream.closed) hub.unsubscribe(subscription);
  }

  /** Heartbeats and deadlines. Called now and then. */
  sweep(nowMs: number): void {
    const { limits } = this.#context.service;
    for (const stream of [...this.#streams]) {
      const endsMs = stream.identity.expiresAtMs;
      const ended = endsMs !== undefined && this.#context.clock.now() >= endsMs;
      const tooSlow = stream.slowMs >= 0 && nowMs - stream.slowMs > limits.slowMs;
      if (tooSlow) stream.response.destroy();
      else if (ended) this.#ended(stream, "unauthenticated", "The token has ended.");
      else if (!stream.started && nowMs - stream.heartbeatMs > limits.requestMs)
        this.#ended(stream, "unavailable", "No value came in time.");
      else if (stream.started && nowMs - stream.heartbeatMs > limits.pingMs) {
        stream.heartbeatMs = nowMs;
        if (stream.slowMs < 0) stream.response.write(": still here\n\n");
      }
    }
  }

  /** Ends every stream; its reader connects again, elsewhere. */
  close(): void {
    for (const stream of [...this.#streams]) {
      stream.response.end();
      this.#close(stream);
    }
  }

  #event(stream: Stream, event: string, id: string, data: string): void {
    if (stream.closed) return;
    const { response } = stream;
    if (!stream.started) {
      stream.started = true;
      response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no" });
      response.write("retry: 1000\n\n");
    }
    response.write(`id: ${id}\nevent: ${event}\ndata: ${data}\n\n`);
    const { limits } = this.#context.service;
    if (response.writableLength > limits.outgoingBytesPerConnectionMax) response.destroy();
    else if (response.writableLength > limits.outgoingBytesPerConnectionMax / 2 && stream.slowMs < 0) {
      stream.slowMs = this.#context.clock.monotonic();
    }
  }

  #ended(stream: Stream, code: ErrorCode, detail: string): void {
    if (stream.closed) return;
    if (stream.started) stream.response.end(`event: ended\ndata: ${JSON.stringify({ code, detail })}\n\n`);
    else sendProblem(stream.response, { ok: false, code, detail });
    this.#close(stream);
  }

  #drained(stream: Stream): void {
    if (stream.slowMs < 0) return;
    stream.slowMs = -1;
    if (stream.subscription !== undefined) stream.hub.catchUp(stream.subscription);
  }

  #close(stream: Stream): void {
    stream.closed = true;
    this.#streams.delete(stream);
    if (stream.subscription !== undefined) stream.hub.unsubscribe(stream.subscription);
  }
}

/** Where the reader was. What is not one of our cursors starts again, as an unknown one would. */
function readCursor(request: IncomingMessage): Resume {
  const header = request.headers["last-event-id"];
  const [, run, version] = cursorPattern.exec(typeof header === "string" ? header : "") ?? [];
  return run === undefined || version === undefined ? {} : { run, from: Number(version) };
}
