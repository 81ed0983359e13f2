/**
 * The port on which other nodes dial this one: WebSockets and nothing else.
 *
 * Invariant: connections that have not proved whose they are are bounded in number (`peerHandshakesMax`), time and bytes; every default of
 * `node:http` and `ws` that waits or queues without bound is set.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { HoldfastError } from "../../model/errors.ts";
import { peerProtocol } from "../../wire/peer.ts";
import type { PeersSettings } from "./settings.ts";

export interface Listener {
  readonly port: number;
  /** The other side of this connection is known. */
  admit(raw: Duplex): void;
  /** Ends all that are not. Resolves when none of its connections is left. */
  close(): Promise<void>;
}

const headerBytesMax = 8 * 1024;

/** @throws `invalid-configuration` it cannot listen there */
export async function listenForPeers(
  settings: PeersSettings,
  opened: (socket: WebSocket, raw: Duplex) => void,
): Promise<Listener> {
  const { limits, clock, refused } = settings;
  const server = makeServer(settings);
  /** Connections of nobody yet, with what cancels their deadline. */
  const strangers = new Map<Duplex, () => void>();
  const admit = (raw: Duplex): void => {
    strangers.get(raw)?.();
    strangers.delete(raw);
  };
  server.maxConnections = limits.peersMax + limits.peerHandshakesMax;
  server.on(settings.tls === undefined ? "connection" : "secureConnection", (raw: Socket) => {
    const address = raw.remoteAddress ?? "";
    raw.on("error", () => raw.destroy());
    raw.once("close", () => admit(raw));
    if (strangers.size >= limits.peerHandshakesMax) {
      refused({ address, detail: "Too many connections are in their handshake." });
      raw.destroy();
      return;
    }
    const cancel = clock.after(limits.peerHandshakeMs, () => {
      refused({ address, detail: "The handshake was not over in time." });
      raw.destroy();
    });
    strangers.set(raw, cancel);
  });
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: limits.peerFrameBytesMax,
    perMessageDeflate: false,
    clientTracking: false,
    skipUTF8Validation: true,
    handleProtocols: () => peerProtocol,
  });
  server.on("upgrade", (request: IncomingMessage, raw: Duplex, head: Buffer) => {
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    if (!offered.includes(peerProtocol)) {
      refused({ address: request.socket.remoteAddress ?? "", detail: `It does not speak ${peerProtocol}.` });
      raw.destroy();
      return;
    }
    // The handshake has a deadline of its own.
    strangers.get(raw)?.();
    sockets.handleUpgrade(request, raw, head, (socket) => opened(socket, raw));
  });
  const port = await listen(server, settings);
  const close = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const raw of strangers.keys()) raw.destroy();
    sockets.close();
    await ended;
  };
  return { port, admit, close };
}

function makeServer({ tls, limits }: PeersSettings): Server {
  const options = {
    headersTimeout: limits.peerHandshakeMs,
    requestTimeout: limits.peerHandshakeMs,
    maxHeaderSize: headerBytesMax,
    insecureHTTPParser: false,
    noDelay: true,
  };
  const server =
    tls === undefined
      ? createServer(options)
      : createTlsServer({ ...tls, ...options, rejectUnauthorized: true, handshakeTimeout: limits.peerHandshakeMs });
  server.on("request", (_request, response) => {
    response.writeHead(426, { connection: "close", "content-length": 0 }).end();
  });
  server.on("clientError", (_error, raw) => raw.destroy());
  server.on("tlsClientError", (_error, raw) => raw.destroy());
  return server;
}

function listen(server: Server, { host, port }: PeersSettings): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const problem = `Cannot listen for other nodes on ${host}:${port} (${error.code ?? error.name}).`;
      reject(new HoldfastError("invalid-configuration", problem, { cause: error }));
    });
    server.listen({ host, port }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}
