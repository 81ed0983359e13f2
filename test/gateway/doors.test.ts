/** What a gateway tells of the other doors, whose pages it lets in, and how it stops. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { connect } from "../../src/client/index.ts";
import { DoorList } from "../../src/gateway/doors.ts";
import type { GatewayProblem } from "../../src/gateway/options.ts";
import { limitsWith } from "../../src/model/limits.ts";
import { DoorsService } from "../client/doors.harness.ts";
import type { Entities } from "../client/service.ts";

const noProblem = (problem: GatewayProblem): void => assert.fail(problem.where);
const random = { bytes: (count: number) => new Uint8Array(count).fill(7) };

test("at most `doorsToldMax` addresses are told, and none that is no address of a door", () => {
  const many = Array.from({ length: 200 }, (_, at) => `http://10.0.0.${at}:4600`);
  const list = new DoorList(() => ["nonsense", "ftp://a", "http://a b", ...many], limitsWith(), random, noProblem);
  assert.equal(list.told.length, limitsWith().doorsToldMax);
  assert.ok(list.told.every((door) => many.includes(door)));
});

test("the origin of a door stays allowed when the door is gone, up to `doorOriginsMax`", () => {
  let doors = ["http://a:1"];
  const list = new DoorList(() => doors, limitsWith({ doorOriginsMax: 2 }), random, noProblem);
  assert.ok(list.served("http://a:1"));
  assert.ok(!list.served("http://b:2"));
  doors = ["http://b:2"];
  assert.ok(list.served("http://b:2"), "looked at again when somebody unknown asks");
  assert.ok(list.served("http://a:1"));
  assert.ok(!list.look());
  doors = ["http://c:3"];
  assert.ok(list.look());
  assert.ok(list.served("http://b:2") && list.served("http://c:3"));
  assert.ok(!list.served("http://a:1"));
  assert.deepEqual(list.sources, " http://c:3 ws://c:3");
});

test("who cannot say what the doors are is reported, and they are taken for what they were", () => {
  const problems: string[] = [];
  let broken = false;
  const ask = (): string[] => {
    if (broken) throw new RangeError("no picture");
    return ["http://a:1"];
  };
  const list = new DoorList(ask, limitsWith(), random, ({ where, thrown }) => problems.push(`${where}: ${thrown}`));
  broken = true;
  assert.ok(!list.look());
  assert.deepEqual(list.told, ["http://a:1"]);
  assert.deepEqual(problems, ["doors: RangeError"]);
});

test("a page of one door may open a WebSocket and call at another; any other page may not", async () => {
  await using service = await new DoorsService().start(2);
  const [first, second] = service.urls as [string, string];
  const dial = async (origin: string): Promise<string> => {
    const socket = new WebSocket(`${second.replace("http", "ws")}/v1/socket`, "holdfast.v1", { origin });
    await new Promise<void>((resolve) => {
      socket.on("open", () => resolve());
      socket.on("error", () => resolve());
    });
    const state = socket.readyState === WebSocket.OPEN ? "open" : "refused";
    socket.terminate();
    return state;
  };
  assert.equal(await dial(first), "open");
  assert.equal(await dial("http://evil.example"), "refused");
  const answer = await fetch(`${second}/readyz`, { headers: { origin: first } });
  assert.equal(answer.headers.get("access-control-allow-origin"), first);
  const refused = await fetch(`${second}/readyz`, { headers: { origin: "http://evil.example" } });
  assert.equal(refused.status, 403);
});

test("a page's policy lets it connect to all doors and to nothing else", async () => {
  const staticDirectory = await mkdtemp(join(tmpdir(), "holdfast-doors-"));
  try {
    await writeFile(join(staticDirectory, "index.html"), "<p>page</p>");
    await using service = await new DoorsService().start(2, { staticDirectory });
    // Both were open before the second was told of; the list is looked at again at a greeting.
    await using client = connect<Entities>({ url: service.urls[0] as string, token: "dev:ann" });
    await client.opened();
    const policy = (await fetch(service.urls[0] as string)).headers.get("content-security-policy") ?? "";
    const sources = service.urls.map((url) => ` ${url} ${url.replace("http", "ws")}`).join("");
    assert.ok(policy.includes(`connect-src 'self'${sources};`), policy);
  } finally {
    await rm(staticDirectory, { recursive: true });
  }
});

test("who has nothing in flight is let go at once when a door stops, whoever else has", async () => {
  await using service = await new DoorsService().start(2);
  const [url] = service.urls as [string];
  await using busy = connect<Entities>({ url, token: "dev:ann" });
  await using idle = connect<Entities>({ url, token: "dev:bob" });
  await Promise.all([busy.opened(), idle.opened()]);
  service.held = [];
  const slow = busy.entity("ledger", "1").execute("enter", { number: 1 });
  while (service.held.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const door = service.at(busy.door);
  const replaced = service.replace(door);
  while (idle.door === undefined || service.at(idle.door) === door)
    await new Promise((resolve) => setImmediate(resolve));
  assert.equal(service.at(busy.door), door);
  service.release();
  await slow;
  await replaced;
});
