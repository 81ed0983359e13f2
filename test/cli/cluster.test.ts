/** The verbs for a cluster, as child processes, at the doors and admin ports of real nodes. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { type AdminPort, startAdmin } from "../../src/admin/server.ts";
import type { Gateway } from "../../src/gateway/options.ts";
import { startGateway } from "../../src/gateway/server.ts";
import type { ClusterView } from "../../src/model/cluster-view.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import type { Principal } from "../../src/model/records.ts";
import { TestCluster } from "../../src/runtime/cluster/cluster.harness.ts";
import { wholeService } from "../../src/runtime/cluster/whole-service.ts";
import { send } from "../hostile/request.ts";
import { holdfast, type Ran } from "./harness.ts";

const principals: Readonly<Record<string, Principal>> = {
  olga: { kind: "operator", id: "olga" },
  ann: { kind: "user", id: "ann" },
};
const adminToken = "only-for-this-test";
const cluster = new TestCluster(6);
const doors = new Map<string, Gateway>();
const admins: AdminPort[] = [];

async function start(name: string): Promise<void> {
  const service = wholeService(await cluster.start(name));
  const authenticate = async (token: string | undefined) => {
    const principal = principals[token ?? ""];
    if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
    return { principal };
  };
  doors.set(name, await startGateway({ service, clock: systemClock, random: systemRandom, authenticate, port: 0 }));
  admins.push(await startAdmin(service, name === "n1" ? { port: 0, token: adminToken } : { port: 0 }));
}

const urlOf = (name: string) => (doors.get(name) as Gateway).url;

/** As olga, at the door of a node. */
function ask(name: string, ...args: readonly string[]): Promise<Ran> {
  return holdfast(...args, "--url", urlOf(name), "--token", "olga");
}

async function must(name: string, ...args: readonly string[]): Promise<string> {
  const { code, out, err } = await ask(name, ...args);
  assert.equal(code, 0, `${args.join(" ")}: ${err}`);
  return out;
}

async function shardsAt(name: string): Promise<ClusterView["shards"]> {
  return (JSON.parse(await must(name, "shards", "--json")) as ClusterView).shards;
}

const owned = (name: string) => cluster.owners().filter((owner) => owner === name).length;

before(async () => {
  for (const name of ["n1", "n2", "n3"]) await start(name);
  await cluster.until(
    "shared and followed",
    () => ["n1", "n2", "n3"].every((name) => owned(name) === 2) && cluster.standbys().every((name) => name !== ""),
  );
});

after(async () => {
  for (const port of [...doors.values(), ...admins]) await port.close();
  await cluster[Symbol.asyncDispose]();
});

test("nodes and shards of the whole cluster are listed by any node", async () => {
  for (const name of ["n1", "n3"]) {
    const nodes = await must(name, "nodes");
    assert.match(nodes, /^node +owns +follows +lease +generation/);
    for (const each of ["n1", "n2", "n3"]) assert.match(nodes, new RegExp(`^${each} +2 +2 +[\\d,]+ ms`, "m"));
    assert.match(nodes, new RegExp(`^${name} .*answers here`, "m"));
    assert.match(nodes, /coordinates/);
    assert.doesNotMatch(nodes, /not connected|lapsed/);
  }
  const shards = await must("n2", "shards");
  assert.match(shards, /^shard {2}owner +epoch +tail +standbys/);
  assert.equal(shards.trim().split("\n").length, 7);
  for (const [shard, owner] of cluster.owners().entries())
    assert.match(shards, new RegExp(`^ *${shard} +${owner} +\\d+ +\\d+ +n\\d \\(`, "m"));
});

test("an operator moves, pins and drains at any node, and takes it back", async () => {
  const from = cluster.owners().indexOf("n1");
  assert.match(await must("n2", "move", String(from), "--to", "n3"), /^Shard \d will move to n3/);
  await cluster.until("moved", () => cluster.owners()[from] === "n3");
  assert.match(await must("n3", "pin", "0,1", "--to", "n2"), /^2 shards will stay on n2/);
  await cluster.until("pinned", () => cluster.owners()[0] === "n2" && cluster.owners()[1] === "n2");
  assert.deepEqual(
    (await shardsAt("n1")).map(({ pin }) => pin),
    ["n2", "n2", undefined, undefined, undefined, undefined],
  );
  assert.match(await must("n1", "shards"), /pinned to n2/);
  await must("n1", "pin", "0-1", "--off");
  assert.ok((await shardsAt("n1")).every(({ pin }) => pin === undefined));
  assert.match(await must("n1", "drain", "n2"), /^n2 gives its shards away/);
  await cluster.until("drained", () => owned("n2") === 0);
  assert.match(await must("n2", "nodes"), /^n2 +0 .*draining/m);
  assert.deepEqual(JSON.parse(await must("n1", "drain", "n2", "--off", "--json")), { done: true });
  await cluster.until("has shards again", () => owned("n2") > 0);
});

test("what cannot be is refused with its code, and nothing happens", async () => {
  const cases: readonly [RegExp, ...string[]][] = [
    [/^error invalid-input/, "move", "0", "--to", "n9"],
    [/^error invalid-input/, "move", "99", "--to", "n1"],
    [/^error invalid-input/, "drain", "n9"],
  ];
  for (const [text, ...args] of cases) {
    const { code, err } = await ask("n1", ...args);
    assert.deepEqual([code, text.test(err)], [1, true], `${args.join(" ")}: ${err}`);
  }
  for (const args of [
    ["move", "x", "--to", "n1"],
    ["move", "5-2", "--to", "n1"],
    ["move", "0"],
    ["pin", "0"],
    ["pin", "0", "--to", "n1", "--off"],
    ["shards", "--data", "elsewhere"],
  ])
    assert.equal((await ask("n1", ...args)).code, 2, args.join(" "));
  const stranger = await holdfast("nodes", "--url", urlOf("n1"), "--token", "ann");
  assert.deepEqual([stranger.code, /^error forbidden/.test(stranger.err)], [1, true]);
  const nobody = await holdfast("nodes", "--url", "http://127.0.0.1:9");
  assert.deepEqual([nobody.code, /^error disconnected/.test(nobody.err)], [1, true]);
});

test("an admin port shows the cluster; it takes verbs only where it has a token", async () => {
  const [guarded, open] = admins as [AdminPort, AdminPort];
  const nodes = await holdfast("nodes", "--url", open.url);
  assert.match(nodes.out, /^n2 .*answers here/m);
  const refused = await holdfast("drain", "n3", "--url", open.url);
  assert.deepEqual([refused.code, /^error forbidden: .*\n.*without a token only shows/.test(refused.err)], [1, true]);
  assert.equal((await holdfast("nodes", "--url", guarded.url)).code, 1);
  const moved = await holdfast("drain", "n3", "--off", "--url", guarded.url, "--token", adminToken);
  assert.equal(moved.code, 0, moved.err);
  const post = { method: "POST", headers: { "Content-Type": "application/json" } };
  assert.equal((await send(open.port, { ...post, path: "/metrics", body: "{}" })).status, 405);
});

test("the status of a node tells its part in the cluster", async () => {
  const { out } = await holdfast("status", "--url", (admins[1] as AdminPort).url);
  assert.match(out, /^cluster {5}n2 owns \d, follows \d, 2 peers/m);
});

test("monitoring sees shards, peers, moves, claims and forwarded calls", async () => {
  const { text } = await send((admins[1] as AdminPort).port, { path: "/metrics" });
  assert.match(text, /^holdfast_cluster_shards\{role="owner"\} \d/m);
  assert.match(text, /^holdfast_cluster_shards\{role="standby"\} \d/m);
  assert.match(text, /^holdfast_cluster_peers 2$/m);
  assert.match(text, /^holdfast_cluster_standby_lag_records 0$/m);
  assert.match(text, /^holdfast_cluster_claims_total [1-9]/m);
  assert.match(text, /^holdfast_cluster_moves_total\{direction="given"\} [1-9]/m);
  assert.match(text, /^holdfast_cluster_moves_total\{direction="taken"\} [1-9]/m);
  assert.match(text, /^holdfast_cluster_forwarded_calls_total \d/m);
  assert.match(text, /^holdfast_cluster_failovers_total \d/m);
});

test("a body with anything else in it is refused", async () => {
  const post = (verb: string, body: unknown) =>
    send((doors.get("n1") as Gateway).port, {
      method: "POST",
      path: `/v1/operator/cluster/${verb}`,
      headers: { "Content-Type": "application/json", Authorization: "Bearer olga" },
      body: JSON.stringify(body),
    });
  for (const [verb, body] of [
    ["move", {}],
    ["move", { shards: [], to: "n1" }],
    ["move", { shards: [0.5], to: "n1" }],
    ["move", { shards: [0], to: "n1", force: true }],
    ["move", { shards: [0], to: null }],
    ["drain", { node: "n1", on: "yes" }],
    ["pin", [1]],
  ] as const)
    assert.equal((await post(verb, body)).status, 400, JSON.stringify(body));
  assert.equal((await post("evict", { node: "n1" })).status, 404);
});

test("the document of the API has the cluster's routes, and is one", async () => {
  const { text } = await send((doors.get("n2") as Gateway).port, { path: "/openapi.json" });
  const document = JSON.parse(text) as { paths: object };
  for (const verb of ["", "/move", "/pin", "/drain"]) assert.ok(`/v1/operator/cluster${verb}` in document.paths, verb);
  const { valid, errors } = await new Validator().validate(document);
  assert.ok(valid, JSON.stringify(errors));
});
