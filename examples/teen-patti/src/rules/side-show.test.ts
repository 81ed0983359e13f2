/** Side shows, deadlines and departures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { leaveHand, timeoutSideShow, timeoutTurn } from "./absence.ts";
import { awaited, seatOf } from "./hand-state.ts";
import { applyMove } from "./moves.ts";
import { maySee } from "./projection.ts";
import { type Table, table } from "./rules.testkit.ts";

const types = (events: readonly { type: string }[]): string[] => events.map(({ type }) => type);

/** Seats 0, 1, 2 (3 with a fourth hand); seat 0 is seen, and seat 1 asks it for a side show. Stake 10. */
function asked(hands: readonly string[] = ["As Kd Jh", "9s 9d 2h", "5s 3d 2c"], config = {}): Table {
  const of = table({ hands, config });
  of.playType(0, "see");
  of.playType(0, "chaal");
  of.playType(1, "see");
  of.playType(1, "sideShow");
  return of;
}

test("a side show costs 2s, leaves the stake and waits for the previous seat's answer", () => {
  const { hand, legal, log } = asked();
  assert.deepEqual(log.at(-1), { type: "sideShowAsked", seat: 1, target: 0, amount: 20 });
  assert.deepEqual([hand.stake, hand.pot, hand.phase], [10, 70, "side-show"]);
  assert.deepEqual(awaited(hand), { kind: "sideShow", seat: 0, handNumber: 1, turn: 2 });
  assert.deepEqual(types(legal(0)), ["acceptSideShow", "refuseSideShow"]);
  assert.deepEqual(types(legal(1)), []);
  assert.deepEqual(types(legal(2)), ["see"]);
});

test("while a side show is pending nobody bets or packs", () => {
  const { hand, config } = asked();
  assert.deepEqual(applyMove(hand, 1, { type: "pack" }, config), { rejected: "side-show-pending" });
  assert.deepEqual(applyMove(hand, 2, { type: "pack" }, config), { rejected: "not-your-turn" });
  assert.deepEqual(applyMove(hand, 2, { type: "acceptSideShow" }, config), { rejected: "no-side-show" });
});

test("accepted: the lower of the two packs, only the two see the cards, play goes on after the asker", () => {
  const { hand, playType } = asked();
  const events = playType(0, "acceptSideShow");
  assert.deepEqual(types(events), ["sideShowResolved", "packed", "turnPassed"]);
  assert.deepEqual(events[1], { type: "packed", seat: 0, reason: "sideShow" });
  assert.equal(hand.turnSeat, 2);
  const sees = (of: number, viewer: number | null): boolean => maySee(seatOf(hand, of), viewer);
  assert.deepEqual([sees(0, 1), sees(1, 0), sees(0, 2), sees(1, 2), sees(0, null)], [true, true, false, false, false]);
});

test("an asker who loses packs, and equal hands lose for the asker", () => {
  for (const own of ["Qs Td 7c", "Ac Kh Js"]) {
    const { hand, playType } = asked(["As Kd Jh", own, "5s 3d 2c"]);
    playType(0, "acceptSideShow");
    assert.equal(seatOf(hand, 1).packed, "sideShow");
    assert.equal(hand.turnSeat, 2);
  }
});

test("refused: nobody sees anything and the turn passes on", () => {
  const { hand, playType } = asked();
  assert.deepEqual(types(playType(0, "refuseSideShow")), ["sideShowRefused", "turnPassed"]);
  assert.deepEqual([hand.turnSeat, hand.phase], [2, "betting"]);
  assert.ok(!maySee(seatOf(hand, 0), 1));
});

test("a side show between the last two seen of three passes over packed seats", () => {
  const of = table({ hands: ["As Kd Jh", "9s 9d 2h", "5s 3d 2c", "Qs Td 7c"] });
  of.playType(0, "see");
  of.playType(0, "chaal");
  of.playType(1, "pack");
  of.playType(2, "see");
  assert.deepEqual(of.legal(2).at(-1), { type: "sideShow", amount: 20, target: 0 });
});

test("a side show whose cost reaches the pot limit is answered first, then all reveal", () => {
  const { hand, playType } = asked(["As Kd Jh", "9s 9d 2h", "5s 3d 2c", "Qs Td 7c"], { potLimit: 80 });
  assert.equal(hand.phase, "side-show");
  const events = playType(0, "acceptSideShow");
  assert.deepEqual(types(events), ["sideShowResolved", "packed", "revealed", "revealed", "revealed", "potWon"]);
});

test("the turn's deadline packs its seat", () => {
  const { hand, apply, config } = table({ hands: ["As Kd Jh", "9s 9d 2h", "5s 3d 2c"] });
  const events = apply(timeoutTurn(hand, { handNumber: 1, turn: 1 }, config));
  assert.deepEqual(events, [
    { type: "packed", seat: 0, reason: "timeout" },
    { type: "turnPassed", seat: 1, turn: 2 },
  ]);
});

test("the side show's deadline refuses it", () => {
  const { hand, apply, config } = asked();
  const events = apply(timeoutSideShow(hand, { handNumber: 1, turn: 2 }, config));
  assert.deepEqual(events[0], { type: "sideShowRefused", seat: 1, target: 0, reason: "timeout" });
  assert.equal(hand.turnSeat, 2);
});

test("a deadline of another turn, hand or kind is late", () => {
  const late = { rejected: "late" };
  const { hand, config, playType } = asked();
  assert.deepEqual(timeoutTurn(hand, { handNumber: 1, turn: 1 }, config), late);
  assert.deepEqual(timeoutTurn(hand, { handNumber: 1, turn: 2 }, config), late, "a side show is pending");
  assert.deepEqual(timeoutSideShow(hand, { handNumber: 2, turn: 2 }, config), late);
  playType(0, "refuseSideShow");
  assert.deepEqual(timeoutSideShow(hand, { handNumber: 1, turn: 2 }, config), late);
  playType(2, "pack");
  playType(0, "pack");
  assert.equal(hand.phase, "over");
  assert.deepEqual(timeoutTurn(hand, { handNumber: 1, turn: hand.turn }, config), late);
});

test("leaving packs: at the turn it passes, out of turn the turn stays", () => {
  const { hand, apply, config } = table({ hands: ["As Kd Jh", "9s 9d 2h", "5s 3d 2c", "Qs Td 7c"] });
  assert.deepEqual(apply(leaveHand(hand, 2, config)), [{ type: "packed", seat: 2, reason: "left" }]);
  assert.equal(hand.turnSeat, 0);
  assert.deepEqual(types(apply(leaveHand(hand, 0, config))), ["packed", "turnPassed"]);
  assert.deepEqual(types(apply(leaveHand(hand, 3, config))), ["packed", "potWon"]);
  assert.deepEqual(leaveHand(hand, 1, config), { rejected: "no-hand" });
});

test("leaving twice, or without being in the hand, is rejected", () => {
  const { hand, apply, config } = table({ hands: ["As Kd Jh", "9s 9d 2h", "5s 3d 2c", "Qs Td 7c"] });
  apply(leaveHand(hand, 2, config));
  assert.deepEqual(leaveHand(hand, 2, config), { rejected: "already-packed" });
  assert.deepEqual(leaveHand(hand, 5, config), { rejected: "not-in-hand" });
});

test("when the asker or the asked leaves, the side show lapses and play goes on after the asker", () => {
  for (const leaver of [0, 1]) {
    const { hand, apply, config } = asked();
    assert.deepEqual(types(apply(leaveHand(hand, leaver, config))), ["sideShowRefused", "packed", "turnPassed"]);
    assert.deepEqual([hand.sideShow, hand.turnSeat], [null, 2]);
  }
});

test("when a third seat leaves, the side show stays pending and decides the hand", () => {
  const { hand, apply, config, playType } = asked();
  assert.deepEqual(types(apply(leaveHand(hand, 2, config))), ["packed"]);
  assert.equal(hand.phase, "side-show");
  assert.deepEqual(types(playType(0, "acceptSideShow")), ["sideShowResolved", "packed", "potWon"]);
  assert.deepEqual(hand.result?.shares, [{ seat: 1, amount: 70 }]);
});
