/** The bots' manners. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BOT_STYLES, chooseMove, quality } from "./bots.ts";
import { seatOf } from "./hand-state.ts";
import { type SeatView, seatView } from "./projection.ts";
import { table } from "./rules.testkit.ts";

const own = (view: SeatView): number =>
  quality(view, view.seats.find(({ seat }) => seat === view.you) ?? assert.fail());

test("a bot waits while it is not its turn", () => {
  const { hand, legal } = table({ hands: ["As Kd Jh", "9s 9d 2h", "5s 3d 2c"] });
  for (const style of BOT_STYLES) {
    const turn = { style, view: seatView(hand, 1), moves: legal(1), random: 0.5 };
    assert.equal(chooseMove(turn), null);
    assert.equal(chooseMove({ ...turn, moves: [] }), null);
  }
});

test("every style answers every random number with a legal move, the same one each time", () => {
  const { hand, legal } = table({ hands: ["As Kd Jh", "9s 9d 2h"] });
  for (const style of BOT_STYLES) {
    for (let random = 0; random < 1; random += 0.013) {
      const turn = { style, view: seatView(hand, 0), moves: legal(0), random };
      const move = chooseMove(turn);
      assert.ok(move !== null && turn.moves.includes(move));
      assert.deepEqual(chooseMove(turn), move);
    }
  }
});

test("the cautious bot looks first and mostly packs a bad hand", () => {
  const { hand, legal, playType } = table({ hands: ["7s 3d 2c", "9s 9d 2h", "As Kd Jh"] });
  const decide = (random: number): string | undefined =>
    chooseMove({ style: "cautious", view: seatView(hand, 0), moves: legal(0), random })?.type;
  assert.equal(decide(0.99), "see");
  playType(0, "see");
  assert.equal(decide(0.3), "pack");
});

test("the raiser raises a trail, the caller calls it", () => {
  const { hand, legal, playType } = table({ hands: ["As Ad Ah", "9s 9d 2h", "5s 3d 2c"] });
  playType(0, "see");
  assert.ok(seatOf(hand, 0).looked);
  const amounts = (style: "raiser" | "caller"): Set<number | null> => {
    const chosen = Array.from({ length: 50 }, (_, at) =>
      chooseMove({ style, view: seatView(hand, 0), moves: legal(0), random: at / 50 }),
    );
    return new Set(chosen.map((move) => (move !== null && "amount" in move ? move.amount : null)));
  };
  assert.ok(amounts("raiser").has(40));
  assert.deepEqual(amounts("caller"), new Set([20]));
});

test("quality grows with the hand, is one half while hidden, and turns over in muflis", () => {
  const qualities = [
    "5s 3d 2h",
    "As Kd Jh",
    "2s 2d 3h",
    "As Ad Kh",
    "5h 3h 2h",
    "4s 3d 2s",
    "As Ks Qs",
    "As Ad Ah",
  ].map((hand) => {
    const of = table({ hands: [hand, "9s 8d 7c"] });
    assert.equal(own(seatView(of.hand, 0)), 0.5);
    of.playType(0, "see");
    return own(seatView(of.hand, 0));
  });
  assert.deepEqual(
    qualities,
    qualities.toSorted((a, b) => a - b),
  );
  assert.ok(qualities.every((of) => of >= 0 && of <= 1));
  const muflis = table({ hands: ["5s 3d 2h", "9s 8d 7c"], config: { variation: "muflis" } });
  muflis.playType(0, "see");
  assert.ok(own(seatView(muflis.hand, 0)) > 0.8);
});
