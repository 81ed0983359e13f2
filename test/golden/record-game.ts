/**
 * Plays hands of the game on a memory log: people who sit down, move, give presents, leave, and a restart in a hand.
 *
 * Invariant: people choose by a seeded generator among the moves their view offers, so every move is a legal one. The
 * shuffles are as random as in production; another recording is another game.
 */
import { Game } from "../../examples/teen-patti/src/game.testkit.ts";
import type { MemoryStore } from "../../src/adapters/memory/log.ts";
import { Prng } from "../../src/std/prng.ts";

const turns = 160;
const people = ["ann", "bob", "cleo"];

export async function recordGame(): Promise<MemoryStore> {
  const game = new Game();
  await game.start();
  const prng = new Prng(7);
  await game.open("t");
  for (const user of people) await game.seat(user, 5_000);
  await game.as("ann", "player/ann", "sit", { table: "t", buyIn: 10 }); // refused: she sits there
  for (let turn = 0; turn < turns; turn++) {
    if (turn === turns / 2) await game.restart(1_000);
    if (turn % 20 === 7) await game.as("bob", "player/bob", "tip", { table: "t", amount: 3 });
    if (!(await moveSomebody(game, prng))) await game.pass(2_500);
  }
  await game.as("cleo", "table/t", "leave");
  await game.pass(60_000);
  await game.node.stop();
  await game.audit();
  return game.store;
}

async function moveSomebody(game: Game, prng: Prng): Promise<boolean> {
  for (const user of people) {
    const { moves } = await game.table(user);
    if (moves.length === 0) continue;
    await game.move(user, prng.pick(moves).type);
    return true;
  }
  return false;
}
