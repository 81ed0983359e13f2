/** The command line over a log that was trimmed by a running service: it reads on in the archive, as if nothing had gone. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import type { CallResult } from "../../src/model/records.ts";
import { embedded } from "../../src/presets/embedded.ts";
import { openHistory } from "../../src/presets/history.ts";
import type { HoldfastNode } from "../../src/runtime/node.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { holdfast, temporaryDirectory } from "./harness.ts";
import { purse } from "./services/purse.ts";

const module = "test/cli/services/purse.ts";
const directory = temporaryDirectory();
const payments = 400;
const rounds = 3;

function pay(node: HoldfastNode, key: string, note: string): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const principal = { kind: "user", id: "ann" } as const;
  const call = { entity: { type: "purse", key }, command: "pay", input: { chips: 1, note }, requestId, principal };
  return new Promise((resolve) => node.execute(call, resolve));
}

/** Runs the service: 400 payments to each of two purses. */
async function serve(round: number): Promise<void> {
  const service = await embedded({
    entities: [purse],
    directory,
    shardCount: 2,
    port: 0,
    segmentBytes: 64 * 1024,
    progress: false,
    authenticate: developmentAuthentication({ warn: () => {} }),
    // Remembered request ids hold trims back; here they are forgotten soon.
    limits: { dedupWindowMs: 3_000, requestIdFutureMs: 1_500, archiveRecordsMin: 100 },
    onFault: (where, error) => assert.fail(`${where}: ${String(error)}`),
  });
  for (let index = 0; index < payments; index += 20) {
    const answers = [];
    for (let more = index; more < index + 20; more++) {
      const note = `${round}/${more}`.padEnd(200, ".");
      answers.push(pay(service.node, "a", note), pay(service.node, "b", note));
    }
    for (const answer of await Promise.all(answers)) assert.ok(answer.ok, JSON.stringify(answer));
  }
  await service.stop();
}

interface Shards {
  readonly records: number;
  readonly shards: readonly { readonly trimmed: number; readonly logBegins: number; readonly tail: number }[];
}

async function json<Shape>(...args: readonly string[]): Promise<Shape> {
  const { code, out, err } = await holdfast(...args, "--data", directory, "--json");
  assert.equal(code, 0, err);
  return JSON.parse(out) as Shape;
}

before(async () => {
  for (let round = 1; round <= rounds; round++) {
    await serve(round);
    // The ids of this round are forgotten by the next.
    await new Promise((resolve) => setTimeout(resolve, 3_100));
  }
});

test("shards shows what is archived and what is in the log", async () => {
  const { shards, records } = await json<Shards>("shards");
  for (const { trimmed, logBegins } of shards) assert.equal(trimmed, 1, String(logBegins));
  assert.ok(
    shards.some(({ logBegins }) => logBegins > 1),
    "the log was trimmed",
  );
  assert.equal(records, rounds * payments * 2 + rounds * shards.length, "every record can be read");
  const { out } = await holdfast("shards", "--data", directory);
  assert.match(out, /shard {2}epoch {7}from {4}in log/);
});

test("events, states and differences are shown across the seam", async () => {
  const { out, code } = await holdfast("events", "purse/a", "--data", directory, "--json");
  assert.equal(code, 0);
  const offsets = out
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { offset: number }).offset);
  assert.equal(offsets.length, rounds * payments);
  assert.deepEqual(
    offsets,
    [...offsets].sort((one, other) => one - other),
  );
  for (const count of [1, 57, rounds * payments - 1]) {
    const at = String(offsets[count - 1]);
    const { state } = await json<{ state: { chips: number } }>("inspect", "purse/a", "--service", module, "--at", at);
    assert.equal(state.chips, count);
  }
  const { state } = await json<{ state: { chips: number } }>("inspect", "purse/a", "--service", module);
  assert.equal(state.chips, rounds * payments);
  const diff = ["--diff", String(offsets[0]), "--at", String(offsets[10])];
  const { patch } = await json<{ patch: { path: string; value: unknown }[] }>(
    "inspect",
    "purse/a",
    "--service",
    module,
    ...diff,
  );
  assert.equal(patch.find(({ path }) => path === "/chips")?.value, 11);
});

test("verify replays archive and log, and finds what other code makes of the first records", async () => {
  const hashes = join(temporaryDirectory(), "hashes.json");
  const written = await holdfast("verify", "--service", module, "--data", directory, "--write", hashes);
  assert.equal(written.code, 0, written.err);
  const changed = join(temporaryDirectory(), "purse.ts");
  const source = readFileSync(join(import.meta.dirname, "services", "purse.ts"), "utf8");
  const other = source
    .replace("state.chips += event.chips", 'state.chips += event.note.startsWith("1/") ? 2 : 1')
    .replace("../../../src/model/entity.ts", new URL("../../src/model/entity.ts", import.meta.url).href)
    .replace('"zod"', JSON.stringify(import.meta.resolve("zod")));
  writeFileSync(changed, other);
  const found = await holdfast("verify", "--service", changed, "--data", directory, "--against", hashes);
  assert.equal(found.code, 1, found.err);
  assert.match(found.out, /state-differs/);
});

test("openHistory gives the same, and a damaged archive is named while the rest is read", async () => {
  const entity = { type: "purse", key: "b" };
  const history = await openHistory({ directory, entities: [purse] });
  const { image } = await history.stateAt(entity);
  assert.equal((image.state as { chips: number }).chips, rounds * payments);
  const place = join(directory, "archive");
  const [first] = readdirSync(place).filter((name) => name.endsWith(".object"));
  assert.ok(first !== undefined && existsSync(place));
  const bytes = readFileSync(join(place, first));
  const spoilt = Uint8Array.from(bytes);
  spoilt[100] = (spoilt[100] as number) ^ 1;
  writeFileSync(join(place, first), spoilt);
  const shown = await holdfast("shards", "--data", directory);
  assert.deepEqual([shown.code, /snapshot-damaged/.test(shown.err)], [1, true]);
  const state = await holdfast("inspect", "purse/b", "--service", module, "--data", directory);
  assert.equal(state.code, 0, "the present needs no archive");
  writeFileSync(join(place, first), bytes);
});
