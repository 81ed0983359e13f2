/** The node and its subscribers are killed again and again: what arrived downstream is what the log has. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import pg from "pg";
import { arrivedOf, linesOf } from "../../src/adapters/files/sink.harness.ts";
import { postgresSkipReason, startPostgres } from "../../src/adapters/postgres/server.harness.ts";

/** 50 with `KILL_ROUNDS=50`; `npm test` has a part of them. */
const rounds = Number(process.env["KILL_ROUNDS"] ?? 15);
const server = join(import.meta.dirname, "server.ts");

/** Runs the service; kills it so long after it serves, or lets it come to its end. @returns what it printed */
async function run(args: readonly string[], killAfterMs: number | undefined): Promise<string> {
  const child = spawn(process.execPath, ["--conditions=source", server, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  const gone = new Promise<number | null>((done) => child.once("close", done));
  const serves = new Promise<void>((done) => {
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.startsWith("serving")) done();
    });
    child.once("close", () => done());
  });
  await serves;
  if (killAfterMs !== undefined) {
    await new Promise((done) => setTimeout(done, killAfterMs));
    child.kill("SIGKILL");
  }
  const code = await gone;
  assert.ok(code === 0 || (code === null && killAfterMs !== undefined), `the service ended by itself with ${code}`);
  return text;
}

/** Ids of the same shard stand in the order of the log. */
function assertOrder(ids: readonly string[]): void {
  const last = new Map<string, number>();
  for (const id of ids) {
    const [shard = "", offset] = id.split("-");
    assert.ok(Number(offset) > (last.get(shard) ?? 0), `${id} comes after ${last.get(shard)}`);
    last.set(shard, Number(offset));
  }
}

async function campaign(postgres: string): Promise<{ readonly logged: string[]; readonly files: string[] }> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-subscribers-kill-"));
  const [data, files] = [join(directory, "data"), join(directory, "files")];
  try {
    for (let round = 0; round < rounds; round++) await run([data, files, "100000", postgres], (round * 41) % 160);
    const text = await run([data, files, "5", postgres], undefined);
    const logged = (text.split("\n")[1] ?? "").split(" ").filter((id) => id !== "");
    return {
      logged,
      files: arrivedOf(linesOf(join(files, "archive"))).map(({ id }) => id.split("/").at(-1) as string),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test(`after ${rounds} kills of the node its files, and a table in PostgreSQL, have what the log has, each change once, in order`, {
  timeout: 600_000,
}, async (t) => {
  const reason = postgresSkipReason();
  const database = reason === undefined ? await startPostgres() : undefined;
  if (reason !== undefined) t.diagnostic(`without PostgreSQL: ${reason}`);
  try {
    const url = (await database?.database()) ?? "";
    const { logged, files } = await campaign(url);
    t.diagnostic(`${logged.length} changes`);
    assert.ok(logged.length > rounds);
    assertOrder(files);
    assert.deepEqual([...files].sort(), [...logged].sort());
    if (url === "") return;
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ id: string }>(
      "SELECT shard || '-' || log_offset || '-' || event_index AS id FROM holdfast.ledger",
    );
    await client.end();
    assert.deepEqual(rows.map(({ id }) => id).sort(), [...logged].sort());
  } finally {
    await database?.stop();
  }
});
