/**
 * One node with several doors, each behind a wire that can be cut, left hanging, or brought back: what a client sees of a
 * cluster whose every door serves every entity.
 *
 * Invariant: `executions` counts each arrival of a request id at the node, through whichever door.
 */
import { once } from "node:events";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { createMemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import type { Authenticate, Gateway, GatewayOptions } from "../../src/gateway/options.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { type OpenFeeds, openFeeds } from "../../src/propagation/feeds.ts";
import { type HoldfastNode, startNode } from "../../src/runtime/node.ts";
import type { Service } from "../../src/runtime/service.ts";
import { ledger } from "./service.ts";

/** Of somebody who may follow feeds. */
export const readerToken = "reader";

const development = developmentAuthentication({ warn: () => {} });
const authenticate: Authenticate = async (token, caller) =>
  token === readerToken ? { principal: { kind: "operator", id: "reader" } } : await development(token, caller);

const shardCount = 4;
const system = { clock: systemClock, random: systemRandom };

/** A door's address: what stands behind it comes and goes. */
export class DoorWire {
  readonly #port: () => number;
  #server: Server | undefined;
  #listens = 0;
  readonly #sockets = new Set<Socket>();
  #hangs = false;
  /** Connections made so far. */
  connections = 0;

  constructor(port: () => number) {
    this.#port = port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#listens}`;
  }

  async listen(): Promise<this> {
    const server = createServer((near) => this.#open(near));
    this.#server = server;
    server.listen(this.#listens, "127.0.0.1");
    await once(server, "listening");
    this.#listens = (server.address() as { port: number }).port;
    return this;
  }

  #open(near: Socket): void {
    this.connections++;
    this.#track(near);
    if (this.#hangs) return;
    const far = connectTcp(this.#port(), "127.0.0.1");
    this.#track(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        if (!this.#hangs) to.write(chunk);
      });
      from.on("close", () => to.destroy());
    }
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /** As when the process is killed: connections are reset, dials refused. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#reset();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  #reset(): void {
    for (const socket of this.#sockets) {
      // To reset one that is ending already keeps Node busy for ever.
      if (socket.readyState === "open") socket.resetAndDestroy();
      else socket.destroy();
    }
  }

  /** As when the process is stopped (SIGSTOP): connections stay open, dials are taken, and nothing is said. */
  hang(): void {
    this.#hangs = true;
  }

  /** It serves again. What hung is reset. */
  async revive(): Promise<void> {
    if (this.#hangs) this.#reset();
    this.#hangs = false;
    if (this.#server === undefined) await this.listen();
  }
}

export interface Door {
  readonly wire: DoorWire;
  gateway: Gateway;
}

export class DoorsService implements AsyncDisposable {
  readonly doors: Door[] = [];
  readonly executions = new Map<string, number>();
  /** Held back from the node while it is set, then given to it. */
  held: (() => void)[] | undefined;
  /** What clients are told; default: all doors. */
  told: (() => readonly string[]) | undefined;
  #node: HoldfastNode | undefined;
  #feeds: OpenFeeds | undefined;
  #options: Partial<GatewayOptions> = {};

  async start(count: number, options: Partial<GatewayOptions> = {}): Promise<this> {
    this.#options = options;
    const log = openMemoryLog({ store: createMemoryStore(shardCount) });
    this.#node = await startNode({ entities: [ledger], log, shardCount, ...system });
    this.#feeds = openFeeds(this.#node.source, {});
    for (let at = 0; at < count; at++) {
      const door: Door = { wire: new DoorWire((): number => door.gateway.port), gateway: await this.#open() };
      this.doors.push(door);
      await door.wire.listen();
    }
    return this;
  }

  get urls(): string[] {
    return this.doors.map(({ wire }) => wire.url);
  }

  /** The door that a client is connected to. */
  at(door: string | undefined): Door {
    const found = this.doors.find(({ wire }) => door?.startsWith(wire.url.replace("http", "ws")) === true);
    if (found === undefined) throw new Error(`There is no door ${door}.`);
    return found;
  }

  /** Stops a door as SIGTERM does, and puts a new one in its place. */
  async replace(door: Door): Promise<void> {
    await door.gateway.close();
    door.gateway = await this.#open();
  }

  async #open(): Promise<Gateway> {
    return await startGateway({
      service: this.#spied(this.#node as HoldfastNode),
      feeds: this.#feeds as OpenFeeds,
      authenticate,
      port: 0,
      doors: () => this.told?.() ?? this.urls,
      ...system,
      ...this.#options,
    });
  }

  #spied(node: HoldfastNode): Service {
    return new Proxy<Service>(node, {
      get: (_, name) => {
        if (name === "execute") return (...args: Parameters<Service["execute"]>) => this.#execute(node, ...args);
        const value: unknown = Reflect.get(node, name, node);
        return typeof value === "function" ? value.bind(node) : value;
      },
    });
  }

  #execute(node: HoldfastNode, ...args: Parameters<Service["execute"]>): void {
    const { requestId } = args[0];
    this.executions.set(requestId, (this.executions.get(requestId) ?? 0) + 1);
    if (this.held === undefined) node.execute(...args);
    else this.held.push(() => node.execute(...args));
  }

  /** Gives the node what was held back. */
  release(): void {
    const held = this.held ?? [];
    this.held = undefined;
    for (const each of held) each();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release();
    for (const { wire, gateway } of this.doors) {
      await wire.kill();
      await gateway.close();
    }
    this.#feeds?.close();
    await this.#node?.stop();
  }
}
