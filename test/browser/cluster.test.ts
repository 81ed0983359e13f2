/** The game's page on a cluster of three processes: it is played at each door, and goes on when the node behind its door is killed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { postgresSkipReason } from "../../src/adapters/postgres/server.harness.ts";
import { Demonstration, isWhole } from "../cluster/demonstration.ts";
import { openBrowser, skip } from "./browser.ts";
import { Player } from "./player.ts";

const DESKTOP = { width: 1280, height: 800 };
const turnMs = 120_000;

test("people play at the doors of different nodes, and one plays on when the node of that door is killed", {
  skip: postgresSkipReason() ?? skip,
}, async () => {
  await using demonstration = new Demonstration("--bots", "2");
  const { nodes } = await demonstration.until("all shards have an owner and a standby", isWhole);
  const browser = await openBrowser();
  try {
    for (const [at, node] of nodes.entries()) {
      const player = await Player.open(browser, ["Gul", "Hari", "Indu"][at] as string, DESKTOP);
      await player.enter(node.url);
      await player.sit(["boot-10", "boot-50", "muflis-50"][at] as string);
      const { hand, moves } = await player.until("its turn", (look) => look.moves.includes("act-pack"), turnMs);
      const move = moves.includes("act-bet") ? "act-bet" : "act-pack";
      // The first one's node goes just before the move.
      if (at === 0) process.kill(node.pid as number, "SIGKILL");
      await player.press(move);
      await player.until("the turn pass", (look) => look.hand > hand || !look.moves.includes(move), turnMs);
      if (at > 0) continue;
      assert.equal(await player.page.getByTestId("toast").count(), 0, "nothing failed");
      await player.until(
        "its turn again, or another hand",
        (look) => look.hand > hand || look.moves.length > 0,
        turnMs,
      );
    }
  } finally {
    await browser.close();
  }
  const { code, ended } = await demonstration.end();
  assert.deepEqual([code, ended.chips?.problems], [0, []]);
});
