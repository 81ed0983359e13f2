/**
 * The address that clients know: takes their connections to a node that serves, as a load balancer does.
 *
 * Invariant: what a connection carries is passed on as it is; a connection to a node that is not healthy any more is cut after a while,
 * so that some clients go elsewhere at once, and others still hold on to a node that was paused when it comes back.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export class Balancer {
  readonly #server: Server;
  readonly #healthy: () => readonly Target[];
  readonly #joined = new Map<Socket, { readonly target: Target; readonly noticeMs: number }>();
  readonly #noticeMs: readonly number[];
  readonly #look: NodeJS.Timeout;
  readonly #sick = new Map<Target, number>();
  #turn = 0;

  private constructor(server: Server, healthy: () => readonly Target[], noticeMs: readonly number[]) {
    this.#noticeMs = noticeMs;
    this.#server = server;
    this.#healthy = healthy;
    server.on("connection", (client) => this.#take(client));
    this.#look = setInterval(() => this.#check(), 50);
  }

  /** @param noticeMs for how long a node is not healthy before a connection to it is cut; connections take these in turn */
  static async open(healthy: () => readonly Target[], noticeMs: readonly number[]): Promise<Balancer> {
    const server = createServer({ allowHalfOpen: false });
    const balancer = new Balancer(server, healthy, noticeMs);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#look);
    const closed = new Promise((done) => this.#server.close(done));
    for (const client of this.#joined.keys()) client.destroy();
    await closed;
  }

  #take(client: Socket): void {
    const healthy = this.#healthy();
    const turn = this.#turn++;
    const target = healthy[turn % Math.max(1, healthy.length)];
    // Not in step with the targets, or all connections to one would have the same patience.
    const noticeMs = this.#noticeMs[Math.floor(turn / Math.max(1, healthy.length)) % this.#noticeMs.length] ?? 0;
    client.on("error", () => client.destroy());
    if (target === undefined) return void client.destroy();
    this.#joined.set(client, { target, noticeMs });
    const node = connect({ host: target.host, port: target.port, noDelay: true });
    client.setNoDelay(true);
    node.on("error", () => node.destroy());
    node.on("close", () => client.destroy());
    client.on("close", () => {
      this.#joined.delete(client);
      node.destroy();
    });
    client.pipe(node).pipe(client);
  }

  #check(): void {
    const healthy = new Set(this.#healthy());
    for (const target of healthy) this.#sick.delete(target);
    const nowMs = performance.now();
    for (const [client, { target, noticeMs }] of this.#joined) {
      if (healthy.has(target)) continue;
      const sinceMs = this.#sick.get(target) ?? nowMs;
      this.#sick.set(target, sinceMs);
      if (nowMs - sinceMs >= noticeMs) client.destroy();
    }
  }
}
