/** `holdfast backup` as a child process, beside another process that serves under load on the directory. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { type S3Server, s3SkipReason, startS3Server } from "../../src/adapters/s3/server.harness.ts";
import { backUpDirectory } from "../../src/presets/backup.ts";
import { openBackupPlace } from "../../src/presets/backup-place.ts";
import { chips, countChips, settleChips, startAccounts } from "../backup/service.harness.ts";
import { holdfast, root, service as sink, sinkDirectory, temporaryDirectory } from "./harness.ts";

const accounts = "test/backup/accounts.ts";
const data = temporaryDirectory();
let server: ChildProcess;
let lines: AsyncIterator<string>;

before(async () => {
  const program = ["--conditions=source", join(root, "test/backup/server.ts"), data];
  server = spawn(process.execPath, program, { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(server.stdout !== null);
  lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "ready");
});

after(() => void server.kill("SIGKILL"));

async function must(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await holdfast("backup", ...args);
  assert.equal(code, 0, `${args.join(" ")}: ${err}${out}`);
  return out;
}

async function assertRestores(directory: string): Promise<void> {
  const { held, underway } = await countChips(directory);
  assert.equal(held + underway, chips);
  const restored = await startAccounts(directory);
  assert.equal((await settleChips(restored)).held, chips);
  await restored.stop();
}

test("one command backs up a service that runs, one verifies, one tries out, one restores; the service does not notice", async () => {
  const place = join(temporaryDirectory(), "backups");
  for (const name of ["one", "two"]) {
    const made = await must("create", name, "--data", data, "--to", place);
    assert.match(
      made,
      new RegExp(`^Backup ${name} of 20.* was made and verified in .*\\n4 of 4 shards have records: `),
    );
  }
  assert.match(
    await must("verify", "one", "--from", place),
    /^Backup one of .* is whole: every object was read and checked\./,
  );
  const drilled = await must("drill", "two", "--from", place, "--service", accounts, "--data", data);
  assert.match(drilled, /a node served 40 entities after .*\n\d+ states of the node compared with a replay\n/);
  assert.match(
    drilled,
    /(40 states compared with the live log at the cut|not compared with a live log: .*)\nThe drill succeeded\.\n$/,
  );
  const directory = join(temporaryDirectory(), "restored");
  const restored = await must("restore", "one", "--from", place, "--data", directory);
  assert.match(restored, /is restored in [\s\S]*has ended for good\.\n$/);
  await assertRestores(directory);
  const listed = (await must("list", "--from", place)).trim().split("\n");
  assert.deepEqual(
    listed.map((line) => line.split(" ").at(-1)),
    ["one", "two"],
  );
  const json = JSON.parse(await must("list", "--from", place, "--json")) as { name: string; finished: boolean }[];
  assert.deepEqual(
    json.map(({ name, finished }) => [name, finished]),
    [
      ["one", true],
      ["two", true],
    ],
  );
});

test("a drill compares every state with the live log where that reaches back, and with nothing where it is not there", async () => {
  const [live, place] = [await sinkDirectory(), join(temporaryDirectory(), "backups")];
  await must("create", "b", "--data", live, "--to", place);
  const scratch = temporaryDirectory();
  const report = JSON.parse(
    await must("drill", "b", "--from", place, "--service", sink, "--data", live, "--scratch", scratch, "--json"),
  ) as { comparedLive: number; comparedNode: number; entities: number; records: number };
  assert.deepEqual([report.comparedLive, report.entities, report.records], [9, 9, 97]);
  assert.ok(report.comparedNode > 0);
  assert.deepEqual(readdirSync(scratch), []);
  const alone = await must("drill", "b", "--from", place, "--service", sink, "--data", join(live, "nowhere"));
  assert.match(alone, /not compared with a live log: no live log was named\nThe drill succeeded\.\n$/);
});

test("a drill with code that does not fit the backup fails and says where", async () => {
  const place = join(temporaryDirectory(), "backups");
  await must("create", "b", "--data", await sinkDirectory(), "--to", place);
  const changed = ["--service", "test/cli/services/changed.ts", "--data", join(place, "nowhere")];
  const failed = await holdfast("backup", "drill", "b", "--from", place, ...changed);
  assert.equal(failed.code, 1);
  assert.match(failed.out, /evolve-failed {2}order\/a .*[\s\S]*The drill failed: \d+ differences\.\n$/);
});

test("a backup that is damaged is refused by every verb that rests on it, with exit code 1", async () => {
  const place = join(temporaryDirectory(), "backups");
  await must("create", "b", "--data", await sinkDirectory(), "--to", place);
  const object = readdirSync(place).find((name) => name.includes("_objects_")) ?? "";
  writeFileSync(join(place, object), "spoilt");
  const directory = join(temporaryDirectory(), "restored");
  for (const args of [
    ["verify", "b", "--from", place],
    ["restore", "b", "--from", place, "--data", directory],
    ["drill", "b", "--from", place, "--service", sink],
  ]) {
    const { code, err } = await holdfast("backup", ...args);
    assert.equal(code, 1, args.join(" "));
    assert.match(err, /^error snapshot-damaged: /);
  }
  assert.deepEqual(readdirSync(directory), []);
});

test("what else is in a backup is written where that was said, and never left out silently", async () => {
  const [place, out] = [join(temporaryDirectory(), "backups"), join(temporaryDirectory(), "extras")];
  const extras = [{ name: "notes", bytes: Buffer.from("secret") }];
  await backUpDirectory({ name: "b", to: await openBackupPlace(place), directory: await sinkDirectory(), extras });
  const directory = join(temporaryDirectory(), "restored");
  const args = ["restore", "b", "--from", place, "--data", directory];
  const refused = await holdfast("backup", ...args);
  assert.deepEqual([refused.code, /--extras <directory>/.test(refused.err)], [1, true]);
  assert.deepEqual(readdirSync(directory), []);
  assert.match(await must(...args, "--extras", out), /with notes\n/);
  assert.equal(readFileSync(join(out, "notes"), "utf8"), "secret");
  assert.equal(statSync(join(out, "notes")).mode & 0o077, 0);
});

test("a backup is deleted only if that was confirmed", async () => {
  const place = join(temporaryDirectory(), "backups");
  await must("create", "b", "--data", await sinkDirectory(), "--to", place);
  const asked = await holdfast("backup", "delete", "b", "--from", place);
  assert.deepEqual([asked.code, /add --yes/.test(asked.err)], [2, true]);
  await must("verify", "b", "--from", place);
  assert.equal(await must("delete", "b", "--from", place, "--yes"), "Backup b is deleted.\n");
  assert.equal(await must("list", "--from", place), "No backups there.\n");
  assert.equal((await holdfast("backup", "delete", "b", "--from", place, "--yes")).code, 1);
});

test("wrong usage and what cannot be are told apart, and say what to do", async () => {
  const live = await sinkDirectory();
  const place = join(temporaryDirectory(), "backups");
  await must("create", "b", "--data", live, "--to", place);
  const full = temporaryDirectory();
  writeFileSync(join(full, "mine"), "");
  const cases: [args: string[], code: number, message: RegExp][] = [
    [["create", "b", "--data", live], 2, /--to <place>/],
    [["create", "b", "--data", live, "--to", live], 2, /is a data directory\. Keep backups elsewhere/],
    [["create", "b", "--data", live, "--to", "ftp://x/y"], 2, /a directory or s3:\/\/bucket\/prefix/],
    [["create", "b", "--data", live, "--to", "s3://UPPER"], 2, /--to: A bucket is s3:\/\/bucket\/prefix/],
    [
      ["create", "b", "--data", live, "--to", place],
      1,
      /^error invalid-configuration: .*\nThere is a backup "b" already/,
    ],
    [["create", "../b", "--data", live, "--to", place], 1, /^error invalid-input: /],
    [["create", "c", "--data", full, "--to", place], 1, /There is no log in /],
    [["verify", "none", "--from", place], 1, /There is no backup "none"/],
    [["restore", "b", "--from", place, "--data", full], 1, /is not empty \(mine is there\)/],
    [["drill", "b", "--from", place], 2, /--service <module>/],
    [["list", "--from", join(place, "nowhere")], 1, /There is no directory/],
  ];
  await Promise.all(
    cases.map(async ([args, expected, message]) => {
      const { code, err } = await holdfast("backup", ...args);
      assert.equal(code, expected, `${args.join(" ")}: ${err}`);
      assert.match(err, message);
    }),
  );
  assert.deepEqual(readdirSync(full), ["mine"]);
});

test("a restore that is killed leaves a directory that no service starts on", async () => {
  const place = join(temporaryDirectory(), "backups");
  await must("create", "big", "--data", data, "--to", place);
  const directory = join(temporaryDirectory(), "restored");
  const args = ["backup", "restore", "big", "--from", place, "--data", directory];
  const child = spawn(process.execPath, ["--conditions=source", join(root, "src/cli/bin.ts"), ...args], { cwd: root });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  while (!existsSync(join(directory, "restoring")) && child.exitCode === null) await new Promise(setImmediate);
  child.kill("SIGKILL");
  await ended;
  if (!existsSync(join(directory, "restoring"))) return assertRestores(directory); // it was done before
  await assert.rejects(startAccounts(directory), { code: "restore-unfinished" });
  const again = await holdfast("backup", "restore", "big", "--from", place, "--data", directory);
  assert.match(again.err, /^error restore-unfinished: /);
});

const skip = s3SkipReason();

describe("backups in S3", { skip: skip ?? false }, () => {
  let s3: S3Server;
  const environment: Record<string, string> = {};

  before(async () => {
    s3 = await startS3Server();
    Object.assign(environment, {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${s3.port}`,
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "holdfast",
      AWS_SECRET_ACCESS_KEY: "holdfast-test-secret",
    });
    Object.assign(process.env, environment);
  });

  after(async () => {
    for (const name of Object.keys(environment)) delete process.env[name];
    await s3.stop();
  });

  test("a service under load goes to a bucket and comes back from it", async () => {
    const place = `s3://${await s3.bucket()}/holdfast/accounts`;
    await must("create", "monday", "--data", data, "--to", place);
    await must("create", "tuesday", "--data", data, "--to", place);
    await must("verify", "monday", "--from", place);
    assert.match(
      await must("drill", "monday", "--from", place, "--service", accounts, "--data", data),
      /The drill succeeded\.\n$/,
    );
    const directory = join(temporaryDirectory(), "restored");
    mkdirSync(directory);
    await must("restore", "monday", "--from", place, "--data", directory);
    await assertRestores(directory);
    await must("delete", "monday", "--from", place, "--yes");
    const left = JSON.parse(await must("list", "--from", place, "--json")) as { name: string }[];
    assert.deepEqual(
      left.map(({ name }) => name),
      ["tuesday"],
    );
    await must("verify", "tuesday", "--from", place);
  });

  test("a bucket that is not there is told with what to do", async () => {
    const { code, err } = await holdfast("backup", "list", "--from", "s3://no-such-bucket/x");
    assert.equal(code, 1);
    assert.match(err, /^error invalid-configuration: /);
  });
});

test("after all backups the service under load has lost and doubled nothing", async () => {
  server.kill("SIGTERM");
  assert.equal((await lines.next()).value, `held ${chips}`);
});
