/**
 * Clients that write and remember: every command, and every answer they were given.
 *
 * Invariant: a command is issued once and retried by the client alone, under its one request id, across kills too; it is
 * `acknowledged` from the moment its reply arrived, and what a reply says is kept for comparison.
 */

import { systemRandom } from "../../src/adapters/system/random.ts";
import { type Client, connect } from "../../src/client/index.ts";
import type { Random } from "../../src/ports/clock.ts";
import type { account } from "./account.ts";

/**
 * Chance for clients that wait little between attempts to connect: the first bytes of three decide how long, and the
 * server is gone for a moment only.
 */
export const impatient: Random = {
  bytes: (count) => (count === 3 ? Uint8Array.of(2, 0, 0) : systemRandom.bytes(count)),
};

type Entities = { account: typeof account };

/** An answered command: in which list of which account it stands, and where. */
export type Acknowledged = { key: string; list: "ids" | "given"; id: string; at: number; to: string | undefined };

export class Worker {
  readonly name: string;
  readonly acknowledged: Acknowledged[] = [];
  readonly issued = new Set<string>();
  /** Ended without an answer: may or may not have been carried out. */
  unknown = 0;
  readonly #client: Client<Entities>;
  readonly #peers: readonly string[];
  readonly #chance: () => number;
  #account: string;
  #stopped = false;
  #loops: Promise<void>[] = [];

  constructor(of: { url: string; name: string; peers: readonly string[]; chance: () => number }) {
    this.name = of.name;
    this.#client = connect<Entities>({ url: of.url, token: `dev:${of.name}`, timeoutMs: 20_000, random: impatient });
    this.#peers = of.peers;
    this.#chance = of.chance;
    this.#account = `${of.name}-0`;
  }

  start(parallel: number): void {
    this.#loops = Array.from({ length: parallel }, (_, loop) => this.#loop(loop));
  }

  /** A new account per round keeps each one short enough to be read whole. */
  round(number: number): void {
    this.#account = `${this.name}-${number}`;
  }

  /** Issues nothing more; resolves when everything is answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #loop(loop: number): Promise<void> {
    for (let count = 0; !this.#stopped; count++) {
      const id = `${this.name}.${loop}.${count}`;
      const key = this.#account;
      this.issued.add(id);
      try {
        await this.#one(key, id);
      } catch {
        this.unknown += 1;
      }
    }
  }

  async #one(key: string, id: string): Promise<void> {
    const entity = this.#client.entity("account", key);
    if (this.#chance() < 0.7) {
      const { value } = await entity.execute("add", { id });
      this.acknowledged.push({ key, list: "ids", id, at: value.at, to: undefined });
      return;
    }
    const to = `${this.#peers[Math.floor(this.#chance() * this.#peers.length)] ?? this.name}-box`;
    const { value } = await entity.execute("give", { id, to });
    this.acknowledged.push({ key, list: "given", id, at: value.at, to });
  }
}
