/** The files sink over a real directory: the contract suite, rotation, and what it refuses. */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CloudEvent } from "cloudevents";
import { batchesOf, identityOf, never, subscriber } from "../../ports/sink.contract.kit.ts";
import { testSink } from "../../ports/sink.contract.ts";
import { systemClock } from "../system/clock.ts";
import { openDirectory } from "../system/disk.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { arrivedOf, type Faults, failing, fileNames, linesOf } from "./sink.harness.ts";
import { filesSink, filesSinkOver } from "./sink.ts";

const hangs = "a write to a disk of this machine cannot be called back; it is waited for";

testSink(
  "files",
  async () => {
    const directory = temporaryDirectory();
    const place = join(directory.path, "feeds");
    const faults: Faults = { next: undefined };
    return {
      make: () =>
        filesSinkOver({
          open: (folder) => failing(openDirectory(join(place, folder)), faults),
          clock: systemClock,
          fileBytesMax: 4_000,
        }),
      arrived: async (name) => arrivedOf(linesOf(join(place, name))),
      loseAnswer() {
        faults.next = "lose-answer";
      },
      cut() {
        faults.next = "cut";
      },
      async down() {
        renameSync(place, `${place}-gone`);
      },
      async up() {
        renameSync(`${place}-gone`, place);
      },
      hang: () => Promise.reject(new Error(hangs)),
      dispose: async () => directory.remove(),
    };
  },
  {
    promise: "exactly once",
    whole: true,
    keepsCursor: true,
    skip: {
      "a delivery ends when its signal says so, and the sink can be used again": hangs,
      "a sink that is closed while it delivers ends the delivery": hangs,
    },
  },
);

interface Place {
  readonly directory: string;
  readonly folder: string;
}

function place(context: TestContext): Place {
  const directory = temporaryDirectory();
  context.after(() => directory.remove());
  return { directory: directory.path, folder: join(directory.path, subscriber) };
}

test("each line is a CloudEvent", async (context) => {
  const { directory, folder } = place(context);
  const sink = filesSink({ directory });
  await sink.open(identityOf(1));
  await sink.deliver(batchesOf(5)[0], never);
  const lines = linesOf(folder);
  assert.equal(lines.length, 5);
  for (const line of lines) assert.ok(new CloudEvent(JSON.parse(line)).validate());
});

test("files are finished by size, by age and by day, and their names sort in their order", async (context) => {
  const { directory, folder } = place(context);
  let nowMs = Date.UTC(2026, 10, 25, 22);
  const sink = filesSinkOver({
    open: (name) => openDirectory(join(directory, name)),
    clock: { ...systemClock, now: () => nowMs },
    fileBytesMax: 17_000,
    fileMs: 60 * 60_000,
  });
  await sink.open(identityOf(1));
  const batches = batchesOf(30, 10, 10, 1, 1, 0, 1);
  await sink.deliver(batches[0], never);
  await sink.deliver(batches[1], never); // 40 lines of 390 bytes do fit
  await sink.deliver(batches[2], never); // by size
  nowMs += 60 * 60_000 + 1;
  await sink.deliver(batches[3], never); // by age
  nowMs = Date.UTC(2026, 10, 26);
  await sink.deliver(batches[4], never); // by day
  nowMs += 60 * 60_000 + 1;
  await sink.deliver(batches[5], never); // by age, without a line
  const finished = [1, 2, 3]
    .map((number) => `00000000${number}-2026-11-25.ndjson`)
    .concat("000000004-2026-11-26.ndjson");
  assert.deepEqual(fileNames(folder), finished);
  await sink.deliver(batches[6], never);
  assert.deepEqual(fileNames(folder), [...finished, "000000005-2026-11-26.ndjson.open"]);
  assert.ok(finished.every((name) => statSync(join(folder, name)).size <= 17_000));
  assert.equal(linesOf(folder).length, 53);
});

test("finished files may be taken away, and a batch larger than a file is in one", async (context) => {
  const { directory, folder } = place(context);
  const batches = batchesOf(50, 50, 2);
  const sink = filesSink({ directory, fileBytesMax: 1_000 });
  await sink.open(identityOf(1));
  await sink.deliver(batches[0], never);
  await sink.deliver(batches[1], never);
  for (const name of fileNames(folder).filter((one) => one.endsWith(".ndjson"))) rmSync(join(folder, name));
  assert.equal(linesOf(folder).length, 50);
  const next = filesSink({ directory, fileBytesMax: 1_000 });
  assert.equal(await next.open(identityOf(2)), "c2");
  await next.deliver(batches[2], never);
  assert.deepEqual(
    fileNames(folder).map((name) => name.slice(0, 9)),
    ["000000002", "000000003"],
  );
});

test("what was written behind the position is cut off by the next opening", async (context) => {
  const { directory, folder } = place(context);
  const batches = batchesOf(3, 3);
  const sink = filesSink({ directory });
  await sink.open(identityOf(1));
  await sink.deliver(batches[0], never);
  const [name = ""] = fileNames(folder);
  const before = readFileSync(join(folder, name));
  appendFileSync(join(folder, name), '{"half": "a li');
  writeFileSync(join(folder, name.replace("000000001", "000000002")), "{}\n");
  writeFileSync(join(folder, "position.new"), "{");
  const next = filesSink({ directory });
  await next.open(identityOf(2));
  assert.deepEqual(fileNames(folder), [name]);
  assert.deepEqual(readFileSync(join(folder, name)), before);
  await next.deliver(batches[1], never);
  assert.equal(readFileSync(join(folder, name), "utf8").split("\n").length, 7);
});

test("a folder that lost lines it answered for, or its position, is refused", async (context) => {
  const { directory, folder } = place(context);
  const refused = (message: RegExp) => ({ code: "invalid-configuration", message });
  const open = () => filesSink({ directory }).open(identityOf(9));
  const sink = filesSink({ directory });
  await sink.open(identityOf(1));
  await sink.deliver(batchesOf(3)[0], never);
  const name = join(folder, fileNames(folder)[0] ?? "");
  const [lines, position] = [readFileSync(name), readFileSync(join(folder, "position.json"))];
  truncateSync(name, 10);
  await assert.rejects(open(), refused(/has 10 bytes/));
  writeFileSync(name, lines);
  writeFileSync(join(folder, "position.json"), "{}");
  await assert.rejects(open(), refused(/position\.json that is none/));
  rmSync(join(folder, "position.json"));
  await assert.rejects(open(), refused(/no position\.json/));
  writeFileSync(join(folder, "position.json"), position);
  writeFileSync(join(folder, "000000002-2026-11-25.ndjson"), "");
  await assert.rejects(open(), refused(/knows of 1 files/));
  rmSync(join(folder, "000000002-2026-11-25.ndjson"));
  await assert.rejects(
    filesSink({ directory }).open({ ...identityOf(9), service: "dice" }),
    refused(/of chips\/ledger/),
  );
  assert.equal(await open(), "c1");
});

test("a subscriber whose name is no name of a folder is refused", async (context) => {
  const { directory } = place(context);
  for (const name of ["", "..", "a/b", ".hidden", "a\0b", "x".repeat(129)])
    await assert.rejects(filesSink({ directory }).open(identityOf(1, name)), { code: "invalid-configuration" });
});

test("two runnings that write at the same moment do not mix: one of them is told to wait or is fenced", async (context) => {
  const { directory, folder } = place(context);
  const batches = batchesOf(...Array.from({ length: 20 }, () => 5));
  const drive = async (epoch: number) => {
    for (let isDone = false; !isDone; ) {
      const sink = filesSink({ directory });
      try {
        const cursor = await sink.open(identityOf(epoch));
        for (const batch of batches.slice(Number(cursor?.slice(1) ?? 0))) await sink.deliver(batch, never);
        isDone = true;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "fenced") return;
        assert.equal(code, "unavailable");
        await new Promise((done) => setTimeout(done, epoch));
      }
    }
  };
  await Promise.all([drive(1), drive(2), drive(3)]);
  assert.equal(linesOf(folder).length, 100);
  assert.equal(new Set(linesOf(folder)).size, 100);
});
