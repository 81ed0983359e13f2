/**
 * Transport between processes: WebSockets on a port of its own, the messages of a turn in one frame, and the log's frames as they are.
 *
 * Invariants: there is no connection but with a node that proved that it belongs to the cluster, at most `peersMax` of them; after `close`
 * nothing is left, neither a socket nor a timer.
 */
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import type { NodeRef } from "../../model/cluster.ts";
import { HoldfastError } from "../../model/errors.ts";
import type { OpenTransport, PeerConnection, Transport, TransportOptions } from "../../ports/transport.ts";
import { encodePlain } from "../../wire/codec.ts";
import { peerProtocol } from "../../wire/peer.ts";
import { greet } from "./greeting.ts";
import { type Agreed, Dialing, Listening, type Party, refuse } from "./handshake.ts";
import { PeerLink } from "./link.ts";
import { type Listener, listenForPeers } from "./listener.ts";
import { type PeersOptions, type PeersSettings, peersSettings } from "./settings.ts";

export type { PeersOptions, PeersTls } from "./settings.ts";

/** How a node opens its transport. @throws `invalid-configuration` a setting cannot work */
export function peersTransport(options: PeersOptions): OpenTransport {
  const settings = peersSettings(options);
  return (given) => PeersTransport.open(settings, given);
}

class PeersTransport implements Transport {
  address = "";
  readonly #settings: PeersSettings;
  readonly #options: TransportOptions;
  readonly #party: Party;
  readonly #links = new Set<PeerLink>();
  readonly #dialing = new Set<WebSocket>();
  #listener: Listener | undefined;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #sweptMs: number;
  #cancelSweep: () => void = () => {};
  /** Called whenever a link is gone. */
  #gone: () => void = () => {};

  static async open(settings: PeersSettings, options: TransportOptions): Promise<Transport> {
    const transport = new PeersTransport(settings, options);
    await transport.#listen();
    return transport;
  }

  private constructor(settings: PeersSettings, options: TransportOptions) {
    const { self, info } = options;
    const { versions, secrets, limits, random, clock } = settings;
    if (Buffer.byteLength(encodePlain(info, "json")) > limits.peerHandshakeBytesMax / 2)
      throw new HoldfastError("invalid-configuration", "What the node tells of itself is too large for the handshake.");
    this.#settings = settings;
    this.#options = options;
    this.#party = { self, info, versions, secrets, limits, random };
    this.#sweptMs = clock.monotonic();
  }

  async #listen(): Promise<void> {
    const { tls, host, advertise } = this.#settings;
    const listener = await listenForPeers(this.#settings, (socket, raw) => this.#accept(socket, raw));
    const place = advertise ?? `${host.includes(":") ? `[${host}]` : host}:${listener.port}`;
    this.address = `${tls === undefined ? "ws" : "wss"}://${place}`;
    this.#listener = listener;
    this.#sweepLater();
  }

  dial(address: string, expected: NodeRef): Promise<PeerConnection> {
    const { limits } = this.#settings;
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new HoldfastError("unavailable", "This transport is closed."));
      if (this.#links.size + this.#dialing.size >= limits.peersMax)
        return reject(new HoldfastError("overloaded", "This node has as many connections as it may."));
      try {
        this.#dial(this.#connect(address), expected, resolve, reject);
      } catch (error) {
        reject(error as HoldfastError);
      }
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #connect(address: string): WebSocket {
    const { tls, limits } = this.#settings;
    // A node that has certificates speaks to nobody without, whatever the address says.
    if (!address.startsWith(tls === undefined ? "ws://" : "wss://"))
      refuse(`The address of a node begins with ${tls === undefined ? "ws" : "wss"}://, as this one's does.`);
    try {
      return new WebSocket(address, peerProtocol, {
        maxPayload: limits.peerFrameBytesMax,
        perMessageDeflate: false,
        skipUTF8Validation: true,
        // Masks are for proxies that browsers might be made to confuse. One of zeros spares both sides a pass over every byte.
        generateMask: (mask) => mask.fill(0),
        ...tls,
        ...(tls === undefined ? undefined : { rejectUnauthorized: true }),
      });
    } catch {
      return refuse("The address is none of a node.");
    }
  }

  #dial(
    socket: WebSocket,
    expected: NodeRef,
    resolve: (connection: PeerConnection) => void,
    reject: (error: HoldfastError) => void,
  ): void {
    const { clock, limits } = this.#settings;
    this.#dialing.add(socket);
    let raw: Duplex | undefined;
    const fail = (error: HoldfastError): void => {
      cancel();
      this.#dialing.delete(socket);
      reject(error);
    };
    const cancel = clock.after(limits.peerHandshakeMs, () => {
      fail(new HoldfastError("unavailable", "The node does not answer."));
      socket.terminate();
    });
    socket.on("upgrade", (response) => {
      raw = response.socket;
    });
    socket.on("error", (error: NodeJS.ErrnoException) =>
      fail(new HoldfastError("unavailable", `The node cannot be reached (${error.code ?? error.message}).`)),
    );
    socket.on("close", () => fail(new HoldfastError("unavailable", "The connection was lost.")));
    socket.on("open", () => {
      cancel();
      const handshake = new Dialing(this.#party, expected);
      const agreed = (known: Agreed): void => {
        this.#dialing.delete(socket);
        if (this.#isClosed) socket.terminate();
        else resolve(this.#open(known, socket, raw as Duplex));
      };
      greet({ socket, raw: raw as Duplex, clock, limits, handshake, agreed, failed: fail, tells: false });
      socket.send(handshake.hello);
    });
  }

  #accept(socket: WebSocket, raw: Duplex): void {
    const { clock, limits, refused } = this.#settings;
    socket.on("error", () => {});
    if (this.#isClosed) return socket.terminate();
    const handshake = new Listening(this.#party, () => this.#links.size >= limits.peersMax);
    const agreed = (known: Agreed): void => {
      this.#listener?.admit(raw);
      if (this.#isClosed) socket.terminate();
      else this.#open(known, socket, raw);
    };
    const address = (raw as Duplex & { readonly remoteAddress?: string }).remoteAddress ?? "";
    const failed = ({ message }: HoldfastError): void => refused({ address, detail: message });
    greet({ socket, raw, clock, limits, handshake, agreed, failed, tells: true });
  }

  #open(agreed: Agreed, socket: WebSocket, raw: Duplex): PeerLink {
    const { clock, limits } = this.#settings;
    const gone = (link: PeerLink): void => {
      this.#links.delete(link);
      this.#gone();
    };
    const link = new PeerLink(agreed, { socket, raw, clock, limits, gone });
    this.#links.add(link);
    link.start(this.#options.opened(link));
    return link;
  }

  #sweepLater(): void {
    const { clock, limits } = this.#settings;
    this.#cancelSweep = clock.after(limits.peerHeartbeatMs, () => {
      const nowMs = clock.monotonic();
      const lateMs = Math.max(0, nowMs - this.#sweptMs - limits.peerHeartbeatMs);
      this.#sweptMs = nowMs;
      for (const link of this.#links) link.sweep(nowMs, lateMs);
      this.#sweepLater();
    });
  }

  /** Sweeps end what does not close by itself. */
  async #close(): Promise<void> {
    this.#isClosed = true;
    for (const socket of this.#dialing) socket.terminate();
    const listening = this.#listener?.close();
    const ended = new Promise<void>((resolve) => {
      this.#gone = () => {
        if (this.#links.size === 0) resolve();
      };
    });
    for (const link of this.#links) link.close("the node closes its connections");
    this.#gone();
    await ended;
    await listening;
    this.#cancelSweep();
  }
}
