/**
 * The game's page when the door it came from dies, hangs or comes back: the player plays on and is told nothing. The doors are wires to
 * one server: each has an address of its own, which is all that a browser knows of a door.
 *
 * Invariant: the page is never loaded again.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { DoorWire } from "../client/doors.harness.ts";
import { openBrowser, skip } from "./browser.ts";
import { buildPage, GameServer } from "./game-server.ts";
import { Player } from "./player.ts";

const TABLE = "boot-10";
const DESKTOP = { width: 1280, height: 800 };

let browser: Browser;
let server: GameServer;
let wires: DoorWire[] = [];

before(async () => {
  if (skip !== false) return;
  wires = await Promise.all([0, 1, 2].map(() => new DoorWire(() => Number(new URL(server.url).port)).listen()));
  const doors = wires.flatMap(({ url }) => ["--door", url]);
  [browser, server] = await Promise.all([openBrowser(), buildPage().then(() => GameServer.open(2, doors))]);
});

after(async () => {
  await browser?.close();
  for (const wire of wires) await wire.kill();
  await server?.stop();
});

for (const [what, disturb] of [
  ["is killed", (wire: DoorWire) => wire.kill()],
  ["hangs", async (wire: DoorWire) => wire.hang()],
] as const) {
  test(`the page plays on when the door it came from ${what}, and the next, and nobody sees it`, { skip }, async () => {
    const player = await Player.open(browser, "Gul", DESKTOP);
    const [first] = wires as [DoorWire];
    let dialled = "";
    player.page.on("websocket", (socket) => (dialled = socket.url()));
    const left = new Set<string>();
    await player.enter(first.url);
    await player.sit(TABLE);
    await player.page.evaluate(() => ((globalThis as { loaded?: boolean }).loaded = true));
    for (let times = 0; times < 2; times++) {
      const { hand, moves } = await player.until("its turn", (look) => look.moves.includes("act-pack"), 120_000);
      const move = moves.includes("act-bet") ? "act-bet" : "act-pack";
      const used = wires.find(({ url }) => dialled.startsWith(url.replace("http", "ws")));
      assert.ok(used, dialled);
      left.add(used.url);
      await disturb(used);
      await player.press(move);
      await player.until("the turn pass", (look) => {
        assert.equal(look.reconnecting, false, "no banner");
        return look.hand > hand || !look.moves.includes(move);
      });
      assert.equal(await player.page.getByTestId("toast").count(), 0, "nothing failed");
      await used.revive();
    }
    assert.equal(left.size, 2, "two doors were left");
    assert.ok(await player.page.evaluate(() => (globalThis as { loaded?: boolean }).loaded), "never loaded again");
    const unexpected = player.problems.filter((text) => !text.includes("WebSocket"));
    assert.deepEqual(unexpected, [], "no errors on the page, policy violations included");
    await player.close();
  });
}
