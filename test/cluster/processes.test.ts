/** `npm run cluster` as its users run it: three node processes over PostgreSQL, of which one is killed while bots play. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openDoor } from "../../examples/teen-patti/src/bots/door.ts";
import type { Look, NodeLook } from "../../scripts/cluster-look.ts";
import { postgresSkipReason } from "../../src/adapters/postgres/server.harness.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** A busy machine takes its time; it is to end by itself all the same, should this test die. */
const secondsMost = 300;

interface Ended {
  readonly ended: true;
  readonly restarts: number;
  readonly chips: { readonly issued: number; readonly hands: number; readonly problems: readonly string[] } | null;
}

class Demonstration {
  readonly #child: ChildProcess;
  readonly #gone: Promise<number | null>;
  readonly #lines: AsyncIterator<string>;
  #said = "";
  #last = "";

  constructor() {
    const args = ["--json", "--port", "0", "--speed", "max", "--seconds", String(secondsMost)];
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

function nodeOf(look: Look, name: string): NodeLook {
  const node = look.nodes.find((one) => one.node === name);
  assert.ok(node !== undefined);
  return node;
}

const isWhole = ({ shards, nodes }: Look) =>
  shards.all > 0 &&
  shards.owned === shards.all &&
  shards.followed === shards.all &&
  nodes.every(({ owns }) => owns.length > 0);

test("a node that is killed while bots play is replaced by the others, comes back, and not a chip is lost or made", {
  skip: postgresSkipReason() ?? false,
}, async () => {
  await using demonstration = new Demonstration();
  const first = await demonstration.until(
    "all shards have an owner and a standby, and bots play",
    (look) => isWhole(look) && look.commandsPerSecond > 0,
  );
  for (const { url } of first.nodes) {
    const page = await fetch(url);
    assert.deepEqual([page.status, page.headers.get("content-type")?.startsWith("text/html")], [200, true], url);
  }
  // A person who is at one door sits at a table whose owner may be any node, and sees their name there from another door.
  const [one, two, three] = first.nodes.map(({ url }) => url) as [string, string, string];
  const ann = openDoor(one, "ann", { url: [one, three] });
  await ann.execute("player", "ann", "join", { name: "Ann" });
  await ann.execute("player", "ann", "sit", { table: "boot-10", buyIn: 500 });
  const onlooker = openDoor(two, "onlooker", { url: [one, two, three] });
  const seen = new Promise<void>((resolve) => {
    onlooker.watch("table", "boot-10", "seat", (view) => {
      if (JSON.stringify(view).includes('"Ann"')) resolve();
    });
  });
  await seen;
  const victim = nodeOf(first, "n2");
  process.kill(victim.pid as number, "SIGKILL");
  await demonstration.until("the others own all shards", (look) => {
    const { owns, up } = nodeOf(look, "n2");
    return !up && owns.length === 0 && look.shards.owned === look.shards.all && look.failovers >= victim.owns.length;
  });
  await demonstration.until("bots play on", (look) => look.commandsPerSecond > 0);
  const back = await demonstration.until(
    "it is back, and has shards again",
    (look) => isWhole(look) && nodeOf(look, "n2").up,
  );
  assert.notEqual(nodeOf(back, "n2").pid, victim.pid);
  assert.equal(nodeOf(back, "n2").url, victim.url);
  await ann.close();
  await onlooker.close();
  const { code, ended } = await demonstration.end();
  assert.deepEqual(ended.chips?.problems, []);
  assert.ok((ended.chips?.hands ?? 0) > 0 && (ended.chips?.issued ?? 0) > 0, JSON.stringify(ended));
  assert.deepEqual([code, ended.restarts], [0, 1]);
});
