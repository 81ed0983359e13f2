/**
 * The gateway: one port with HTTP, WebSockets and server-sent events in front of a service.
 *
 * Invariants: every default of `node:http` and `ws` that waits or queues without bound is set; no user code runs here;
 * after `close` nothing of it is left, neither a socket nor a timer.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import { closeCode, subprotocol } from "../wire/protocol.ts";
import { describeFeeds } from "./asyncapi.ts";
import { Connections } from "./connections.ts";
import { DoorList } from "./doors.ts";
import { type HttpParts, serveHttp, socketPath } from "./http.ts";
import { rawProblem } from "./http-answer.ts";
import { FeedDoor } from "./http-feeds.ts";
import { showProjections } from "./http-projections.ts";
import { addressOf } from "./http-request.ts";
import { describeApi } from "./openapi.ts";
import type { Gateway, GatewayContext, GatewayOptions } from "./options.ts";
import { Origins } from "./origins.ts";
import { CreateQuota } from "./quota.ts";
import { Session } from "./session.ts";
import { EventStreams } from "./sse.ts";
import { StaticFiles } from "./static-files.ts";
import { WatchHub } from "./subscriptions.ts";

/**
 * Starts listening.
 * @throws `invalid-configuration` the port is taken, or a setting cannot work
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { service, clock, random, authenticate } = options;
  const report = options.report ?? (() => {});
  const doors = options.doors && new DoorList(options.doors, service.limits, random, report);
  const context: GatewayContext = {
    service,
    subscribers: options.subscribers,
    clock,
    random,
    authenticate,
    hub: new WatchHub(service, clock),
    feeds: options.feeds,
    projections: options.projections && showProjections(options.projections, clock),
    doors,
    figures: options.figures ?? (() => service.figures()),
    quota: new CreateQuota(clock, service.limits),
    report,
    draining: false,
  };
  const host = options.host ?? "127.0.0.1";
  const files =
    options.staticDirectory === undefined ? undefined : await StaticFiles.open(options.staticDirectory, doors);
  const about = { title: options.title ?? "Holdfast service", version: options.version ?? "0" };
  const projections = options.projections?.definitions ?? [];
  const has = { feeds: options.feeds !== undefined, cluster: service.cluster !== undefined };
  const api = describeApi(service.definitions, { ...about, ...has, projections });
  const feedsApi = options.feeds && describeFeeds(service.definitions, { ...about, service: options.feeds.service });
  const server = createHttpServer(service.limits);
  const port = await listen(server, host, options.port);
  try {
    const origins = new Origins(host, port, options.allowedOrigins ?? [], doors);
    const streams = new EventStreams(context);
    const feeds = options.feeds === undefined ? undefined : new FeedDoor(context, options.feeds);
    return new RunningGateway(server, { context, origins, streams, feeds, files, api, feedsApi }, host, port);
  } catch (error) {
    server.close();
    throw error;
  }
}

/** With every limit set that `node:http` leaves open. */
export function createHttpServer(limits: Limits): Server {
  return createServer({
    // Headers have half the time of the whole request; node:http would give 60 s and 300 s, and look every 30 s.
    headersTimeout: Math.ceil(limits.requestMs / 2),
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: sweepMs(limits),
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.headerBytesMax,
    requireHostHeader: true,
    insecureHTTPParser: false,
    noDelay: true,
  });
}

function sweepMs(limits: Limits): number {
  return Math.max(
    20,
    Math.min(1_000, Math.floor(Math.min(limits.handshakeMs, limits.requestMs, limits.pingMs, limits.slowMs) / 4)),
  );
}

/** @returns the port. @throws `invalid-configuration` it is taken */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(
        new HoldfastError(
          "invalid-configuration",
          `Cannot listen on ${host}:${port} (${error.code ?? error.name}); choose another port.`,
        ),
      );
    });
    server.listen({ host, port }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

class RunningGateway implements Gateway {
  readonly port: number;
  readonly url: string;
  readonly #server: Server;
  readonly #parts: HttpParts;
  readonly #connections: Connections;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<Session>();
  #cancelSweep: () => void = () => {};
  #closing: Promise<void> | undefined;

  constructor(server: Server, parts: HttpParts, host: string, port: number) {
    const { limits } = parts.context.service;
    this.port = port;
    this.url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.#server = server;
    this.#parts = parts;
    this.#connections = new Connections(server, limits);
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: limits.frameBytesMax,
      perMessageDeflate: false,
      clientTracking: false,
      skipUTF8Validation: true, // the codec does it
      handleProtocols: (offered) => [subprotocol.msgpack, subprotocol.json].find((name) => offered.has(name)) ?? false,
    });
    server.on("request", (request, response) => void serveHttp(parts, request, response));
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    server.on("clientError", (error: NodeJS.ErrnoException, socket) => refuseBytes(error, socket));
    this.#sweepLater();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    try {
      this.#parts.origins.check(request);
      if (request.url !== socketPath)
        throw new HoldfastError("not-found", `WebSockets are at ${socketPath}, without parameters.`);
      if (this.#parts.context.draining) throw new HoldfastError("unavailable", "This node is stopping; connect again.");
      const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
      if (!offered.includes(subprotocol.msgpack) && !offered.includes(subprotocol.json)) {
        throw new HoldfastError("invalid-frame", `The subprotocol is ${subprotocol.msgpack} or ${subprotocol.json}.`);
      }
    } catch (error) {
      const known = isHoldfastError(error) ? error : new HoldfastError("internal", "Something went wrong here.");
      socket.end(rawProblem(known.code, known.message), () => socket.destroy());
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, request));
  }

  #open(webSocket: WebSocket, request: IncomingMessage): void {
    const encoding = webSocket.protocol === subprotocol.json ? "json" : "msgpack";
    const session = new Session(this.#parts.context, webSocket, request.socket as Socket, encoding, addressOf(request));
    this.#sessions.add(session);
    webSocket.on("close", () => this.#sessions.delete(session));
  }

  #sweepLater(): void {
    const { clock, service } = this.#parts.context;
    this.#cancelSweep = clock.after(sweepMs(service.limits), () => {
      const nowMs = clock.monotonic();
      this.#parts.context.doors?.look();
      for (const session of this.#sessions) session.tellDoors();
      for (const session of this.#sessions) session.sweep(nowMs);
      this.#parts.streams.sweep(nowMs);
      this.#parts.feeds?.sweep(nowMs);
      this.#sweepLater();
    });
  }

  /** Readiness first, then what is under way, then the connections. */
  async #close(): Promise<void> {
    const { context, streams, feeds } = this.#parts;
    const { clock, service, hub, projections } = context;
    context.draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.drain();
    streams.close();
    feeds?.close();
    const untilMs = clock.monotonic() + service.limits.drainMs;
    while (this.#busy() && clock.monotonic() < untilMs) await this.#pause(5);
    for (const session of this.#sessions) session.close(closeCode.shuttingDown);
    this.#server.closeIdleConnections();
    while (this.#connections.size > 0 && clock.monotonic() < untilMs) {
      await this.#pause(5);
      this.#server.closeIdleConnections();
    }
    for (const session of this.#sessions) session.terminate();
    this.#connections.destroyAll();
    this.#cancelSweep();
    hub.close();
    projections?.hub.close();
    this.#sockets.close();
    await closed;
  }

  #busy(): boolean {
    for (const session of this.#sessions) if (session.inflight > 0) return true;
    return false;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#parts.context.clock.after(ms, resolve));
  }
}

/** Bytes that never became a request. */
function refuseBytes(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const answer =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? rawProblem("request-timeout", "The request did not arrive whole in time.")
      : error.code === "HPE_HEADER_OVERFLOW"
        ? rawProblem("too-large", "The headers are too large.", 431)
        : rawProblem("invalid-frame", "The bytes are not an HTTP request.");
  socket.end(answer, () => socket.destroy());
}
