/**
 * Twelve thousand hands, two to six seats, every variation, four bot styles, with timeouts and departures.
 *
 * After every event: chips conserved, stake under its cap. After every list of events: the same state again from the
 * log. And the test of hidden cards: a viewer's view and events do not change when all cards it may not see do.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { leaveHand, timeoutSideShow, timeoutTurn } from "./absence.ts";
import { BOT_STYLES, type BotStyle, chooseMove } from "./bots.ts";
import { DECK_CARDS } from "./cards.ts";
import { defaultConfig, type TableConfig } from "./config.ts";
import { startHand } from "./deal.ts";
import { evolveHand, type HandEvent } from "./hand-events.ts";
import { awaited, copyHand, type HandState, initialHand, isRunning, totalChips } from "./hand-state.ts";
import { applyMove, legalMoves, type Move } from "./moves.ts";
import { openablePositions, publicView, seatView, shownCards, viewEvent } from "./projection.ts";
import { randomDeck, seededRandom } from "./rules.testkit.ts";
import { VARIATION_NAMES } from "./variations.ts";

type Random = () => number;
type Choice = (hand: HandState, seat: number, moves: readonly Move[], random: Random) => Move | null;
type Sim = { hand: HandState; config: TableConfig; random: Random; events: HandEvent[]; chipsTotal: number };

function deal(random: Random, handNumber: number, config: TableConfig, richChance = 0.7): Sim {
  const count = 2 + Math.floor(random() * 5);
  const seats = Array.from({ length: 6 }, (_, seat) => ({ seat, at: random() })).sort((a, b) => a.at - b.at);
  const players = seats.slice(0, count).map(({ seat }) => {
    const rich = random() < richChance;
    return { seat, chips: config.boot * (rich ? 2000 : 1) + Math.floor(random() * 100 * config.boot) };
  });
  const hand = initialHand();
  const sim: Sim = { hand, config, random, events: [], chipsTotal: 0 };
  const chance = { previousDealer: random() < 0.5 ? null : 3, random: random(), deck: randomDeck(random) };
  const started = startHand(
    hand,
    { handNumber, players, ...chance, commit: "c", merkleRoot: "m", context: "x" },
    config,
  );
  assert.ok("events" in started);
  sim.chipsTotal = players.reduce((sum, { chips }) => sum + chips, 0);
  applyAll(sim, started.events);
  return sim;
}

function applyAll(sim: Sim, events: readonly HandEvent[]): void {
  const { hand, config } = sim;
  for (const event of events) {
    evolveHand(hand, event);
    sim.events.push(event);
    assert.equal(totalChips(hand), sim.chipsTotal, `chips after ${event.type}`);
    assert.ok(hand.stake <= config.chaalLimit / 2, `stake ${hand.stake} after ${event.type}`);
    assert.ok(hand.seats.every(({ chips }) => Number.isSafeInteger(chips) && chips >= 0));
  }
  const turn = hand.seats.find(({ seat }) => seat === hand.turnSeat);
  if (isRunning(hand)) assert.ok(turn?.packed === null, "the turn is with a seat in the hand");
  else assert.deepEqual([hand.pot, hand.turnSeat, hand.sideShow], [0, null, null]);
}

/** One step: the awaited seat moves, or someone is late, leaves, or looks out of turn. */
function step(sim: Sim, choose: Choice, absent: boolean): void {
  const { hand, config, random } = sim;
  const waits = awaited(hand);
  assert.ok(waits, "a running hand waits for someone");
  const chance = absent ? random() : 1;
  const anyone = hand.seats[Math.floor(random() * hand.seats.length)];
  if (chance < 0.01) {
    const late = waits.kind === "turn" ? timeoutTurn(hand, waits, config) : timeoutSideShow(hand, waits, config);
    return applyAll(sim, "events" in late ? late.events : assert.fail("in time"));
  }
  if (chance < 0.03 && anyone !== undefined) {
    const outcome =
      chance < 0.02 ? leaveHand(hand, anyone.seat, config) : applyMove(hand, anyone.seat, { type: "see" }, config);
    return applyAll(sim, "events" in outcome ? outcome.events : []);
  }
  const moves = legalMoves(hand, waits.seat, config);
  const move = choose(hand, waits.seat, moves, random);
  assert.ok(move !== null && moves.includes(move), "the awaited seat has a legal move");
  const outcome = applyMove(hand, waits.seat, move, config);
  applyAll(sim, "events" in outcome ? outcome.events : assert.fail(outcome.rejected));
}

function playOut(sim: Sim, choose: Choice, of: { absent: boolean; onStep?: () => void }): void {
  const turnsMax = sim.config.potLimit / sim.config.boot + sim.hand.seats.length;
  // A turn takes at most a look, a bet and an answer; departures add one step per seat.
  for (let steps = 0; isRunning(sim.hand); steps++) {
    assert.ok(steps <= 3 * turnsMax + 6 && sim.hand.turn <= turnsMax, `turn ${sim.hand.turn} of ${turnsMax}`);
    step(sim, choose, of.absent);
    of.onStep?.();
  }
}

const bots =
  (styleOf: (seat: number) => BotStyle): Choice =>
  (hand, seat, moves, random) =>
    chooseMove({ style: styleOf(seat), view: seatView(hand, seat), moves, random: random() });

const configAt = (n: number): TableConfig => ({
  ...defaultConfig(n % 2 === 0 ? 10 : 7),
  variation: VARIATION_NAMES[n % VARIATION_NAMES.length] ?? "classic",
  seenMayShowBlind: n % 3 !== 0,
});

test("12,000 hands of four bot styles: chips conserved, stake cap kept, every hand ends", () => {
  const random = seededRandom(12_000);
  const ends = new Map<string, number>();
  for (let n = 1; n <= 12_000; n++) {
    const sim = deal(random, n, configAt(n));
    const one = BOT_STYLES[n % 8];
    playOut(
      sim,
      bots((seat) => one ?? BOT_STYLES[(seat + n) % 4] ?? "random"),
      { absent: n % 2 === 0 },
    );
    const { result } = sim.hand;
    assert.ok(result);
    assert.equal(
      result.shares.reduce((sum, { amount }) => sum + amount, 0),
      result.pot,
    );
    ends.set(result.reason, (ends.get(result.reason) ?? 0) + 1);
  }
  for (const reason of ["last", "show", "potLimit"]) assert.ok((ends.get(reason) ?? 0) > 20, `${reason} happens`);
});

/** Never packs, always the smallest (0) or largest (-1) bet; looks as soon as it can when told. */
const stubborn =
  (at: 0 | -1, looks: boolean): Choice =>
  (_hand, _seat, moves) => {
    if (looks && moves[0]?.type === "see") return moves[0];
    return moves.find(({ type }) => type === "refuseSideShow") ?? moves.filter(isBet).at(at) ?? null;
  };

function isBet({ type }: Move): boolean {
  return type === "blind" || type === "chaal";
}

test("players who only call or only raise reach the pot limit in at most 521 and 20 turns, 13 when seen", () => {
  const random = seededRandom(521);
  const turnsOf = (choice: Choice): number => {
    const turns = Array.from({ length: 200 }, (_, n) => {
      const sim = deal(random, n + 1, defaultConfig(1), 1);
      playOut(sim, choice, { absent: false });
      return sim.hand.turn;
    });
    return Math.max(...turns);
  };
  assert.equal(turnsOf(stubborn(0, false)), 521);
  assert.ok(turnsOf(stubborn(0, true)) <= 521);
  assert.equal(turnsOf(stubborn(-1, true)), 13);
  assert.ok(turnsOf(stubborn(-1, false)) <= 20);
});

test("exactly the listed moves are accepted, and deciding one changes nothing", () => {
  const random = seededRandom(404);
  for (let n = 1; n <= 300; n++) {
    const sim = deal(random, n, configAt(n));
    const check = (): void => {
      const { hand, config } = sim;
      const before = JSON.stringify(hand);
      for (let seat = 0; seat < 6; seat++) {
        const listed = legalMoves(hand, seat, config).map((move) => JSON.stringify(move));
        for (const move of everyMove(hand)) {
          const isAccepted = "events" in applyMove(hand, seat, move, config);
          assert.equal(isAccepted, listed.includes(JSON.stringify(move)), `seat ${seat}: ${JSON.stringify(move)}`);
        }
      }
      assert.equal(JSON.stringify(hand), before);
    };
    check();
    playOut(
      sim,
      bots((seat) => BOT_STYLES[seat % 4] ?? "random"),
      { absent: true, onStep: check },
    );
  }
});

/** Every kind of move, with every amount and target that could be right at some time. */
function everyMove({ stake }: HandState): Move[] {
  const moves: Move[] = [{ type: "see" }, { type: "pack" }, { type: "acceptSideShow" }, { type: "refuseSideShow" }];
  for (const amount of [0, stake, 2 * stake, 4 * stake, 8 * stake]) {
    moves.push({ type: "blind", amount }, { type: "chaal", amount }, { type: "show", amount });
    for (let target = 0; target < 6; target++) moves.push({ type: "sideShow", amount, target });
  }
  return moves;
}

test("the same seed plays the same hands", () => {
  const play = (): string => {
    const sim = deal(seededRandom(9), 1, defaultConfig());
    playOut(
      sim,
      bots(() => "random"),
      { absent: true },
    );
    return JSON.stringify(sim.events);
  };
  assert.equal(play(), play());
});

test("state, events and views are plain JSON, and the log alone gives the state again", () => {
  const random = seededRandom(77);
  for (let n = 1; n <= 300; n++) {
    const sim = deal(random, n, configAt(n));
    playOut(
      sim,
      bots((seat) => BOT_STYLES[seat % 4] ?? "random"),
      {
        absent: true,
        onStep: () => {
          for (const value of [sim.hand, seatView(sim.hand, 0), publicView(sim.hand)]) {
            assert.deepStrictEqual(JSON.parse(JSON.stringify(value)), value);
          }
        },
      },
    );
    assert.deepStrictEqual(JSON.parse(JSON.stringify(sim.events)), sim.events);
    const replayed = initialHand();
    for (const event of sim.events) evolveHand(replayed, event);
    assert.deepStrictEqual(replayed, sim.hand);
  }
});

/** Who may see whose cards, told by the events alone: the test's own account, apart from `maySee`. */
function visibleBy(events: readonly HandEvent[]): Set<string> {
  const visible = new Set<string>();
  for (const event of events) {
    if (event.type === "cardsSeen") visible.add(`${event.seat}<${event.seat}`);
    if (event.type === "revealed") visible.add(`${event.seat}<all`);
    if (event.type === "sideShowResolved") {
      visible.add(`${event.seat}<${event.target}`).add(`${event.target}<${event.seat}`);
    }
  }
  return visible;
}

/** Every card becomes another one. */
const disguise = (cards: readonly number[]): number[] => cards.map((card) => (card * 5 + 17) % DECK_CARDS);

/** The hand with all cards changed that the viewer may not see. */
function disguised(hand: HandState, viewer: number | null, visible: ReadonlySet<string>): HandState {
  const copy = copyHand(hand);
  for (const seat of copy.seats) {
    const isVisible = visible.has(`${seat.seat}<all`) || visible.has(`${seat.seat}<${viewer}`);
    if (!isVisible) seat.cards = disguise(seat.cards);
  }
  return copy;
}

function disguisedEvent(event: HandEvent, viewer: number | null): HandEvent {
  switch (event.type) {
    case "cardsDealt":
      return { ...event, cards: disguise(event.cards) };
    case "cardsSeen":
      return event.seat === viewer ? event : { ...event, cards: disguise(event.cards) };
    case "sideShowResolved": {
      const isOne = viewer === event.seat || viewer === event.target;
      return isOne ? event : { ...event, hands: event.hands.map((of) => ({ ...of, cards: disguise(of.cards) })) };
    }
    default:
      return event;
  }
}

test("no view and no event shows a card that its viewer may not see", () => {
  const random = seededRandom(31);
  let hidden = 0;
  let shown = 0;
  for (let n = 1; n <= 600; n++) {
    const sim = deal(random, n, configAt(n));
    const viewers = [null, ...sim.hand.seats.map(({ seat }) => seat)];
    const check = (): void => {
      const visible = visibleBy(sim.events);
      for (const viewer of viewers) {
        const see = (hand: HandState): unknown => (viewer === null ? publicView(hand) : seatView(hand, viewer));
        const view = see(sim.hand);
        assert.equal(JSON.stringify(see(disguised(sim.hand, viewer, visible))), JSON.stringify(view));
        for (const seat of (view as ReturnType<typeof publicView>).seats) {
          const isVisible = visible.has(`${seat.seat}<all`) || visible.has(`${seat.seat}<${viewer}`);
          assert.equal(seat.cards !== null, isVisible, `seat ${seat.seat} to ${viewer}`);
          if (isVisible) shown += 1;
          else hidden += 1;
        }
      }
    };
    check();
    playOut(
      sim,
      bots((seat) => BOT_STYLES[(seat + n) % 4] ?? "random"),
      { absent: true, onStep: check },
    );
    for (const event of sim.events) {
      for (const viewer of viewers) {
        const view = JSON.stringify(viewEvent(event, viewer));
        assert.equal(JSON.stringify(viewEvent(disguisedEvent(event, viewer), viewer)), view);
      }
    }
  }
  assert.ok(hidden > 10_000 && shown > 10_000, `${hidden} hidden and ${shown} shown`);
});

test("after the hand a seat may open its own cards, those it was shown, and no others; before it none", () => {
  const random = seededRandom(8);
  for (let n = 1; n <= 200; n++) {
    const sim = deal(random, n, configAt(n));
    const { hand } = sim;
    if (isRunning(hand)) assert.deepEqual(openablePositions(hand, hand.seats[0]?.seat ?? null), []);
    playOut(
      sim,
      bots((seat) => BOT_STYLES[seat % 4] ?? "random"),
      { absent: true },
    );
    const joker = hand.jokerPosition === null ? [] : [hand.jokerPosition];
    const revealed = hand.seats.filter((seat) => seat.revealed).flatMap(({ positions }) => positions);
    assert.deepEqual(openablePositions(hand, null), [...revealed, ...joker]);
    for (const { seat, positions } of hand.seats) {
      const open = new Set(openablePositions(hand, seat));
      const shown = shownCards(seatView(hand, seat)).map(({ position }) => position);
      assert.deepEqual(open, new Set([...positions, ...shown, ...joker]));
    }
  }
});
