/**
 * Several connections write to the same shards at once: of two writers one is accepted, no two statements wait for each other in a
 * circle, and a row that changes under a waiting statement is looked at anew.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import pg from "pg";
import { collect, fencedResult, write } from "../../ports/log.contract.kit.ts";
import type { Append } from "../../ports/log.ts";
import { runOn, testDatabase } from "./database.harness.ts";
import { openPostgresLog, type PostgresLog } from "./log.ts";
import { migratePostgres } from "./migrate.ts";
import { postgresSkipReason } from "./server.harness.ts";

const skip = postgresSkipReason() ?? false;

describe("writers at once", { skip }, () => {
  const database = testDatabase();
  after(() => database.stop());

  async function opened(shardCount: number, logs: number) {
    const { connection, schema, drop } = await database.schema();
    await migratePostgres({ connection, schema, shardCount });
    const all = await Promise.all(Array.from({ length: logs }, () => openPostgresLog({ connection, schema })));
    const close = async () => {
      await Promise.all(all.map((log) => log.close()));
      await drop();
    };
    return { connection, schema, logs: all, close };
  }

  test("eight writers that claim and append in any order of shards never deadlock, and each accepted write is there once", async () => {
    const shardCount = 12;
    const { connection, logs, close } = await opened(shardCount, 8);
    const deadlocks = "SELECT deadlocks::integer AS count FROM pg_stat_database WHERE datname = current_database()";
    const [before] = await runOn(connection, deadlocks);
    const accepted: Append[] = [];
    let refused = 0;
    await Promise.all(
      logs.map(async (log, writer) => {
        const held = new Map<number, { epoch: number; tail: number }>();
        for (let round = 0; round < 60; round++) {
          const shards = shuffled(shardCount, writer * 1_000 + round).slice(0, 1 + ((writer + round) % shardCount));
          const claims = round % 3 === 0;
          const positions = await log.tail(shards);
          const writes = shards.map((shard, index) => {
            const shown = positions[index] as { epoch: number; tail: number };
            const { epoch, tail } = claims ? { epoch: shown.epoch + 1, tail: shown.tail } : (held.get(shard) ?? shown);
            const frame = Buffer.from(`${writer} ${round} ${shard} ${tail}`);
            return write(shard, Math.max(1, epoch), tail, { count: 1 + (round % 3), frame });
          });
          const results = claims ? await log.claim(writes) : await log.append(writes);
          for (const [index, result] of results.entries()) {
            const one = writes[index] as Append;
            if (!result.ok) {
              assert.equal(result.reason, "fenced");
              refused++;
              held.delete(one.shard);
              continue;
            }
            accepted.push(one);
            held.set(one.shard, { epoch: one.epoch, tail: result.tail });
          }
        }
      }),
    );
    assert.ok(refused > 100 && accepted.length > 100, `${accepted.length} accepted, ${refused} refused`);
    await assertOnce(logs[0] as PostgresLog, shardCount, accepted);
    await new Promise((done) => setTimeout(done, 1_100)); // statistics are told once a second
    const [then] = await runOn(connection, deadlocks);
    assert.deepEqual(then, before);
    await close();
  });

  const meanwhile = [
    {
      what: "a claim that commits meanwhile fences an append that waited",
      set: "epoch = 2, tail = 3",
      end: "COMMIT",
      ok: false,
    },
    { what: "an append that commits meanwhile fences the one that waited", set: "tail = 3", end: "COMMIT", ok: false },
    {
      what: "a claim that is rolled back lets the append that waited through",
      set: "epoch = 2, tail = 3",
      end: "ROLLBACK",
      ok: true,
    },
    {
      what: "a trim that commits meanwhile lets the append that waited through",
      set: "trimmed = 2",
      end: "COMMIT",
      ok: true,
    },
  ];
  for (const { what, set, end, ok } of meanwhile) {
    test(what, async () => {
      const { connection, schema, logs, close } = await opened(3, 1);
      const [log] = logs as [PostgresLog];
      await log.claim([write(0, 1, 1), write(1, 1, 1), write(2, 1, 1)]);
      const other = new pg.Client({ connectionString: connection });
      await other.connect();
      await other.query("BEGIN");
      await other.query(`UPDATE ${schema}.shards SET ${set} WHERE shard = 1`);
      const appended = log.append([write(2, 1, 2), write(1, 1, 2), write(0, 1, 2)]);
      await untilWaiting(other);
      await other.query(end);
      await other.end();
      const done = { ok: true, tail: 3 };
      assert.deepEqual(await appended, [done, ok ? done : fencedResult, done]);
      assert.deepEqual((await collect(log, { 2: 2 })).length, 1);
      await close();
    });
  }
});

function shuffled(count: number, seed: number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  let state = seed + 1;
  for (let index = count - 1; index > 0; index--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = state % (index + 1);
    [order[index], order[other]] = [order[other] as number, order[index] as number];
  }
  return order;
}

async function untilWaiting(client: pg.Client): Promise<void> {
  const text = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
  while ((await client.query(text)).rows.length === 0) await new Promise((done) => setTimeout(done, 5));
}

async function assertOnce(log: PostgresLog, shardCount: number, accepted: readonly Append[]): Promise<void> {
  const from = Object.fromEntries(Array.from({ length: shardCount }, (_, shard) => [shard, 1]));
  const found = await collect(log, from);
  assert.equal(found.length, accepted.length);
  const place = ({ shard, at }: { shard: number; at: number }) => `${shard}/${at}`;
  const wanted = new Map(accepted.map((one) => [place(one), one]));
  const tails = new Map<number, { at: number; epoch: number }>();
  for (const frame of found) {
    const { at, epoch } = tails.get(frame.shard) ?? { at: 1, epoch: 0 };
    assert.equal(frame.at, at, "no gap");
    assert.ok(frame.epoch >= epoch, "epochs never go back");
    assert.deepEqual(Buffer.from(frame.bytes), Buffer.from(wanted.get(place(frame))?.frame ?? []));
    tails.set(frame.shard, { at: at + frame.count, epoch: frame.epoch });
  }
}
