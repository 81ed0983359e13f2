/**
 * `npm run cluster` as a child process: what it prints each second, and its end.
 *
 * Invariant: it ends with this, and by itself should this die.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Look, NodeLook } from "../../scripts/cluster-look.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** A busy machine takes its time; it is to end by itself all the same, should this test die. */
const secondsMost = 300;

export interface Ended {
  readonly ended: true;
  readonly restarts: number;
  readonly chips: { readonly issued: number; readonly hands: number; readonly problems: readonly string[] } | null;
}

export class Demonstration {
  readonly #child: ChildProcess;
  readonly #gone: Promise<number | null>;
  readonly #lines: AsyncIterator<string>;
  #said = "";
  #last = "";

  /** @param more of its command line */
  constructor(...more: readonly string[]) {
    const args = ["--json", "--port", "0", "--seconds", String(secondsMost), ...more];
    const child = spawn(process.execPath, ["--conditions=source", "scripts/cluster.ts", ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    child.stderr.on("data", (bytes) => {
      this.#said = (this.#said + String(bytes)).slice(-8_000);
    });
    this.#gone = new Promise((resolve) => child.once("close", resolve));
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** The first look from now on at which it holds. */
  async until(what: string, holds: (look: Look) => boolean): Promise<Look> {
    for (;;) {
      const look = (await this.#next(what)) as Look;
      assert.ok(look.nodes !== undefined, `it ended before this held: ${what}\n${this.#last}\n${this.#said}`);
      if (holds(look)) return look;
    }
  }

  /** As Ctrl-C does. */
  async end(): Promise<{ readonly code: number | null; readonly ended: Ended }> {
    this.#child.kill("SIGINT");
    for (;;) {
      const line = (await this.#next("its end")) as Look | Ended;
      if ("ended" in line) return { code: await this.#gone, ended: line };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#gone;
  }

  async #next(what: string): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    assert.ok(done !== true, `it ended before this held: ${what}\n${this.#last}\n${this.#said}`);
    this.#last = value as string;
    return JSON.parse(this.#last);
  }
}

export function nodeOf(look: Look, name: string): NodeLook {
  const node = look.nodes.find((one) => one.node === name);
  assert.ok(node !== undefined);
  return node;
}

export const isWhole = ({ shards, nodes }: Look) =>
  shards.all > 0 &&
  shards.owned === shards.all &&
  shards.followed === shards.all &&
  nodes.every(({ owns }) => owns.length > 0);
