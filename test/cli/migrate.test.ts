/** `holdfast migrate` as a child process: makes the tables, says what it did, and is refused in words that help. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { postgresSkipReason, startPostgres } from "../../src/adapters/postgres/server.harness.ts";

const bin = join(import.meta.dirname, "..", "..", "src", "cli", "bin.ts");

async function run(...parameters: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  const { DATABASE_URL: _, ...env } = process.env;
  const child = spawn(process.execPath, ["--conditions=source", bin, "migrate", ...parameters], { env });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, out, err };
}

test("migrate makes the tables once, and says what is wrong", { skip: postgresSkipReason() ?? false }, async () => {
  const server = await startPostgres();
  try {
    const url = await server.database();
    const first = await run("--database-url", url, "--shards", "8", "--json");
    assert.equal(first.code, 0, first.err);
    assert.deepEqual(JSON.parse(first.out), {
      schema: "holdfast",
      shardCount: 8,
      version: 2,
      steps: ["the shard log", "coordination"],
    });
    const second = await run("--database-url", url);
    assert.deepEqual(second, { code: 0, out: "holdfast is at version 2, with 8 shards.\n", err: "" });
    const other = await run("--database-url", url, "--shards", "9");
    assert.equal(other.code, 1);
    assert.match(other.err, /8 shards, which cannot be changed to 9/);
    const none = await run();
    assert.equal(none.code, 2);
    assert.match(none.err, /--database-url/);
    const away = await run("--database-url", "postgres://nobody@127.0.0.1:1/none");
    assert.equal(away.code, 1);
    assert.match(away.err, /does not answer/);
  } finally {
    await server.stop();
  }
});
