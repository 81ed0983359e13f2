/** The operator's verbs as a child process, over the door of a node that runs. */
import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import type { CallResult, Principal } from "../../src/model/records.ts";
import { type EmbeddedService, embedded } from "../../src/presets/embedded.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { holdfast, temporaryDirectory } from "./harness.ts";
import { wallet } from "./services/wallet.ts";

const broken = "test/cli/services/wallet.ts";
const mended = "test/cli/services/wallet-mended.ts";
const data = temporaryDirectory();
const principals: Readonly<Record<string, Principal>> = {
  "olga-token": { kind: "operator", id: "olga" },
  "ann-token": { kind: "user", id: "ann" },
};
let service: EmbeddedService;

before(async () => {
  service = await embedded({
    entities: [wallet],
    directory: data,
    shardCount: 2,
    port: 0,
    progress: false,
    onFault: () => {},
    authenticate: async (token) => {
      const principal = principals[token ?? ""];
      if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
      return { principal };
    },
  });
});

after(() => service.stop());

function execute(key: string, command: string, amount: number): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const call = { entity: { type: "wallet", key }, command, input: { amount }, requestId };
  const principal = { kind: "user", id: "ann" } as const;
  return new Promise((resolve) => service.node.execute({ ...call, principal }, resolve));
}

const operator = (...args: readonly string[]) => holdfast(...args, "--url", service.url, "--token", "olga-token");

async function must(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await operator(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${err}`);
  return out;
}

async function park(key: string): Promise<void> {
  await execute(key, "credit", 5);
  const result = await execute(key, "credit", 13);
  assert.equal(result.ok === false && result.code, "decide-failed");
  // its last good state is made again from the log
  while ((await must("quarantine", "list")).includes(`wallet/${key}  evolve`) === false)
    await new Promise(setImmediate);
}

test("an operator finds what is parked, takes it home, sees it break and, mended, work; then skips it and resumes", async () => {
  await park("a");
  assert.match(await must("quarantine", "list"), /^wallet\/a {2}evolve {2}since 20.*, parked at \d+, version \d+/m);
  const file = join(temporaryDirectory(), "capture.json");
  const shown = await must("quarantine", "show", "wallet/a", "--out", file);
  assert.match(
    shown,
    /thirteen is not an amount[\s\S]*command credit \{"amount":13\} {2}\(request, 20.*\nasked by user "ann"\n/,
  );
  assert.match(shown, /"balance": 5/);
  assert.equal(statSync(file).mode & 0o077, 0, "for its owner alone");
  const there = await holdfast("replay", file, "--service", broken);
  assert.equal(there.code, 1);
  assert.match(there.out, /credit \{"amount":13\}\nthen: .*thirteen[\s\S]*threw: .*thirteen is not an amount/);
  const here = await holdfast("replay", file, "--service", mended, "--json");
  assert.equal(here.code, 0, here.err);
  const { kind, reply, after: state } = JSON.parse(here.out) as { kind: string; reply: CallResult; after: unknown };
  assert.deepEqual([kind, reply.ok, state], ["command", true, { balance: 18, charges: [] }]);
  assert.match(await must("quarantine", "skip", "wallet/a", "--yes"), /^skip: done; wallet\/a is parked still/);
  assert.match(await must("quarantine", "resume", "wallet/a"), /^resume: done; wallet\/a is in service/);
  assert.ok((await execute("a", "credit", 1)).ok);
  const { out } = await holdfast("events", "wallet/a", "--data", data);
  for (const verb of ["inspect", "skip", "resume"])
    assert.match(out, new RegExp(`quarantine: ${verb} {2}\\(operator "olga"\\)`));
});

test("an operator repairs a state, from the command line or a file, guarded against a colleague who was faster", async () => {
  await park("b");
  const [entry] = JSON.parse(await must("quarantine", "list", "--json")) as { parkedAt: number }[];
  const state = JSON.stringify({ balance: 100, charges: [] });
  const late = await operator("quarantine", "repair", "wallet/b", "--state", state, "--if-parked-at", "1", "--yes");
  assert.deepEqual([late.code, /^error version-mismatch: /.test(late.err)], [1, true]);
  const unasked = await operator("quarantine", "repair", "wallet/b", "--state", state);
  assert.deepEqual([unasked.code, /add --yes/.test(unasked.err)], [2, true]);
  const guard = ["--if-parked-at", String(entry?.parkedAt)];
  await must("quarantine", "repair", "wallet/b", "--state", state, ...guard, "--yes");
  await must("quarantine", "resume", "wallet/b", "--json");
  const result = await execute("b", "credit", 1);
  assert.deepEqual(result.ok && result.value, { balance: 101 });
});

test("an operator lists parked calls, retries one and drops it, and the log says who", async () => {
  await execute("c", "charge", 7);
  let listed = "";
  while (!listed.includes("wallet/c")) listed = await must("calls", "list", "--parked");
  const [, call = ""] =
    /^wallet\/c (\d+\.0) {2}charge \{"amount":7\} {2}parked since .*failed 1\n {4}key \S+, last error: .*bank/m.exec(
      listed,
    ) ?? [];
  assert.notEqual(call, "", listed);
  assert.match(await must("calls", "retry", "wallet/c", call), /is tried again/);
  type Listed = { calls: { failed: number; phase: string }[] };
  const parkedAgain = async () => (JSON.parse(await must("calls", "list", "--json")) as Listed).calls[0];
  for (let found = await parkedAgain(); found?.failed !== 2 || found.phase !== "parked"; ) found = await parkedAgain();
  assert.equal((await operator("calls", "drop", "wallet/c", call)).code, 2);
  assert.match(await must("calls", "drop", "wallet/c", call, "--yes"), /is given up/);
  assert.equal(await must("calls", "list"), "No such calls.\n");
  const { out } = await holdfast("events", "wallet/c", "--data", data);
  assert.match(out, new RegExp(`call ${call} tried again by "olga"`));
  assert.match(out, new RegExp(`call ${call} dropped by "olga"[\\s\\S]*charged v1 {"how":"dropped"}`));
});

test("who is no operator, a door that is not there, and wrong usage are told apart", async () => {
  const ann = await holdfast("quarantine", "list", "--url", service.url, "--token", "ann-token");
  assert.deepEqual([ann.code, /^error forbidden: /.test(ann.err)], [1, true]);
  const nobody = await holdfast("calls", "list", "--url", service.url);
  assert.deepEqual([nobody.code, /^error unauthenticated: /.test(nobody.err)], [1, true]);
  const other = createServer((_request, response) => void response.end("hello")).listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const stranger = await holdfast("calls", "list", "--url", `http://127.0.0.1:${port}`);
  other.close();
  assert.match(stranger.err, /^error unavailable: .*\nWhat answers at .* is not a Holdfast node/);
  const closed = await holdfast("calls", "list", "--url", `http://127.0.0.1:${port}`);
  assert.match(closed.err, /^error disconnected: .*\nhttp:.* does not answer /);
  const gone = await operator("quarantine", "show", "wallet/none");
  assert.match(gone.err, /^error rejected: .*\nThe entity is not parked/);
  const cases: [string[], RegExp][] = [
    [["quarantine", "show", "wallet"], /write type\/key/],
    [["quarantine", "repair", "wallet/a", "--state", "{", "--yes"], /--state is not JSON/],
    [["quarantine", "repair", "wallet/a", "--state", "@nowhere.json", "--yes"], /--state: ENOENT/],
    [["quarantine", "skip", "wallet/a", "--if-parked-at", "x", "--yes"], /--if-parked-at is an offset/],
    [["calls", "retry", "wallet/a", "17"], /"17" is not a call/],
    [["calls", "list", "--url", "nowhere"], /--url is an address/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await holdfast(...args);
    assert.equal(code, 2, `${args.join(" ")}: ${err}`);
    assert.match(err, message);
  }
});

test("a file that is no capture is refused with what it lacks", async () => {
  const file = join(temporaryDirectory(), "capture.json");
  await park("d");
  await must("quarantine", "show", "wallet/d", "--out", file);
  const again = await operator("quarantine", "show", "wallet/d", "--out", file);
  assert.match(again.err, /^error invalid-configuration: .*\n.*could not be written: EEXIST/);
  const capture = JSON.parse(readFileSync(file, "utf8")) as object;
  for (const [changed, message] of [
    [{ ...capture, state: null }, /has no state/],
    [{ ...capture, captured: null }, /has no command/],
    [{}, /is not what/],
  ] as const) {
    writeFileSync(file, JSON.stringify(changed));
    const { code, err } = await holdfast("replay", file, "--service", broken);
    assert.equal(code, 1);
    assert.match(err, message);
  }
});
