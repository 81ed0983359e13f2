/** The client while the server's process is killed: nothing acknowledged is lost, nothing is carried out twice. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "../../src/client/index.ts";
import { type Entities, hurried } from "./service.ts";

const script = fileURLToPath(new URL("service-process.ts", import.meta.url));

async function start(directory: string, port: number): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, ["--conditions=source", script, directory, String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  assert.ok(child.stdout);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { child, port: Number(line.toString()) };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

test("commands that were under way when the process was killed are carried out once by the next one", async () => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-client-"));
  let { child, port } = await start(directory, 0);
  try {
    await using client = connect<Entities>({
      url: `ws://127.0.0.1:${port}`,
      token: "dev:ann",
      timeoutMs: 600_000,
      clock: hurried(10),
    });
    const ledger = client.entity("ledger", "1");
    let answered = 0;
    let kills: Promise<void> = Promise.resolve();
    const again = async (): Promise<void> => {
      await kill(child);
      child = (await start(directory, port)).child;
    };
    const callers = Array.from({ length: 20 }, async (_, caller) => {
      const counts: number[] = [];
      for (let round = 0; round < 20; round++) {
        const { value } = await ledger.execute("enter", { number: caller * 100 + round });
        counts.push(value.count);
        if (++answered % 150 === 0) kills = kills.then(again);
      }
      return counts;
    });
    const counts = (await Promise.all(callers)).flat();
    await kills;
    assert.equal(new Set(counts).size, 400);
    const { value: entries } = await ledger.query("entries");
    assert.equal(entries.length, 400);
    assert.equal(new Set(entries).size, 400);
  } finally {
    await kill(child);
    await rm(directory, { recursive: true, force: true });
  }
});
