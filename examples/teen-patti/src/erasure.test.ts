/** A player who is erased: the name is gone everywhere, chips and hands stay as they were. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CallResult } from "holdfast";
import type { PlayerView } from "./contract.ts";
import { Game, readRecords } from "./game.testkit.ts";

const erase = (game: Game, key: string): Promise<CallResult> =>
  new Promise((done) =>
    game.node.erase({ subject: { type: "player", key }, principal: { kind: "operator", id: "olga" } }, done),
  );

test("an erased player is nameless in the lobby, at the table and in finished hands, and keeps seat and chips", async () => {
  await using game = new Game();
  await game.start();
  await game.open("t");
  const users = ["ann", "bob"];
  for (const user of users) await game.seat(user, 5_000);
  await game.as("ann", "player/ann", "setProfile", { name: "Annapurna", avatar: "peacock" });
  await game.pass(3_000);
  const nameOf = async (viewer: string, user: string) =>
    (await game.table(viewer)).seats.find((seat) => seat?.player === user)?.name;
  assert.equal(await nameOf("bob", "ann"), "Annapurna");
  const before = await game.table("bob");
  assert.equal(((await game.view("bob", "player/ann", "public")) as PlayerView).name, "Annapurna");

  assert.equal((await erase(game, "ann")).ok, true);
  for (const _life of [1, 2]) {
    assert.equal(await nameOf("bob", "ann"), null);
    assert.equal(await nameOf("ann", "bob"), "bob");
    assert.equal(((await game.view("bob", "player/ann", "public")) as PlayerView).name, null);
    const after = await game.table("bob");
    assert.deepEqual(
      after.seats.map((seat) => seat && [seat.player, seat.chips]),
      before.seats.map((seat) => seat && [seat.player, seat.chips]),
    );
    assert.ok(!JSON.stringify(after).includes("Annapurna"));
    await game.restart();
  }
  assert.ok(!JSON.stringify(await readRecords(game.store)).includes("Annapurna"), "the log never had it");
  await game.as("ann", "player/ann", "setProfile", { name: "Ann", avatar: "peacock" });
  await game.pass(0);
  assert.equal(await nameOf("bob", "ann"), "Ann", "who comes back has a name again");
  await game.audit();
});
