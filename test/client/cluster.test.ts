/** A client of a real cluster: nodes are killed together with their doors, and nobody notices but for the pause. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { connect } from "../../src/client/index.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import type { Gateway } from "../../src/gateway/options.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { type box, TestCluster } from "../../src/runtime/cluster/cluster.harness.ts";
import { wholeService } from "../../src/runtime/cluster/whole-service.ts";
import { DoorWire } from "./doors.harness.ts";

type Entities = { box: typeof box };

const authenticate = developmentAuthentication({ warn: () => {} });

class ClusterWithDoors implements AsyncDisposable {
  readonly cluster = new TestCluster();
  readonly wires = new Map<string, DoorWire>();
  readonly #gateways: Gateway[] = [];

  async start(name: string): Promise<void> {
    const node = await this.cluster.start(name);
    const gateway = await startGateway({
      service: wholeService(node),
      clock: systemClock,
      random: systemRandom,
      authenticate,
      port: 0,
      doors: () => [...this.wires.values()].map(({ url }) => url),
    });
    this.#gateways.push(gateway);
    this.wires.set(name, await new DoorWire(() => gateway.port).listen());
  }

  /** The node with its door, as `kill -9` does. */
  async kill(name: string): Promise<void> {
    const wire = this.wires.get(name);
    this.wires.delete(name);
    this.cluster.kill(name);
    await wire?.kill();
  }

  /** The name of the node whose door this is. */
  nodeOf(door: string | undefined): string | undefined {
    for (const [name, { url }] of this.wires) if (door?.startsWith(url.replace("http", "ws"))) return name;
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of this.wires.values()) await wire.kill();
    for (const gateway of this.#gateways) await gateway.close();
    await this.cluster[Symbol.asyncDispose]();
  }
}

test("a counter is exact and its watch goes on while the client's own node is killed, twice, and new ones join", async () => {
  await using service = new ClusterWithDoors();
  for (const name of ["n1", "n2", "n3"]) await service.start(name);
  const { cluster } = service;
  await cluster.until("all shards have an owner and a standby", () =>
    [...cluster.owners(), ...cluster.standbys()].every((name) => name !== undefined && name !== ""),
  );
  const [first] = [...service.wires.values()] as [DoorWire];
  await using client = connect<Entities>({ url: first.url, token: "dev:ann" });
  const keys = ["a", "b", "c", "d"];
  const callers = 8;
  const rounds = 250;
  const versions: number[] = [];
  const shown = new Map<string, number>();
  let wake = (): void => {};
  for (const key of keys)
    client.entity("box", key).watch("count", ({ value, version }) => {
      shown.set(key, value);
      if (key === "a") versions.push(version);
      wake();
    });
  let answered = 0;
  const counts = new Map<string, number[]>(keys.map((key) => [key, []]));
  let disturbances: Promise<void> = Promise.resolve();
  const disturb = async (times: number): Promise<void> => {
    await client.opened();
    await service.kill(service.nodeOf(client.door) as string);
    await service.start(`m${times}`);
    await cluster.until("standbys again", () => cluster.standbys().every((name) => name !== ""));
  };
  const all = Array.from({ length: callers }, async (_, caller) => {
    const key = keys[caller % keys.length] as string;
    for (let round = 0; round < rounds; round++) {
      const { value } = await client.entity("box", key).execute("count");
      counts.get(key)?.push(value);
      if (++answered % 700 === 0) disturbances = disturbances.then(() => disturb(answered / 700));
    }
  });
  await Promise.all(all);
  await disturbances;
  const each = (callers / keys.length) * rounds;
  for (const key of keys) {
    const seen = counts.get(key) ?? [];
    assert.deepEqual(
      [...seen].sort((one, other) => one - other),
      Array.from({ length: each }, (_, at) => at + 1),
      "every command was carried out once and answered with what it made",
    );
  }
  while (keys.some((key) => shown.get(key) !== each)) await new Promise<void>((resolve) => (wake = resolve));
  assert.deepEqual(
    versions,
    [...new Set(versions)].sort((one, other) => one - other),
    "no version twice or backwards",
  );
});
