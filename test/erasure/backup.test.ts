/**
 * Backups of a service with personal data, end to end: real processes, real files, the command line. No file ever holds a
 * name; what is restored opens what the service opened; and an erasure reaches every backup.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { openKeyFiles } from "../../src/adapters/keys/files.ts";
import { openDirectory } from "../../src/adapters/system/disk.ts";
import { systemRandom as random } from "../../src/adapters/system/random.ts";
import { embedded, eraseInBackups, openBackupPlace, restoreDirectory } from "../../src/index.ts";
import type { CallResult } from "../../src/model/records.ts";
import { keysOf } from "../../src/presets/backup-keys.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { exportWithout, hashOfSubject, unpackKeys } from "../../src/wire/keys.ts";
import { holdfast, root, temporaryDirectory } from "../cli/harness.ts";
import { canary, filesWith, paths, people, Server, writeEverywhere } from "./harness.ts";
import { entities } from "./service.ts";

const code = "test/erasure/service.ts";
const subject = { type: "person", key: "ann" };
const servers: Server[] = [];
after(() => Promise.all(servers.map((server) => server.end("SIGKILL"))));

async function start(directory: string): Promise<Server> {
  const server = await Server.start(directory);
  servers.push(server);
  return server;
}

async function end(server: Server, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
  servers.splice(servers.indexOf(server), 1);
  await server.end(signal);
}

async function must(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await holdfast(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${err}${out}`);
  return out;
}

/** The bytes of a subject's key, as they are in the files of a data directory. */
async function keyOf(directory: string, name: string): Promise<Buffer> {
  const { slots } = unpackKeys((await keysOf(directory)) ?? new Uint8Array());
  const at = slots.indexOf(hashOfSubject(name));
  assert.ok(at > 0, `${name} has a key`);
  return Buffer.from(slots.subarray(at + 16, at + 48));
}

function filesWithKey(directory: string, key: Buffer): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const files = entries.map((entry) => join(entry.parentPath, entry.name));
  return files.filter((file) => readFileSync(file).includes(key));
}

/** What a service shows that is started on a directory. */
async function shownBy(directory: string): Promise<{ ann: unknown; bob: unknown; room: Set<unknown> }> {
  const server = await start(directory);
  const ann = (await server.ask(paths.name)).value;
  const bob = (await server.ask(`${people}/bob/views/card`)).value as { name: unknown };
  const room = new Set((await server.ask(paths.names)).value as unknown[]);
  await end(server, "SIGKILL");
  return { ann, bob: bob.name, room };
}

const erased = { ann: null, bob: "Bob", room: new Set(["Bob", null]) };
const whole = { ann: canary, bob: "Bob", room: new Set(["Bob", canary]) };

test("a backup beside a service that runs has its keys; an erasure reaches all backups, and what is restored stays erased", async () => {
  const directory = temporaryDirectory();
  const places = [join(temporaryDirectory(), "near"), join(temporaryDirectory(), "far")];
  const [near = "", far = ""] = places;
  const server = await start(directory);
  await writeEverywhere(server);
  const ann = await keyOf(directory, "person/ann");
  assert.match(await must("backup", "create", "one", "--data", directory, "--to", near), /\nwith keys\n$/);
  await must("backup", "create", "two", "--data", directory, "--to", far);
  await must("backup", "create", "three", "--data", directory, "--to", far);
  const kept = temporaryDirectory();
  cpSync(far, kept, { recursive: true });
  const scratch = temporaryDirectory();
  const drill = ["--from", near, "--service", code, "--data", directory, "--scratch", scratch];
  assert.match(await must("backup", "drill", "one", ...drill), /The drill succeeded/);
  assert.deepEqual(readdirSync(scratch), [], "no keys stay behind");

  const to = places.flatMap((place) => ["--backups", place]);
  const service = ["--url", server.url, "--token", "operator"];
  const told = (await must("erase", "person/ann", "--yes", ...service, ...to)).split("\n");
  assert.deepEqual(told, [
    "person/ann is erased: its key is destroyed, and the log says so.",
    `${near}: backup one: the key of person/ann is destroyed`,
    `${far}: backup three: the key of person/ann is destroyed`,
    `${far}: backup two: the key of person/ann is destroyed`,
    "",
  ]);
  for (const place of [directory, ...places]) assert.deepEqual(filesWithKey(place, ann), [], place);
  const again = JSON.parse(await must("erase", "person/ann", "--yes", "--json", ...service, ...to)) as object;
  const nothing = { outcome: "nothing-to-erase" };
  assert.deepEqual(again, {
    subject: "person/ann",
    erased: false,
    backups: [
      { place: near, name: "one", ...nothing },
      { place: far, name: "three", ...nothing },
      { place: far, name: "two", ...nothing },
    ],
  });
  await must("backup", "verify", "two", "--from", far);
  await end(server, "SIGKILL");
  const restored = join(temporaryDirectory(), "restored");
  await must("backup", "restore", "two", "--from", far, "--data", restored);
  assert.deepEqual(await shownBy(restored), erased);
  assert.match(await must("events", "person/ann", "--data", restored), /personal data erased {2}\(operator/);

  // a copy that no erasure has reached
  const copied = ["backup", "restore", "two", "--from", kept, "--data"];
  const [open, closed] = [join(temporaryDirectory(), "open"), join(temporaryDirectory(), "closed")];
  assert.match(await must(...copied, open), /Erasures that never reached this backup are to be repeated/);
  assert.deepEqual(await shownBy(open), whole);
  await must("erase", "person/ann", "--yes", "--data", open);
  await must(...copied, closed, "--erased-from", directory);
  for (const one of [open, closed]) assert.deepEqual(await shownBy(one), erased);
  const unknown = await holdfast(...copied, join(temporaryDirectory(), "none"), "--erased-from", kept);
  assert.match(unknown.err, /invalid-configuration: .*\nThere is no key store in /);

  for (const place of [directory, ...places, kept, restored, open, closed])
    assert.deepEqual(filesWith(place, canary), [], place);
});

test("a backup of a stopped service has its keys, and without them none is made", async () => {
  const directory = temporaryDirectory();
  const place = join(temporaryDirectory(), "backups");
  const server = await start(directory);
  await writeEverywhere(server);
  await end(server, "SIGTERM");
  await must("backup", "create", "b", "--data", directory, "--to", place);
  renameSync(join(directory, "keys"), join(directory, "aside"));
  const refused = await holdfast("backup", "create", "c", "--data", directory, "--to", place);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /^error keys-damaged: .*\nThe backup has no keys, and .* holds? sealed values/);
  renameSync(join(directory, "aside"), join(directory, "keys"));

  const unfinished = await holdfast("erase", "person/ann", "--yes", "--data", directory, "--backups", place);
  assert.equal(unfinished.code, 1, "what was not finished may hold keys");
  assert.match(unfinished.out, /backup b: the key of person\/ann is destroyed\n.*backup c: NOT DONE: not finished/);
  await must("backup", "delete", "c", "--from", place, "--yes");
  assert.match(
    await must("erase", "person/ann", "--yes", "--data", directory, "--backups", place),
    /^There was nothing of person\/ann to erase\.\n.*backup b: had no key of person\/ann\n$/,
  );
  const nowhere = await holdfast("erase", "person/bob", "--yes", "--data", directory, "--backups", `${place}-not`);
  assert.deepEqual([nowhere.code, /there is no directory/.test(nowhere.err)], [2, true]);
  const restored = join(temporaryDirectory(), "restored");
  await must("backup", "restore", "b", "--from", place, "--data", restored);
  assert.deepEqual(await shownBy(restored), erased, "nobody erased bob");
});

test("in process: a backup has the keys, an erasure while it is made reaches it, and programs erase in backups", async () => {
  const options = { entities, port: 0, shardCount: 1, progress: false } as const;
  const authenticate = async () => ({ principal: { kind: "user", id: "t" } }) as const;
  const directory = temporaryDirectory();
  const place = join(temporaryDirectory(), "backups");
  const service = await embedded({ ...options, directory, authenticate, onFault: () => {} });
  const principal = { kind: "operator", id: "olga" } as const;
  for (const [key, name] of [
    ["ann", canary],
    ["bob", "Bob"],
  ]) {
    const call = { entity: { type: "person", key: key as string }, command: "register", input: { name } };
    const requestId = makeUuidV7(Date.now(), random.bytes(16));
    const result = await new Promise<CallResult>((done) =>
      service.node.execute({ ...call, requestId, principal }, done),
    );
    assert.ok(result.ok);
  }
  const store = await openBackupPlace(place);
  // the erasure comes when the keys were read and the backup is not there yet, so whoever erases in backups finds none
  let during: Promise<unknown> | undefined;
  const bytes = async () => {
    during = new Promise((done) => service.node.erase({ subject, principal }, done));
    await during;
    return new Uint8Array(1);
  };
  const ann = await keyOf(directory, "person/ann");
  const report = await service.backup({ name: "b", to: store, extras: [{ name: "mine", bytes }] });
  assert.deepEqual(report.extras, ["keys", "mine"]);
  assert.ok(during !== undefined);
  assert.deepEqual(filesWithKey(place, ann), []);
  const bob = await keyOf(directory, "person/bob");
  assert.equal(filesWithKey(place, bob).length, 1);
  const request = { from: store, subject: { type: "person", key: "bob" }, principal };
  assert.deepEqual(await eraseInBackups(request), [{ name: "b", outcome: "erased" }]);
  assert.deepEqual(filesWithKey(place, bob), []);
  await service.stop();
  const restored = join(temporaryDirectory(), "restored");
  await restoreDirectory({ name: "b", from: store, directory: restored, takeExtra: async () => {} });
  const again = await embedded({ ...options, directory: restored, authenticate, onFault: () => {} });
  assert.equal(again.keys?.find("person/bob", 1), "erased");
  await again.stop();
  await store.close();
});

test("an erasure in backups that is killed at any moment leaves every backup whole, and is completed by the next", async () => {
  const directory = temporaryDirectory();
  const original = join(temporaryDirectory(), "backups");
  const server = await start(directory);
  await writeEverywhere(server);
  await end(server, "SIGTERM");
  const ann = await keyOf(directory, "person/ann");
  for (const name of ["a", "b", "c"]) await must("backup", "create", name, "--data", directory, "--to", original);
  for (let round = 0; round < 4; round++) {
    const place = temporaryDirectory();
    cpSync(original, place, { recursive: true });
    const args = ["erase", "person/ann", "--yes", "--data", directory, "--backups", place];
    const child = spawn(process.execPath, ["--conditions=source", join(root, "src/cli/bin.ts"), ...args], {
      cwd: root,
    });
    await killAfterChanges(child, place, 1 + round);
    for (const name of ["a", "b", "c"]) await must("backup", "verify", name, "--from", place);
    await must(...args);
    assert.deepEqual(filesWithKey(place, ann), []);
    const restored = join(temporaryDirectory(), "restored");
    await must("backup", "restore", round % 2 === 0 ? "a" : "c", "--from", place, "--data", restored);
    assert.deepEqual(await shownBy(restored), erased);
  }
});

/** Kills a process when the files of a directory have changed so many times, as far as can be seen. */
async function killAfterChanges(child: ChildProcess, directory: string, changes: number): Promise<void> {
  const ended = once(child, "exit");
  const look = () => readdirSync(directory).sort().join("\n");
  let [seen, count] = [look(), 0];
  while (child.exitCode === null && count < changes) {
    const now = look();
    if (now !== seen) count++;
    seen = now;
    await new Promise(setImmediate);
  }
  child.kill("SIGKILL");
  await ended;
}

test("keys that are read beside whoever writes them are whole, and have every key that was durable before", async () => {
  const directory = temporaryDirectory();
  assert.equal(await keysOf(directory), undefined);
  const store = await openKeyFiles({ disk: openDirectory(join(directory, "keys")), random });
  const asked = { principal: { kind: "operator", id: "olga" }, atMs: 1 };
  let [durable, gone, writing] = [0, 0, true];
  const write = (async () => {
    for (let number = 0; number < 3_000; number++) {
      store.current(`person/${number}`);
      if (number % 3 > 0) continue;
      await store.sync();
      durable = number + 1;
      if (number % 30 !== 0) continue;
      await store.erase(`person/${number / 2}`, asked);
      gone++;
    }
    await store.sync();
    writing = false;
  })();
  let reads = 0;
  while (writing || reads === 0) {
    const [atLeast, goneBefore] = [durable, gone];
    const { slots } = unpackKeys((await keysOf(directory)) as Uint8Array);
    assert.ok(slots.length >= atLeast * 64, `${slots.length / 64} of ${atLeast}`);
    const tombstones = Array.from({ length: slots.length / 64 }, (_, index) => slots[index * 64 + 2]);
    assert.ok(tombstones.filter((state) => state === 2).length >= goneBefore);
    reads++;
  }
  await write;
  const last = (await keysOf(directory)) as Uint8Array;
  const slotsOf = (bytes: Uint8Array) => unpackKeys(bytes).slots;
  assert.deepEqual(slotsOf(last), slotsOf(await store.export()));
  assert.notEqual(exportWithout(last, "person/1"), last);
  await store.close();
  assert.ok(existsSync(join(directory, "keys", "keys")));
});
