/** The node and the receiver of its webhooks are killed in turns: the receiver got what the log has, and again only what it may. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../src/adapters/system/temporary.ts";

/** 50 with `KILL_ROUNDS=50`; `npm test` has a part of them. */
const rounds = Number(process.env["KILL_ROUNDS"] ?? 8);
/** What is delivered again after a kill: what was taken and not recorded, and a batch whose answer was lost. */
const againMax = rounds * 3 * 50;

function start(file: string, args: readonly string[]): ChildProcess {
  const argv = ["--conditions=source", join(import.meta.dirname, file), ...args];
  return spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
}

function firstText(child: ChildProcess): Promise<string> {
  return new Promise((done, failed) => {
    child.stdout?.once("data", (chunk: Buffer) => done(chunk.toString()));
    child.once("close", (code) => failed(new Error(`it ended by itself with ${code}`)));
  });
}

function kill(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    child.once("close", () => done());
    child.kill("SIGKILL");
  });
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** Of each shard, the ids in the order in which they came first. */
function firsts(ids: readonly string[]): string {
  const inShards = [...new Set(ids)].toSorted((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10));
  return inShards.join(" ");
}

test(`after ${rounds} kills of the node and ${rounds} of its receiver, every change has come, first in order, again only where an answer was lost`, {
  timeout: 600_000,
}, async (t) => {
  const directory = temporaryDirectory();
  const file = join(directory.path, "received");
  let receiver = start("webhook-receiver.ts", ["0", file]);
  try {
    const port = (await firstText(receiver)).trim();
    const args = [join(directory.path, "data"), join(directory.path, "files")];
    const hook = ["", `http://127.0.0.1:${port}/`];
    for (let round = 0; round < rounds; round++) {
      const node = start("server.ts", [...args, "100000", ...hook]);
      await firstText(node);
      await pause((round * 41) % 160);
      await kill(receiver);
      await pause((round * 17) % 60);
      receiver = start("webhook-receiver.ts", [port, file]);
      await firstText(receiver);
      await pause((round * 23) % 160);
      await kill(node);
    }
    const last = start("server.ts", [...args, "5", ...hook]);
    let text = "";
    last.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    assert.equal(await new Promise((done) => last.once("close", done)), 0);
    const logged = (text.split("\n")[1] ?? "").split(" ").filter((id) => id !== "");
    const got = readFileSync(file, "utf8")
      .split("\n")
      .filter((id) => id !== "");
    t.diagnostic(`${logged.length} changes, ${got.length - new Set(got).size} of them again`);
    assert.ok(logged.length > rounds);
    assert.equal(new Set(got).size, new Set(logged).size);
    assert.ok(firsts(got) === firsts(logged), "what came first is what the log has, in the order of its shards");
    assert.ok(got.length - logged.length <= againMax, "within the window of what may come again");
  } finally {
    receiver.kill("SIGKILL");
    directory.remove();
  }
});
