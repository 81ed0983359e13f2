/** Each line once under real kills of the process that writes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { asArrived, subscriber } from "../../ports/sink.contract.kit.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { arrivedOf, fileNames, linesOf } from "./sink.harness.ts";
import { batchAt } from "./writer.fixture.ts";

const rounds = 50;
const fixture = join(import.meta.dirname, "writer.fixture.ts");

async function written(directory: string, epoch: number, until: number, killAfterMs?: number): Promise<void> {
  const child = spawn(process.execPath, ["--conditions=source", fixture, directory, String(epoch), String(until)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = new Promise<number | null>((done) => child.once("exit", done));
  await new Promise<void>((done) => {
    child.stdout.once("data", () => done());
    child.once("exit", () => done());
  });
  if (killAfterMs !== undefined) {
    await new Promise((done) => setTimeout(done, killAfterMs));
    child.kill("SIGKILL");
  }
  const code = await gone;
  assert.ok(code === null || code === 0, `the writer ended by itself with ${code}`);
}

test(`after ${rounds} kills of the writer each line is there once, in order`, async () => {
  using directory = temporaryDirectory();
  const until = 1_500;
  for (let round = 0; round < rounds; round++) await written(directory.path, round + 1, until, (round * 13) % 60);
  await written(directory.path, rounds + 1, until);
  const folder = join(directory.path, subscriber);
  const wanted = asArrived(Array.from({ length: until }, (_, position) => batchAt(position)));
  assert.deepEqual(arrivedOf(linesOf(folder)), wanted);
  assert.ok(fileNames(folder).length > 100, "many files were finished");
});
