/** The command line as a real child process, on a real data directory. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { openSegmentLog } from "../../src/adapters/segments/open.ts";
import { copyInto, loadDump } from "../golden/dump.ts";
import { fingerprint, holdfast, openSink, root, service, sinkDirectory, temporaryDirectory } from "./harness.ts";

let data = "";
let untouched = "";

before(async () => {
  data = await sinkDirectory();
  untouched = fingerprint(data);
});

/** Runs a verb that must succeed and gives what it printed as JSON. */
async function json(...args: readonly string[]): Promise<never> {
  const { code, out, err } = await holdfast(...args, "--data", data, "--json");
  assert.equal(code, 0, err);
  return JSON.parse(out) as never;
}

async function offsetsOf(entity: string): Promise<{ offset: number; time: number; events: { name: string }[] }[]> {
  const { code, out, err } = await holdfast("events", entity, "--data", data, "--json");
  assert.equal(code, 0, err);
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("events prints the records of an entity without any code of the service", async () => {
  const { code, out, err } = await holdfast("events", "order/a", "--data", data);
  assert.equal(code, 0, err);
  assert.match(
    out,
    /placed v1 {"amount":5}\n[\s\S]*placed v2 {"cents":1000}\n[\s\S]*placed v3 {"cents":1500,"currency":"INR"}/,
  );
  assert.match(out, /send 1 to till\/front: deposit {"cents":500}/);
  assert.match(out, /timer "reminder" cancelled/);
  assert.match(out, /refused: rejected "full" {"lines":3}/);
});

test("events takes the first and the last offset or time", async () => {
  const all = await offsetsOf("order/a");
  const [second, third] = [all[1], all[2]];
  assert.ok(second !== undefined && third !== undefined);
  const range = ["--from", String(second.offset), "--to", String(third.offset)];
  const { out } = await holdfast("events", "order/a", "--data", data, "--json", ...range);
  assert.deepEqual(
    out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).offset),
    [second.offset, third.offset],
  );
  const late = await holdfast("events", "order/a", "--data", data, "--from", new Date(third.time + 1).toISOString());
  assert.equal(late.out.includes(`\n${third.offset}  `), false);
  const none = await holdfast("events", "order/nobody", "--data", data);
  assert.deepEqual([none.code, none.out, none.err], [0, "", "No records of order/nobody there.\n"]);
});

test("inspect shows an entity as it is, and as it was at an offset or a time", async () => {
  const now = (await json("inspect", "order/a", "--service", service)) as { state: unknown; version: number };
  const line = (cents: number) => ({ cents, currency: "INR" });
  assert.deepEqual(now.state, { lines: [line(500), line(1000), line(1500)], paid: "yes", reminders: 4 });
  const first = (await offsetsOf("order/a"))[0];
  assert.ok(first !== undefined);
  for (const moment of [String(first.offset), new Date(first.time).toISOString()]) {
    const was = (await json("inspect", "order/a", "--service", service, "--at", moment)) as typeof now;
    assert.deepEqual(was.state, { lines: [line(500)], paid: "no", reminders: 0 });
    assert.equal(was.version, first.offset);
  }
  const people = await holdfast(
    "inspect",
    "order/a",
    "--service",
    service,
    "--data",
    data,
    "--at",
    String(first.offset),
  );
  assert.match(
    people.out,
    new RegExp(`^order/a {2}version ${first.offset} {2}shard \\d, offset ${first.offset}, 2027-`),
  );
  assert.match(people.out, /timer "reminder" at 2027-.*: remind {"why":"unpaid"}/);
});

test("inspect says that an entity does not exist, and ends with 1", async () => {
  const now = await holdfast("inspect", "order/nobody", "--service", service, "--data", data);
  assert.equal(now.code, 1);
  assert.match(now.out, /^order\/nobody {2}version 0 [\s\S]*does not exist\n$/);
  const early = await holdfast("inspect", "order/a", "--service", service, "--data", data, "--at", "0", "--json");
  assert.equal(early.code, 1);
  assert.equal(JSON.parse(early.out).exists, false);
});

test("inspect --diff shows what changed between two moments as JSON Patch", async () => {
  const [first] = await offsetsOf("order/a");
  const diff = (await json("inspect", "order/a", "--service", service, "--diff", String(first?.offset))) as {
    patch: { op: string; path: string; value?: unknown }[];
  };
  assert.deepEqual(diff.patch, [
    { op: "add", path: "/lines/1", value: { cents: 1000, currency: "INR" } },
    { op: "add", path: "/lines/2", value: { cents: 1500, currency: "INR" } },
    { op: "replace", path: "/paid", value: "yes" },
    { op: "replace", path: "/reminders", value: 4 },
  ]);
  const same = await holdfast("inspect", "order/a", "--service", service, "--data", data, "--diff", "2", "--at", "2");
  assert.match(same.out, /no difference in the state\n$/);
});

test("inspect --shard shows every entity of a shard", async () => {
  const shards = await Promise.all(
    [0, 1, 2, 3].map(
      async (shard) =>
        (await json("inspect", "--shard", String(shard), "--service", service)) as { entities: unknown[] },
    ),
  );
  assert.equal(
    shards.reduce((sum, { entities }) => sum + entities.length, 0),
    9,
  );
});

test("fork runs a command on a copy and shows events, reply and state after; the log stays as it is", async () => {
  const [first] = await offsetsOf("order/a");
  const place = ["--command", "place", "--input", '{"amount":7}'];
  const at = ["--service", service, "--at", String(first?.offset)];
  const fork = (await json("fork", "order/a", ...place, ...at)) as Record<string, unknown>;
  assert.deepEqual(fork["events"], [{ name: "placed", version: 3, payload: { cents: 700, currency: "INR" } }]);
  assert.deepEqual((fork["reply"] as { value: unknown }).value, { lines: 2 });
  assert.equal((fork["after"] as { lines: unknown[] }).lines.length, 2);
  assert.equal((fork["timers"] as unknown[]).length, 1);
  const people = await holdfast("fork", "order/a", ...place, "--service", service, "--data", data);
  assert.match(people.out, /place would be refused: rejected "full"/);
  const paid = await holdfast("fork", "order/a", "--command", "pay", "--input", '{"till":"x"}', ...at, "--data", data);
  assert.match(paid.out, /send 1 to till\/x: deposit {"cents":500}\n/);
  assert.equal(fingerprint(data), untouched);
});

test("fork asks the access rule only for a principal that is named, and rolls the same dice for a seed", async () => {
  const pay = ["fork", "order/a", "--command", "pay", "--input", '{"till":"front"}', "--service", service];
  assert.equal(((await json(...pay)) as { reply: { ok: boolean } }).reply.ok, true);
  const denied = (await json(...pay, "--as", "user:mallory")) as { reply: { code: string }; events: unknown[] };
  assert.deepEqual([denied.reply.code, denied.events], ["forbidden", []]);
  const roll = ["fork", "order/a", "--command", "roll", "--service", service, "--seed"];
  const replies = await Promise.all([json(...roll, "5"), json(...roll, "5")]);
  assert.deepEqual(replies[0], replies[1]);
  const broken = (await json("fork", "order/a", "--command", "break", "--service", service)) as { faults: string[] };
  assert.match(broken.faults[0] ?? "", /this command is broken/);
});

test("shards lists epochs, offsets and bytes", async () => {
  const { shards, records } = (await json("shards")) as {
    shards: { shard: number; epoch: number; trimmed: number; tail: number; bytes: number }[];
    records: number;
  };
  assert.equal(shards.length, 4);
  assert.equal(records, 97);
  for (const { epoch, trimmed, bytes } of shards) assert.ok(epoch === 3 && trimmed === 1 && bytes > 0);
  const people = await holdfast("shards", "--data", data);
  assert.match(people.out, /^shard {2}epoch[\s\S]*97 records in [\d,]+ bytes/);
});

test("verify writes state hashes and finds no divergence with the same code", async () => {
  const file = join(temporaryDirectory(), "hashes.json");
  const written = await holdfast("verify", "--service", service, "--data", data, "--write", file);
  assert.equal(written.code, 0, written.err);
  assert.match(written.out, /^97 records of 9 entities were replayed: no divergence\.\nHashes are in /);
  const result = (await json("verify", "--service", service, "--against", file)) as { compared: number };
  assert.equal(result.compared, 9);
});

test("verify reports every divergence of changed code, and ends with 1", async () => {
  const file = join(temporaryDirectory(), "hashes.json");
  await holdfast("verify", "--service", service, "--data", data, "--write", file);
  const changed = "test/cli/services/changed.ts";
  const { code, out } = await holdfast("verify", "--service", changed, "--data", data, "--against", file, "--json");
  assert.equal(code, 1);
  const { divergences } = JSON.parse(out) as { divergences: { kind: string; entity: string; detail: string }[] };
  const told = divergences.map(({ kind, entity }) => `${kind} ${entity}`).sort();
  assert.deepEqual(told, [
    "evolve-failed order/a",
    "evolve-failed order/b",
    "state-differs order/only-1",
    "state-differs order/only-2",
    "state-differs order/only-3",
    "state-differs till/front",
    "state-differs till/tips",
    "unknown-command order/only-3",
  ]);
  const people = await holdfast("verify", "--service", changed, "--data", data, "--against", file, "--write", file);
  assert.equal(people.code, 1);
  assert.match(
    people.out,
    /evolve-failed {2}order\/a {2}\(shard \d, offset \d+\) .*"payment" version 1 .*no such account/,
  );
  assert.match(people.out, /8 divergence\(s\)\.\nDo not deploy/);
  assert.match(people.out, /No hashes were written\.\n$/);
});

test("verify refuses events that the code does not know, with what to do", async () => {
  const older = "test/cli/services/older.ts";
  const { code, out } = await holdfast("verify", "--service", older, "--data", data);
  assert.equal(code, 1);
  assert.match(out, /unknown-event {2}order\/a .*event "placed" version 3; this code knows versions up to 2\. Deploy/);
  const inspected = await holdfast("inspect", "order/a", "--service", older, "--data", data);
  assert.equal(inspected.code, 1);
  assert.match(inspected.err, /^error unknown-event: .*\nThe log holds order event "placed" version 3/);
  const other = await holdfast("inspect", "till/front", "--service", older, "--data", data);
  assert.equal(other.code, 0, "an entity whose own events are known can be looked at");
});

test("a log that has grown is compared at the offsets where its hashes were taken", async () => {
  const directory = await sinkDirectory();
  const file = join(temporaryDirectory(), "hashes.json");
  await holdfast("verify", "--service", service, "--data", directory, "--write", file);
  const log = await openSink(directory);
  const { startNode } = await import("../../src/runtime/node.ts");
  const { systemClock } = await import("../../src/adapters/system/clock.ts");
  const { systemRandom } = await import("../../src/adapters/system/random.ts");
  const { entities } = await import("../golden/kitchen-sink.ts");
  const node = await startNode({ entities, log, clock: systemClock, random: systemRandom, shardCount: 4 });
  const grown = await holdfast("verify", "--service", service, "--data", directory, "--against", file);
  await node.stop();
  assert.equal(grown.code, 0, grown.out);
  assert.match(grown.out, /^101 records of 9 entities were replayed, 9 states compared: no divergence/);
  const hashes = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...hashes, tails: hashes.tails.map((tail: number) => tail + 100) }));
  const shorter = await holdfast("verify", "--service", service, "--data", directory, "--against", file);
  assert.equal(shorter.code, 1);
  assert.match(shorter.out, /log-shorter/);
});

test("all of it works beside a node that runs, and changes no byte", async () => {
  const directory = await sinkDirectory();
  const log = await openSink(directory); // holds the lock
  const before = fingerprint(directory);
  for (const args of [
    ["events", "order/a"],
    ["inspect", "order/a", "--service", service],
    ["shards"],
    ["verify", "--service", service],
  ]) {
    const { code, err } = await holdfast(...args, "--data", directory);
    assert.equal(code, 0, err);
  }
  assert.equal(fingerprint(directory), before);
  await log.close();
});

test("wrong usage ends with 2 and says what is right", async () => {
  const cases: [args: string[], message: RegExp][] = [
    [["inspect", "order/a"], /--service <module>/],
    [["inspect", "order", "--service", service], /write type\/key, as in table\/42/],
    [["inspect", "order/a", "--service", service, "--at", "yesterday"], /--at is an offset \(17\) or a time/],
    [["inspect", "order/a", "--service", "nowhere.ts"], /there is no file nowhere\.ts/],
    [["inspect", "order/a", "--service", "test/cli/harness.ts"], /exports no entity/],
    [["fork", "order/a", "--service", service], /--command/],
    [["fork", "order/a", "--command", "place", "--input", "{", "--service", service], /--input is not JSON/],
    [["fork", "order/a", "--command", "place", "--as", "ann", "--service", service], /--as is kind:id/],
    [["bet"], /unknown command 'bet'/],
  ];
  const check = async ([args, message]: (typeof cases)[number]) => {
    const { code, err } = await holdfast(...args, ...(args[0] === "bet" ? [] : ["--data", data]));
    assert.equal(code, 2, `${args.join(" ")}: ${err}`);
    assert.match(err, message);
  };
  await Promise.all(cases.map(check));
  assert.equal((await holdfast("--help")).code, 0);
});

test("an error of the catalogue is told with its code and what to do", async () => {
  const empty = await holdfast("shards", "--data", temporaryDirectory());
  assert.equal(empty.code, 1);
  assert.match(
    empty.err,
    /^error invalid-configuration: .*\nThere is no log in .*Name the data directory of a service\./,
  );
  const far = await holdfast("inspect", "order/a", "--service", service, "--data", data, "--at", "9999");
  assert.match(
    far.err,
    /^error invalid-input: .*\nThe log of shard \d ends at offset \d+; ask for that or an earlier one\./,
  );
  const stranger = await holdfast("inspect", "robot/a", "--service", service, "--data", data);
  assert.match(
    stranger.err,
    /^error unknown-type: .*\nThe service has no entity type "robot"; it has: order, till, parcel\./,
  );
});

test("the game's golden logs verify through the command line, from a real directory", async () => {
  const golden = join(root, "test/golden");
  for (const frames of readdirSync(golden).filter((name) => name.startsWith("frames-"))) {
    const directory = temporaryDirectory();
    const store = loadDump(readFileSync(join(golden, frames, "game.frames.gz")));
    const log = await openSegmentLog({ directory, shardCount: store.shards.length, segmentBytes: 64 * 1024 });
    await copyInto(store, log);
    await log.close();
    const entities = "examples/teen-patti/src/entities.ts";
    const against = join(golden, frames, "game.hashes.json");
    const { code, out } = await holdfast("verify", "--service", entities, "--data", directory, "--against", against);
    assert.equal(code, 0, out);
    const table = await holdfast("inspect", "table/t", "--service", entities, "--data", directory, "--json");
    assert.equal(JSON.parse(table.out).exists, true);
  }
});
