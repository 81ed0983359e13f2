/** Exactly once under real kills: of the process that delivers, and of the server. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import pg from "pg";
import { idOf } from "../../ports/sink.ts";
import { postgresSkipReason, startPostgres } from "./server.harness.ts";
import { batchAt } from "./writer.fixture.ts";

const rounds = 50;
const fixture = join(import.meta.dirname, "writer.fixture.ts");

/** Runs a writer until it said something, then a moment longer; then kills it. */
async function killed(url: string, epoch: number, until: number, killAfterMs: number): Promise<void> {
  const child = spawn(process.execPath, ["--conditions=source", fixture, url, String(epoch), String(until)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = new Promise<number | null>((done) => child.once("exit", done));
  await new Promise<void>((done) => {
    child.stdout.once("data", () => done());
    child.once("exit", () => done());
  });
  if (killAfterMs !== Number.POSITIVE_INFINITY) {
    await new Promise((done) => setTimeout(done, killAfterMs));
    child.kill("SIGKILL");
  }
  const code = await gone;
  assert.ok(code === null || code === 0, `the writer ended by itself with ${code}`);
}

test(`after ${rounds} kills of the writer and some of the server each item is in the table once`, {
  skip: postgresSkipReason() ?? false,
}, async () => {
  const server = await startPostgres();
  try {
    const url = await server.database();
    const until = 2_000;
    let epoch = 0;
    for (let round = 0; round < rounds; round++) {
      const writer = killed(url, ++epoch, until, (round * 37) % 120);
      if (round % 10 === 9) {
        await server.crash();
        await server.start();
      }
      await writer;
    }
    await killed(url, ++epoch, until, Number.POSITIVE_INFINITY);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ id: string; payload: unknown }>(
      "SELECT shard || '-' || log_offset || '-' || event_index AS id, payload FROM holdfast.ledger",
    );
    const [cursors] = (await client.query("SELECT epoch, cursor FROM holdfast.feed_cursors")).rows;
    await client.end();
    const found = new Map(rows.map(({ id, payload }) => [id, payload]));
    assert.equal(found.size, rows.length, "no item is there twice");
    let wanted = 0;
    for (let position = 0; position < until; position++) {
      for (const item of batchAt(position).items) {
        wanted++;
        assert.deepEqual(found.get(idOf(item)), (item as { payload?: unknown }).payload);
      }
    }
    assert.equal(rows.length, wanted, "and no other is");
    assert.deepEqual(cursors, { epoch: String(epoch), cursor: `c${until}` });
  } finally {
    await server.stop();
  }
});
