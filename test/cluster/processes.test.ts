/** `npm run cluster` as its users run it: three node processes over PostgreSQL, of which one is killed while bots play. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openDoor } from "../../examples/teen-patti/src/bots/door.ts";
import { postgresSkipReason } from "../../src/adapters/postgres/server.harness.ts";
import { Demonstration, isWhole, nodeOf } from "./demonstration.ts";

test("a node that is killed while bots play is replaced by the others, comes back, and not a chip is lost or made", {
  skip: postgresSkipReason() ?? false,
}, async () => {
  await using demonstration = new Demonstration("--speed", "max");
  const first = await demonstration.until(
    "all shards have an owner and a standby, and bots play",
    (look) => isWhole(look) && look.commandsPerSecond > 0,
  );
  for (const { url } of first.nodes) {
    const page = await fetch(url);
    assert.deepEqual([page.status, page.headers.get("content-type")?.startsWith("text/html")], [200, true], url);
  }
  // A person who is at one door sits at a table whose owner may be any node, and sees their name there from another door.
  const [one, two, three] = first.nodes.map(({ url }) => url) as [string, string, string];
  const ann = openDoor(one, "ann", { url: [one, three] });
  await ann.execute("player", "ann", "join", { name: "Ann" });
  await ann.execute("player", "ann", "sit", { table: "boot-10", buyIn: 500 });
  const onlooker = openDoor(two, "onlooker", { url: [one, two, three] });
  const seen = new Promise<void>((resolve) => {
    onlooker.watch("table", "boot-10", "seat", (view) => {
      if (JSON.stringify(view).includes('"Ann"')) resolve();
    });
  });
  await seen;
  const victim = nodeOf(first, "n2");
  process.kill(victim.pid as number, "SIGKILL");
  await demonstration.until("the others own all shards", (look) => {
    const { owns, up } = nodeOf(look, "n2");
    return !up && owns.length === 0 && look.shards.owned === look.shards.all && look.failovers >= victim.owns.length;
  });
  await demonstration.until("bots play on", (look) => look.commandsPerSecond > 0);
  const back = await demonstration.until(
    "it is back, and has shards again",
    (look) => isWhole(look) && nodeOf(look, "n2").up,
  );
  assert.notEqual(nodeOf(back, "n2").pid, victim.pid);
  assert.equal(nodeOf(back, "n2").url, victim.url);
  await ann.close();
  await onlooker.close();
  const { code, ended } = await demonstration.end();
  assert.deepEqual(ended.chips?.problems, []);
  assert.ok((ended.chips?.hands ?? 0) > 0 && (ended.chips?.issued ?? 0) > 0, JSON.stringify(ended));
  assert.deepEqual([code, ended.restarts], [0, 1]);
});
