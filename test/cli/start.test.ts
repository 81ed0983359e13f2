/** `holdfast start`: a service alone, and as nodes of a cluster over PostgreSQL, as processes that are told to end. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { type PostgresServer, postgresSkipReason, startPostgres } from "../../src/adapters/postgres/server.harness.ts";
import type { ClusterView } from "../../src/model/cluster-view.ts";
import { holdfast, root, temporaryDirectory } from "./harness.ts";

const module = "test/cli/services/counting.ts";
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

interface Started {
  readonly url: string;
  /** SIGTERM. @returns its exit code */
  stop(): Promise<number | null>;
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Started> {
  const program = ["--conditions=source", join(root, "src/cli/bin.ts"), "start", "--json", ...args];
  const child = spawn(process.execPath, program, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let said = "";
  child.stderr.on("data", (bytes) => {
    said += String(bytes);
  });
  const gone = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
  return new Promise((resolve, reject) => {
    void gone.then((code) => reject(new Error(`it ended with ${code}: ${said}`)));
    createInterface({ input: child.stdout }).once("line", (line) => {
      const { url } = JSON.parse(line) as { url: string };
      const stop = () => {
        child.kill("SIGTERM");
        return gone.finally(() => running.delete(child));
      };
      resolve({ url, stop });
    });
  });
}

async function count({ url }: Started, key: string): Promise<unknown> {
  const headers = { Authorization: "Bearer ann", "Content-Type": "application/json" };
  const response = await fetch(`${url}/v1/entities/counting/${key}/commands/count`, {
    method: "POST",
    headers,
    body: "null",
  });
  assert.equal(response.status, 200, await response.clone().text());
  return ((await response.json()) as { value: unknown }).value;
}

test("a service starts alone from its module, ends in order at SIGTERM, and goes on where it was", async () => {
  const data = temporaryDirectory();
  const first = await start(["--module", module, "--data", data, "--port", "0"]);
  assert.equal(await count(first, "a"), 1);
  assert.equal(await first.stop(), 0);
  const again = await start([], { HOLDFAST_MODULE: module, HOLDFAST_DATA: data, HOLDFAST_PORT: "0" });
  assert.equal(await count(again, "a"), 2);
  assert.equal(await again.stop(), 0);
});

test("what is missing is said before anything is opened", async () => {
  const cluster = ["start", "--module", module, "--engine", "postgres"];
  const cases: readonly [RegExp, readonly string[]][] = [
    [/give --module/, ["start"]],
    [/there is no file/, ["start", "--module", "nowhere.ts"]],
    [/--port is a number/, ["start", "--module", module, "--port", "many"]],
    [/no `authenticate`/, ["start", "--module", "test/cli/services/wallet.ts"]],
    [/Allowed choices/, ["start", "--module", module, "--engine", "oracle"]],
    [/needs the database/, [...cluster, "--database-url", ""]],
    [/needs --shared/, [...cluster, "--database-url", "postgres://127.0.0.1:1/x"]],
    [/know each other by a secret/, [...cluster, "--database-url", "postgres://127.0.0.1:1/x", "--shared", "x"]],
  ];
  for (const [text, args] of cases) {
    const { code, err } = await holdfast(...args);
    assert.deepEqual([code, text.test(err)], [2, true], `${args.join(" ")}: ${err}`);
  }
});

describe("on PostgreSQL", { skip: postgresSkipReason() ?? false }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server?.stop());

  test("two nodes share the shards; one that is told to end gives its own away first", async () => {
    const connection = await server.database();
    const migrated = await holdfast("migrate", "--database-url", connection, "--shards", "6");
    assert.equal(migrated.code, 0, migrated.err);
    const place = temporaryDirectory();
    const secret = join(place, "secret");
    writeFileSync(secret, "only-for-this-test-0123456789abcdef\n");
    const startNode = (name: string) =>
      start(["--module", module, "--engine", "postgres", "--data", join(place, name), "--port", "0", "--name", name], {
        DATABASE_URL: connection,
        HOLDFAST_SHARED: join(place, "shared"),
        HOLDFAST_SECRET_FILE: secret,
      });
    const [one, two] = [await startNode("one"), await startNode("two")];
    const view = async ({ url }: Started) => {
      const { code, out, err } = await holdfast("shards", "--json", "--url", url, "--token", "olga");
      assert.equal(code, 0, err);
      return (JSON.parse(out) as ClusterView).shards;
    };
    const until = async (holds: (shards: ClusterView["shards"]) => boolean) => {
      for (const untilMs = Date.now() + 30_000; ; ) {
        const shards = await view(one);
        if (holds(shards)) return;
        assert.ok(Date.now() < untilMs, JSON.stringify(shards));
      }
    };
    await until((shards) => {
      const owned = shards.filter(({ owner, standbys }) => owner === "two" && standbys[0]?.ready === true);
      return shards.length === 6 && owned.length === 3;
    });
    for (const key of ["a", "b", "c", "d"]) assert.deepEqual([await count(one, key), await count(two, key)], [1, 2]);
    assert.equal(await two.stop(), 0);
    assert.ok((await view(one)).every(({ owner }) => owner === "one"));
    for (const key of ["a", "b", "c", "d"]) assert.equal(await count(one, key), 3);
    assert.equal(await one.stop(), 0);
  });
});
