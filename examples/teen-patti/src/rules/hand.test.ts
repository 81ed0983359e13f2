/** The deal, betting, packing and the ways a hand ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "./config.ts";
import { dealOrder, dealtIn, nextDealer, startHand } from "./deal.ts";
import { awaited, findSeat, initialHand, seatOf, totalChips } from "./hand-state.ts";
import { applyMove, type Move } from "./moves.ts";
import { cards, randomDeck, seededRandom, table } from "./rules.testkit.ts";
import { splitPot } from "./settle.ts";

const THREE = ["As Kd Jh", "9s 9d 2h", "5s 3d 2c"];
const types = (events: readonly { type: string }[]): string[] => events.map(({ type }) => type);
const bets = (moves: readonly Move[]): string[] =>
  moves.map((move) => ("amount" in move ? `${move.type} ${move.amount}` : move.type));

test("the first dealer is random, the next is the next dealt-in seat clockwise", () => {
  const seats = [0, 2, 5];
  const first = [0, 0.34, 0.67, 0.999].map((random) => nextDealer(seats, { previousDealer: null, random }));
  assert.deepEqual(first, [0, 2, 5, 5]);
  const next = [0, 1, 2, 4, 5].map((previousDealer) => nextDealer(seats, { previousDealer, random: 0 }));
  assert.deepEqual(next, [2, 2, 5, 5, 0]);
});

test("cards are dealt one at a time, clockwise from the dealer's left", () => {
  const deck = randomDeck(seededRandom(1));
  const { hand, log } = table({ chips: [100, 100, 100], deck });
  assert.deepEqual(dealOrder([0, 1, 2, 4], 1), [2, 4, 0, 1]);
  assert.equal(hand.dealer, 2);
  assert.deepEqual(seatOf(hand, 0).cards, [deck[0], deck[3], deck[6]]);
  assert.deepEqual(seatOf(hand, 2).cards, [deck[2], deck[5], deck[8]]);
  assert.deepEqual(seatOf(hand, 2).positions, [2, 5, 8]);
  assert.deepEqual(types(log), [
    "handStarted",
    ...["bootPaid", "bootPaid", "bootPaid"],
    ...["cardsDealt", "cardsDealt", "cardsDealt"],
    "turnPassed",
  ]);
});

test("everyone pays the boot and the dealer's left acts first", () => {
  const { hand } = table({ hands: THREE });
  assert.deepEqual([hand.pot, hand.stake, hand.turn, hand.turnSeat], [30, 10, 1, 0]);
  assert.ok(hand.seats.every(({ chips, paid }) => chips === 9990 && paid === 10));
});

test("a hand needs two seats that can pay the boot, and leaves out those that cannot", () => {
  const config = defaultConfig(10);
  const players = [
    { seat: 3, chips: 10 },
    { seat: 1, chips: 9 },
    { seat: 0, chips: 500 },
  ];
  const base = { handNumber: 1, previousDealer: null, random: 0, commit: "", merkleRoot: "", context: "" };
  const deck = randomDeck(seededRandom(2));
  assert.deepEqual(
    dealtIn(players, config).map(({ seat }) => seat),
    [0, 3],
  );
  const few = startHand(initialHand(), { ...base, players: players.slice(1), deck }, config);
  assert.deepEqual(few, { rejected: "not-enough-players" });
  const { hand } = table({ hands: THREE });
  assert.deepEqual(startHand(hand, { ...base, players, deck }, config), { rejected: "hand-running" });
  assert.throws(() => startHand(initialHand(), { ...base, players, deck: deck.with(0, 99) }, config), /52 cards/);
});

test("a blind player bets s or 2s, a seen player 2s or 4s, and the stake follows", () => {
  const { hand, legal, playType } = table({ hands: THREE });
  assert.deepEqual(bets(legal(0)), ["see", "pack", "blind 10", "blind 20"]);
  playType(0, "blind", 1);
  assert.equal(hand.stake, 20);
  playType(1, "see");
  assert.deepEqual(bets(legal(1)), ["pack", "chaal 40", "chaal 80"]);
  playType(1, "chaal", 1);
  assert.equal(hand.stake, 40);
  assert.deepEqual(bets(legal(2)), ["see", "pack", "blind 40", "blind 80"]);
  assert.equal(hand.pot, 30 + 20 + 80);
});

test("looking out of turn is free, and counts for the others from the next bet on", () => {
  const { hand, playType, legal } = table({ hands: THREE });
  playType(0, "blind");
  playType(0, "see");
  assert.deepEqual([seatOf(hand, 0).looked, seatOf(hand, 0).seen], [true, false]);
  playType(1, "see");
  assert.deepEqual(bets(legal(1)), ["pack", "chaal 20", "chaal 40"], "the seat before is not yet seen: no side show");
  playType(1, "chaal");
  playType(2, "blind");
  assert.deepEqual(bets(legal(0)), ["pack", "chaal 20", "chaal 40"]);
  playType(0, "chaal");
  assert.equal(seatOf(hand, 0).seen, true);
  assert.deepEqual(bets(legal(1)), ["pack", "chaal 20", "chaal 40", "sideShow 20"]);
  assert.deepEqual(bets(legal(2)), ["see"]);
});

test("after maxBlindTurns blind bets a seat is seen automatically", () => {
  const { hand, playType, legal } = table({ hands: THREE });
  for (let round = 1; round <= 4; round++) {
    const events = playType(0, "blind");
    assert.equal(types(events).includes("cardsSeen"), round === 4);
    playType(1, "blind");
    playType(2, "blind");
  }
  assert.deepEqual([seatOf(hand, 0).looked, seatOf(hand, 0).seen, seatOf(hand, 0).blindBets], [true, true, 4]);
  assert.deepEqual(bets(legal(0)), ["pack", "chaal 20", "chaal 40", "sideShow 20"]);
});

test("a raise is allowed up to the chaal limit, a blind one up to half of it", () => {
  const { hand, playType, legal } = table({ hands: THREE, config: { chaalLimit: 80, potLimit: 100_000 } });
  playType(0, "blind", 1);
  playType(1, "blind", 1);
  assert.equal(hand.stake, 40);
  assert.deepEqual(bets(legal(2)), ["see", "pack", "blind 40"]);
  playType(2, "see");
  assert.deepEqual(bets(legal(2)), ["pack", "chaal 80"]);
});

test("the one left wins the pot unseen", () => {
  const { hand, playType } = table({ hands: THREE });
  playType(0, "pack");
  const events = playType(1, "pack");
  assert.deepEqual(types(events), ["packed", "potWon"]);
  assert.deepEqual(hand.result, { reason: "last", pot: 30, shares: [{ seat: 2, amount: 30 }] });
  assert.deepEqual([hand.phase, hand.pot, hand.turnSeat, awaited(hand)], ["over", 0, null, null]);
  assert.equal(seatOf(hand, 2).chips, 10_020);
});

test("a show is for two, costs s blind and 2s seen, and the higher hand wins", () => {
  const { hand, legal, playType } = table({ hands: THREE });
  assert.ok(!bets(legal(0)).includes("show 10"), "three remain");
  playType(0, "pack");
  assert.ok(bets(legal(1)).includes("show 10"));
  playType(1, "see");
  assert.ok(bets(legal(1)).includes("show 20"));
  const events = playType(1, "show");
  assert.deepEqual(types(events), ["showCalled", "revealed", "revealed", "potWon"]);
  assert.deepEqual(hand.result, { reason: "show", pot: 50, shares: [{ seat: 1, amount: 50 }] });
});

test("equal hands at a show: the one who paid for it loses", () => {
  for (const payer of [0, 1]) {
    const { hand, playType } = table({ hands: ["As Kd Jh", "Ac Kh Js"] });
    if (payer === 1) playType(0, "blind");
    playType(payer, "show");
    assert.equal(hand.result?.shares[0]?.seat, 1 - payer);
  }
});

test("without seenMayShowBlind a seen player cannot call a show against a blind one, but others can", () => {
  const { legal, playType } = table({ hands: THREE.slice(0, 2), config: { seenMayShowBlind: false } });
  playType(0, "see");
  assert.ok(!bets(legal(0)).includes("show 20"));
  playType(0, "chaal");
  assert.ok(bets(legal(1)).includes("show 10"), "blind against seen");
  playType(1, "see");
  assert.ok(bets(legal(1)).includes("show 20"), "seen against seen");
});

test("at the pot limit all remaining reveal and the best hand wins", () => {
  const { hand, playType } = table({ hands: THREE, config: { potLimit: 50 } });
  playType(0, "blind");
  const events = playType(1, "blind");
  assert.deepEqual(types(events), ["blindBet", "revealed", "revealed", "revealed", "potWon"]);
  assert.deepEqual(hand.result, { reason: "potLimit", pot: 50, shares: [{ seat: 1, amount: 50 }] });
});

test("equal hands at the pot limit split it, odd chips from the dealer's left", () => {
  const config = { potLimit: 60, boot: 7, chaalLimit: 896 };
  const { hand, playType } = table({ hands: ["5s 3d 2c", "As Kd Jh", "Ac Kh Js"], config });
  for (const seat of [0, 1, 2]) playType(seat, "blind", seat === 0 ? 1 : 0);
  assert.equal(hand.result?.pot, 63);
  assert.deepEqual(hand.result?.shares, [
    { seat: 1, amount: 32 },
    { seat: 2, amount: 31 },
  ]);
  assert.deepEqual(splitPot(11, [4, 0, 1]), [
    { seat: 4, amount: 4 },
    { seat: 0, amount: 4 },
    { seat: 1, amount: 3 },
  ]);
});

test("a seat that cannot pay the minimum packs at its turn, and not before", () => {
  const { hand, playType } = table({ hands: [...THREE, "Qs Td 7c"], chips: [1000, 25, 1000, 1000] });
  const events = playType(0, "blind", 1);
  assert.deepEqual(events.slice(1), [
    { type: "packed", seat: 1, reason: "chips" },
    { type: "turnPassed", seat: 2, turn: 2 },
  ]);
  assert.equal(seatOf(hand, 1).chips, 15, "chips stay");
});

test("looking at one's turn without the chips for a chaal packs", () => {
  const { hand, playType } = table({ hands: THREE, chips: [25, 1000, 1000] });
  assert.deepEqual(types(playType(0, "see")), ["cardsSeen", "packed", "turnPassed"]);
  assert.equal(seatOf(hand, 0).packed, "chips");
});

test("when nobody can bet after the boot, the last in turn wins it", () => {
  const { hand } = table({ hands: THREE, chips: [10, 10, 10] });
  assert.deepEqual(hand.result, { reason: "last", pot: 30, shares: [{ seat: 2, amount: 30 }] });
});

test("a move that is not listed is rejected with its reason and changes nothing", () => {
  const { hand, config, playType } = table({ hands: [...THREE, "Qs Td 7c"], chips: [1000, 35, 1000, 1000] });
  const before = JSON.stringify(hand);
  const reject = (seat: number, move: Move): string => {
    const outcome = applyMove(hand, seat, move, config);
    return "rejected" in outcome ? outcome.rejected : "accepted";
  };
  assert.equal(reject(5, { type: "pack" }), "not-in-hand");
  assert.equal(reject(1, { type: "pack" }), "not-your-turn");
  assert.equal(reject(0, { type: "blind", amount: 15 }), "wrong-amount");
  assert.equal(reject(0, { type: "blind", amount: -10 }), "wrong-amount");
  assert.equal(reject(0, { type: "blind", amount: Number.NaN }), "wrong-amount");
  assert.equal(reject(0, { type: "blind", amount: 4000 }), "not-enough-chips");
  assert.equal(reject(0, { type: "chaal", amount: 20 }), "not-allowed");
  assert.equal(reject(0, { type: "show", amount: 10 }), "not-allowed");
  assert.equal(reject(0, { type: "acceptSideShow" }), "no-side-show");
  assert.equal(JSON.stringify(hand), before);
  playType(0, "see");
  assert.equal(reject(0, { type: "see" }), "already-seen");
  playType(0, "pack");
  assert.equal(reject(0, { type: "see" }), "already-packed");
  playType(1, "pack");
  playType(2, "pack");
  assert.equal(reject(3, { type: "pack" }), "no-hand");
});

test("the joker variation turns up the card after the hands, and its rank is wild", () => {
  const { hand, playType } = table({ hands: ["9s Qd Qh", "As Ad Kh"], joker: "9c", config: { variation: "joker" } });
  assert.equal(hand.jokerCard, cards("9c")[0]);
  assert.equal(hand.jokerPosition, 6);
  playType(0, "show");
  assert.equal(hand.result?.shares[0]?.seat, 0);
});

test("best of four deals four cards to each seat", () => {
  const { hand } = table({ hands: ["2s Ks Qs As", "9s 9d 2h 2c"], config: { variation: "best-of-four" } });
  assert.deepEqual(seatOf(hand, 1).positions, [1, 3, 5, 7]);
  assert.deepEqual(seatOf(hand, 1).cards, cards("9s 9d 2h 2c"));
});

test("muflis gives the pot to the lowest hand", () => {
  const { hand, playType } = table({ hands: ["As Ad Ah", "5s 3d 2c"], config: { variation: "muflis" } });
  playType(0, "show");
  assert.equal(hand.result?.shares[0]?.seat, 1);
});

test("the next hand starts from the state of the one before, with nothing left of it", () => {
  const { hand, apply, config, playType } = table({ hands: THREE });
  playType(0, "pack");
  playType(1, "pack");
  const players = hand.seats.map(({ seat, chips }) => ({ seat, chips }));
  const deck = randomDeck(seededRandom(3));
  const input = { handNumber: 2, players, previousDealer: hand.dealer, random: 0, deck, context: "x" };
  apply(startHand(hand, { ...input, commit: "c2", merkleRoot: "m2" }, config));
  assert.deepEqual([hand.handNumber, hand.dealer, hand.turn, hand.turnSeat], [2, 0, 1, 1]);
  assert.deepEqual([hand.commit, hand.result, hand.pot], ["c2", null, 30]);
  assert.ok(hand.seats.every(({ packed, looked, last }) => packed === null && !looked && last?.type === "boot"));
  assert.equal(totalChips(hand), 30_000);
  assert.equal(findSeat(hand, 9), null);
});
