/** What tests of the peer port share: a node that notes down what it hears, and a client that does what no node would. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { WebSocket } from "ws";
import type { NodeRef } from "../../model/cluster.ts";
import { type Limits, limitsWith } from "../../model/limits.ts";
import type { PeerConnection, PeerMessage, Transport } from "../../ports/transport.ts";
import { peerProtocol, peerVersions } from "../../wire/peer.ts";
import { systemClock } from "../system/clock.ts";
import { systemRandom } from "../system/random.ts";
import { Dialing, type Party } from "./handshake.ts";
import { type PeersOptions, peersTransport } from "./transport.ts";

export const secret = "the secret of these nodes, long enough to be one";

/** Short, so that tests need not wait. */
export const limits: Limits = limitsWith({
  peerHandshakeMs: 300,
  peerHandshakesMax: 8,
  peerHeartbeatMs: 20,
  peerSilentMs: 200,
  peersMax: 16,
});

export interface Noted {
  readonly self: NodeRef;
  readonly transport: Transport;
  readonly opened: PeerConnection[];
  readonly messages: PeerMessage[];
  readonly closed: string[];
  /** Why somebody was not let in. */
  readonly refused: string[];
  readonly port: number;
}

export async function noted(name: string, options: PeersOptions = {}, generation = 1): Promise<Noted> {
  const self = { node: name, generation };
  const [opened, messages, closed, refused] = [
    [] as PeerConnection[],
    [] as PeerMessage[],
    [] as string[],
    [] as string[],
  ];
  const open = peersTransport({
    limits,
    secrets: [secret],
    refused: ({ detail }) => refused.push(detail),
    ...options,
  });
  const transport = await open({
    self,
    info: { name },
    opened: (connection) => {
      opened.push(connection);
      return {
        message: (_connection, message) => messages.push(message),
        drained: () => {},
        closed: (_connection, reason) => closed.push(reason),
      };
    },
  });
  return { self, transport, opened, messages, closed, refused, port: Number(new URL(transport.address).port) };
}

export function party(name: string, secrets: readonly string[] = [secret]): Party {
  const self = { node: name, generation: 1 };
  return { self, info: { of: "of myself" }, versions: peerVersions, secrets, limits, random: systemRandom };
}

export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => systemClock.after(5, resolve));
}

/** A WebSocket to the peer port, as anybody can open one. */
export async function stranger(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, peerProtocol);
  socket.on("error", () => {});
  await once(socket, "open");
  return socket;
}

/** A WebSocket on which the handshake was made, and that then does as it is told. */
export async function impostor(to: Noted): Promise<WebSocket> {
  const socket = await stranger(to.port);
  const dialing = new Dialing(party("impostor"), to.self);
  socket.send(dialing.hello);
  for (;;) {
    const [frame] = (await once(socket, "message")) as [Buffer];
    const { send, agreed } = dialing.take(frame);
    if (send !== undefined) socket.send(send);
    if (agreed !== undefined) return socket;
  }
}

/** However it ends. */
export function closing(socket: Socket | WebSocket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

export async function tcp(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** Everything that went through, by direction. */
export interface Wiretap {
  readonly port: number;
  readonly toListener: Buffer[];
  readonly toDialer: Buffer[];
  close(): void;
}

/** Stands between two nodes and writes down what they say. @param restMs before it takes more from the dialer */
export async function wiretap(port: number, restMs = 0): Promise<Wiretap> {
  const [toListener, toDialer] = [[] as Buffer[], [] as Buffer[]];
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => {});
    near.on("data", (chunk: Buffer) => {
      toListener.push(chunk);
      far.write(chunk);
      if (restMs === 0) return;
      near.pause();
      systemClock.after(restMs, () => near.resume());
    });
    far.on("data", (chunk: Buffer) => {
      toDialer.push(chunk);
      near.write(chunk);
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    toListener,
    toDialer,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
