/**
 * A real process on a real disk, cut inside the loss window of relaxed commands: what of the acknowledged is lost is
 * younger than the window, nothing durable is lost, nothing is carried out twice.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Client, connect } from "../../src/client/index.ts";
import { type meter, windowMs } from "./relaxed-meter.ts";

interface Acknowledged {
  readonly id: string;
  readonly requestId: string;
  readonly early: boolean;
  readonly atMs: number;
}

type Entities = { meter: typeof meter };
const script = fileURLToPath(new URL("relaxed-server.ts", import.meta.url));

class Service {
  readonly child: ChildProcess;
  readonly client: Client<Entities>;
  slow = false;

  private constructor(child: ChildProcess, port: number, lines: AsyncIterable<string>) {
    this.child = child;
    this.client = connect<Entities>({ url: `ws://127.0.0.1:${port}`, token: "dev:ann" });
    void this.#listen(lines);
  }

  static async start(directory: string): Promise<Service> {
    const child = spawn(process.execPath, ["--conditions=source", script, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    assert.ok(child.stdout);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value: port } = await lines.next();
    return new Service(child, Number(port), { [Symbol.asyncIterator]: () => lines });
  }

  async #listen(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) this.slow ||= line === "slow";
  }

  async count(command: "count" | "seal", id: string, requestId = this.client.requestId()): Promise<Acknowledged> {
    const reply = await this.client.entity("meter", id.charAt(0)).execute(command, { id }, { requestId });
    return { id, requestId, early: reply.durable === false, atMs: performance.now() };
  }

  async ids(): Promise<string[]> {
    const keys = ["a", "b", "c"];
    const answers = await Promise.all(keys.map((key) => this.client.entity("meter", key).query("ids")));
    return answers.flatMap(({ value }) => value as string[]);
  }

  /** @returns when it was cut */
  async cut(): Promise<number> {
    const exited = once(this.child, "exit");
    this.child.kill("SIGKILL");
    const atMs = performance.now();
    await exited;
    await this.client.close();
    return atMs;
  }
}

/** Commands on three entities until `ms` are over, ended by an answer. Seals come now and then. */
async function load(service: Service, round: number, ms: number): Promise<Acknowledged[]> {
  const told: Acknowledged[] = [];
  const untilMs = performance.now() + ms;
  const work = ["a", "b", "c"].map(async (key) => {
    for (let turn = 0; performance.now() < untilMs; turn++) {
      const seals = key === "c" && turn % 97 === 96;
      told.push(await service.count(seals ? "seal" : "count", `${key}-${round}-${turn}`));
      await sleep(3);
    }
  });
  await Promise.all(work);
  told.push(await service.count("count", `a-${round}-last`));
  return told;
}

test("a process that is killed inside the window loses only what is younger, and carries out nothing twice", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-relaxed-"));
  let service = await Service.start(directory);
  let losses = 0;
  try {
    for (const [round, ms] of [700, 1_500, 1_900].entries()) {
      const told = await load(service, round, ms);
      const { slow } = service;
      const cutMs = await service.cut();
      service = await Service.start(directory);
      const found = new Set(await service.ids());
      const lost = told.filter(({ id }) => !found.has(id));
      losses += lost.length;
      const oldestMs = Math.max(0, ...lost.map(({ atMs }) => cutMs - atMs));
      t.diagnostic(
        `${told.length} acknowledged, ${lost.length} lost, the oldest ${oldestMs.toFixed(0)} ms before the cut`,
      );
      assert.ok(lost.every(({ early }) => early));
      // a disk that stalls for a quarter of the window is outside of the promise
      if (!slow) assert.ok(oldestMs <= windowMs);
      for (const { id, requestId } of told) await service.count("count", id, requestId).catch(refusedAsSeal);
      const ids = await service.ids();
      assert.equal(new Set(ids).size, ids.length);
      assert.ok(told.every(({ id }) => ids.includes(id)));
    }
    assert.ok(losses > 0);
  } finally {
    await service.cut();
    await rm(directory, { recursive: true, force: true });
  }
});

/** The id was used for another command, `seal`, which was never lost. */
function refusedAsSeal(error: unknown): void {
  assert.equal((error as { code?: string }).code, "invalid-request-id");
}
