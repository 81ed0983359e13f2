/**
 * Erasure end to end: a real process, real files, the command line. A name goes by every path there is; no file ever holds
 * it, and after the erasure nothing shows it, whatever the service recovers from.
 */
import assert from "node:assert/strict";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { holdfast, temporaryDirectory } from "../cli/harness.ts";
import { canary, filesWith, paths, people, Server, writeEverywhere } from "./harness.ts";

/** The states as they are kept, sealed values and all. */
async function rawStates(server: Server): Promise<string> {
  const states: unknown[] = [];
  for (const path of [`${people}/ann/queries/raw`, `${people}/bob/queries/raw`, "/v1/entities/room/hall/queries/raw"])
    states.push((await server.ask(path)).value);
  return JSON.stringify(states);
}

async function assertErased(server: Server, states: string): Promise<void> {
  assert.equal((await server.ask(paths.name)).value, null);
  assert.deepEqual((await server.ask(paths.card)).value, { name: null, answers: [null, null] });
  const names = (await server.ask(paths.names)).value as (string | null)[];
  assert.deepEqual(new Set(names), new Set(["Bob", null]), "others keep theirs");
  assert.equal(await rawStates(server), states, "the same states, to the byte");
}

const fill = (server: Server, count: number) =>
  Promise.all(Array.from({ length: count }, () => server.ask(`${people}/ann/commands/fill`, {})));

async function shardsOf(directory: string): Promise<{ logBegins: number }[]> {
  const { code, out, err } = await holdfast("shards", "--data", directory, "--json");
  // the node that runs on it trimmed it meanwhile
  if (err.includes("error unavailable") && err.includes("Ask again")) return await shardsOf(directory);
  assert.equal(code, 0, err);
  return (JSON.parse(out) as { shards: { logBegins: number }[] }).shards;
}

test("no file ever holds a name, and an erased one is gone after kill -9: by state store, snapshots and whole replay", async () => {
  const directory = temporaryDirectory();
  let server = await Server.start(directory);
  await writeEverywhere(server);
  // a clean stop writes images and snapshots of everything
  await server.end("SIGTERM");
  assert.deepEqual(filesWith(directory, canary), [], "before the erasure");
  for (const part of ["state", "snapshots"])
    assert.ok(filesWith(join(directory, part), "person/ann.1.").length > 0, `what is sealed is found in ${part}`);
  server = await Server.start(directory);
  assert.equal((await server.ask(paths.name)).value, canary, "not lost by a restart");
  const states = await rawStates(server);
  const inspected = await server.ask("/v1/operator/quarantine/person/bob/inspect", {}, "operator");
  assert.match(inspected.text, /"command":"break","input":\{"name":\{"\$sealed":"person\/bob\.1\./);

  const wrong = await holdfast("erase", "person/ann", "--yes", "--url", server.url, "--token", "user");
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /forbidden/);
  const erased = await holdfast("erase", "person/ann", "--yes", "--url", server.url, "--token", "operator");
  assert.equal(erased.code, 0, erased.err);
  assert.match(erased.out, /person\/ann is erased: its key is destroyed, and the log says so/);
  await assertErased(server, states);
  await server.end("SIGKILL");
  for (const keep of [["state", "snapshots"], ["snapshots"], []]) {
    for (const kept of ["state", "snapshots"])
      if (!keep.includes(kept)) rmSync(join(directory, kept), { recursive: true, force: true });
    const again = await Server.start(directory);
    await assertErased(again, states);
    assert.deepEqual(
      again.output.filter((line) => line.includes(canary)),
      [],
    );
    await again.end("SIGKILL");
  }
  const { out } = await holdfast("events", "person/ann", "--data", directory);
  assert.match(out, /personal data erased  \(operator "?tester"?\)/);
  assert.deepEqual(filesWith(directory, canary), []);
});

test("a trimmed log recovers from snapshots after an erasure; a stopped service is erased in its directory", async () => {
  const directory = temporaryDirectory();
  let server = await Server.start(directory);
  await writeEverywhere(server);
  for (let round = 0; round < 400; round++) {
    await fill(server, 100);
    if (round % 10 === 9 && (await shardsOf(directory)).some(({ logBegins }) => logBegins > 1)) break;
  }
  const states = await rawStates(server);
  const busy = await holdfast("erase", "person/ann", "--yes", "--data", directory);
  assert.equal(busy.code, 1);
  assert.match(busy.err, /directory-in-use/);
  await server.end("SIGTERM");
  assert.ok(
    (await shardsOf(directory)).some(({ logBegins }) => logBegins > 1),
    "the log was trimmed",
  );
  assert.deepEqual(filesWith(directory, canary), []);

  assert.equal((await holdfast("erase", "person/ann", "--data", directory)).code, 2, "it asks first");
  const erased = await holdfast("erase", "person/ann", "--yes", "--data", directory);
  assert.equal(erased.code, 0, erased.err);
  assert.match(erased.out, /The log will say so when the service has started/);
  assert.match(
    (await holdfast("erase", "person/ann", "--yes", "--data", directory)).out,
    /nothing of person\/ann to erase/,
  );
  // The archive gives all of it, which is more than a test takes in. Looked up before the starts: they trim further.
  const from = String((await shardsOf(directory))[0]?.logBegins);
  for (const gone of ["none", "state"]) {
    rmSync(join(directory, gone), { recursive: true, force: true });
    server = await Server.start(directory);
    await assertErased(server, states);
    await server.end("SIGKILL");
  }
  const { out } = await holdfast("events", "person/ann", "--data", directory, "--from", from);
  assert.match(out, /personal data erased  \(operator/, "the start after it told the log");
});

test("a service does not start without the keys that its log needs, and says what to do", async () => {
  const directory = temporaryDirectory();
  const server = await Server.start(directory);
  await writeEverywhere(server);
  await server.end("SIGKILL");
  renameSync(join(directory, "keys"), join(directory, "keys-aside"));
  await assert.rejects(Server.start(directory), /keys-damaged|There is no key store at .*holds sealed values/);
  renameSync(join(directory, "keys-aside"), join(directory, "keys"));
  const back = await Server.start(directory);
  assert.equal((await back.ask(paths.name)).value, canary);
  await back.end("SIGKILL");
});
