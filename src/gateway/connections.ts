/**
 * Open TCP connections, in all and per address.
 *
 * Invariant: never more than the limits; what comes over them is told so and closed before it has cost a request.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Limits } from "../model/limits.ts";
import { rawProblem } from "./http-answer.ts";

export class Connections {
  readonly #limits: Limits;
  readonly #sockets = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();

  constructor(server: Server, limits: Limits) {
    this.#limits = limits;
    server.on("connection", (socket: Socket) => this.#take(socket));
  }

  get size(): number {
    return this.#sockets.size;
  }

  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #take(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    const count = this.#byAddress.get(address) ?? 0;
    if (this.#sockets.size >= this.#limits.connectionsMax || count >= this.#limits.connectionsPerAddressMax) {
      socket.on("error", () => {});
      socket.end(rawProblem("overloaded", "Too many connections are open."), () => socket.destroy());
      return;
    }
    this.#sockets.add(socket);
    this.#byAddress.set(address, count + 1);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
  }
}
