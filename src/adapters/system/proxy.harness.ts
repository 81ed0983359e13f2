/**
 * A TCP proxy before a real broker, and sinks whose deliveries it spoils: what the contract suite of sinks asks for.
 *
 * A fault strikes where it hurts most, at the commit of a delivery: the request is not passed on, or it is and its answer is lost, or
 * nothing is answered any more. From then on the broker cannot be reached until that delivery has ended, so that a client which tries
 * again by itself does not hide the fault.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Sink } from "../../ports/sink.ts";

export type ProxyFault = "cut" | "lose-answer" | "hang";

/** What passes on one connection, told apart by who knows the protocol. */
export interface Wiretap {
  /** The client asks to commit. */
  readonly isCommit: (fromClient: Buffer) => boolean;
  /** The server has answered a commit. */
  readonly isAnswer: (fromServer: Buffer) => boolean;
}

export interface FaultProxy {
  readonly port: number;
  /** Arms a fault for the next delivery of a sink that was wrapped: for its first commit, or the one after so many. */
  readonly arm: (fault: ProxyFault, after?: number) => void;
  /** As `arm`; resolves when a delivery hangs. */
  readonly hang: () => Promise<void>;
  readonly wrap: (sink: Sink) => Sink;
  readonly stop: () => Promise<void>;
}

export async function startFaultProxy(target: number, tap: () => Wiretap): Promise<FaultProxy> {
  const proxy = new Proxy(target, tap);
  await new Promise<void>((done) => proxy.server.listen(0, "127.0.0.1", done));
  return {
    port: (proxy.server.address() as AddressInfo).port,
    arm: (fault, after = 0) => {
      proxy.armed = fault;
      proxy.spared = after;
    },
    hang: () => {
      proxy.armed = "hang";
      proxy.spared = 0;
      return new Promise((done) => {
        proxy.onHang = done;
      });
    },
    wrap: (sink) => wrap(sink, proxy),
    stop: () => proxy.stop(),
  };
}

class Proxy {
  readonly server: Server;
  /** For the next delivery; and of the one under way. */
  armed: ProxyFault | undefined;
  active: ProxyFault | undefined;
  /** Commits of the delivery that pass before the fault strikes. */
  spared = 0;
  onHang: () => void = () => undefined;
  /** It struck: nobody gets through until the delivery has ended. */
  hasStruck = false;
  readonly #sockets = new Set<Socket>();

  constructor(target: number, tap: () => Wiretap) {
    this.server = createServer((client) => {
      this.#keep(client);
      if (this.hasStruck) return client.destroy();
      const server = connect(target, "127.0.0.1");
      this.#keep(server);
      client.on("close", () => server.destroy());
      server.on("close", () => client.destroy());
      this.#join(client, server, tap());
      return undefined;
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => this.#sockets.delete(socket));
  }

  #join(client: Socket, server: Socket, tap: Wiretap): void {
    let fault: ProxyFault | undefined;
    const strike = () => {
      this.hasStruck = true;
      client.destroy();
      server.destroy();
    };
    client.on("data", (chunk: Buffer) => {
      if (tap.isCommit(chunk) && this.active !== undefined && this.spared-- <= 0) {
        fault = this.active;
        this.active = undefined;
      }
      if (fault === "cut") return strike();
      server.write(chunk);
      if (fault === "hang") this.onHang();
      return undefined;
    });
    server.on("data", (chunk: Buffer) => {
      if (fault === "hang") return undefined;
      if (tap.isAnswer(chunk) && fault === "lose-answer") return strike();
      client.write(chunk);
      return undefined;
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }
}

function wrap(sink: Sink, proxy: Proxy): Sink {
  return {
    open: (identity) => sink.open(identity),
    async deliver(batch, signal) {
      proxy.active = proxy.armed;
      proxy.armed = undefined;
      try {
        await sink.deliver(batch, signal);
      } finally {
        proxy.active = undefined;
        proxy.hasStruck = false;
      }
    },
    rewind: async (cursor) => await sink.rewind?.(cursor),
    close: () => sink.close(),
  };
}
