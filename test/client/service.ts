/**
 * A real service for the client's tests: gateway and node over a log in memory that outlives them, on one port, and a
 * wire in between that can be cut.
 */
import { once } from "node:events";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import type { Authenticate, Gateway } from "../../src/gateway/options.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { type HoldfastNode, startNode } from "../../src/runtime/node.ts";

/** Remembers every command it carried out. */
export const ledger = defineEntity("ledger", {
  state: (): { entries: number[] } => ({ entries: [] }),
  events: {
    entered: (state, event: { number: number }) => {
      state.entries.push(event.number);
    },
  },
  commands: (command) => ({
    enter: command(z.object({ number: z.int() }), (state, { number }, ctx) => {
      if (number < 0) return ctx.reject("negative", { number });
      ctx.emit("entered", { number });
      const count = state.entries.length + 1;
      return () => ({ number, count });
    }),
  }),
  queries: {
    entries: (state) => state.entries,
  },
  views: { summary: (state) => ({ count: state.entries.length, last: state.entries.at(-1) ?? null, fixed: { a: 1 } }) },
  access: (principal) => principal.kind === "user",
});

export type Entities = { ledger: typeof ledger };

const shardCount = 8;

export class TestService implements AsyncDisposable {
  readonly #store = createMemoryStore(shardCount);
  #node: HoldfastNode | undefined;
  #gateway: Gateway | undefined;
  #port = 0;
  authenticate: Authenticate = developmentAuthentication({ warn: () => {} });

  async start(): Promise<this> {
    const system = { clock: systemClock, random: systemRandom };
    this.#node = await startNode({
      entities: [ledger],
      log: openMemoryLog({ store: this.#store }),
      shardCount,
      ...system,
    });
    const authenticate: Authenticate = (token, caller) => this.authenticate(token, caller);
    this.#gateway = await startGateway({ service: this.#node, authenticate, port: this.#port, ...system });
    this.#port = this.#gateway.port;
    return this;
  }

  /** Graceful, on the same port and log afterwards. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.#gateway?.close();
    await this.#node?.stop();
    this.#gateway = undefined;
    this.#node = undefined;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/** A wire to a port: bytes go through until it is cut, which loses what is on its way. */
export class Wire implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Connections made so far. */
  connections = 0;
  /** Answers lost so far. */
  lost = 0;
  #losing = false;

  constructor(port: () => number) {
    this.#server = createServer((near) => {
      this.connections++;
      const far = connectTcp(port(), "127.0.0.1");
      this.#pair(near, far);
      this.#pair(far, near);
      near.on("data", (chunk) => far.write(chunk));
      far.on("data", (chunk) => {
        if (!this.#losing) near.write(chunk);
        else {
          this.#losing = false;
          this.lost++;
          this.cut();
        }
      });
    });
  }

  #pair(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Cuts when the server says something next, which is lost: it did what it was asked, and nobody learns of it. */
  cutAtAnswer(): void {
    this.#losing = true;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Time passes faster for the client, so that its waits after many lost connections do not make the test long. */
export function hurried(factor: number): Clock {
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic() * factor,
    after: (ms, callback) => systemClock.after(ms / factor, callback),
    defer: (callback) => systemClock.defer(callback),
  };
}
