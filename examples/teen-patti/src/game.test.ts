/** Whole hands over a real node: sitting down, the course of a hand, the clock, leaving, restarts, fairness. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReviewReply, STARTING_CHIPS, TOP_UP_TO } from "./contract.ts";
import { startGame } from "./game.testkit.ts";
import { verifyHand } from "./rules/verify.ts";

const DEAL_MS = 5_000;

test("a new player gets the starting chips once, and nobody else may ask for them", async () => {
  await using game = await startGame();
  assert.deepEqual(await game.as("ann", "player/ann", "join", {}), { created: true, balance: STARTING_CHIPS });
  assert.deepEqual(await game.as("ann", "player/ann", "join", {}), { created: false, balance: STARTING_CHIPS });
  const forged = await game.run({ kind: "user", id: "bob" }, "player/ann", "sit", { table: "t", buyIn: 10 });
  assert.ok(!forged.ok && forged.code === "forbidden");
  const paid = await game.run({ kind: "user", id: "ann" }, "player/ann", "cashOut", {
    table: "t",
    sit: 1,
    amount: 5,
    hands: 0,
    reason: "chosen",
  });
  assert.ok(!paid.ok && paid.code === "forbidden");
});

test("a buy-in leaves the wallet and comes back when the table refuses", async () => {
  await using game = await startGame();
  await game.open();
  await game.seat("ann", 1_000, 2);
  assert.equal((await game.me("ann")).balance, STARTING_CHIPS - 1_000);
  await game.seat("bob", 1_000, 2);
  const me = await game.me("bob");
  assert.equal(me.balance, STARTING_CHIPS);
  assert.deepEqual(me.refusal, { id: 1, table: "t", reason: "seat-taken", amount: 1_000 });
  assert.deepEqual(me.seats, []);
  await game.as("bob", "player/bob", "sit", { table: "nowhere", buyIn: 10 });
  await game.settle();
  assert.equal((await game.me("bob")).refusal?.reason, "no-such-table");
  await game.audit();
});

test("two players: the hand is dealt after the pause, a show ends it, the next one follows", async () => {
  await using game = await startGame();
  await game.open();
  await game.seat("ann");
  await game.seat("bob");
  const before = await game.table("ann");
  assert.equal(before.nextHandAtMs, game.clock.now() + DEAL_MS);
  assert.equal(before.nextCommit?.handNumber, 1);
  await game.pass(DEAL_MS);
  const dealt = await game.table("ann");
  assert.equal(dealt.hand.phase, "betting");
  assert.equal(dealt.hand.commit, before.nextCommit?.commit);
  assert.equal(dealt.hand.pot, 20);
  const [first, second] = dealt.hand.turnSeat === 0 ? ["ann", "bob"] : ["bob", "ann"];
  assert.equal(
    await game.as(second ?? "", "table/t", "act", { handNumber: 1, turn: 1, move: { type: "pack" } }),
    "not-your-turn",
  );
  assert.equal(
    await game.as(first ?? "", "table/t", "act", { handNumber: 1, turn: 9, move: { type: "pack" } }),
    "late",
  );
  await game.move(first ?? "", "see");
  assert.equal((await game.table(first ?? "")).hand.seats.filter(({ cards }) => cards !== null).length, 1);
  await game.move(first ?? "", "chaal");
  await game.move(second ?? "", "show");
  const over = await game.table("ann");
  assert.equal(over.hand.phase, "over");
  assert.equal(over.hand.seats.filter(({ cards }) => cards !== null).length, 2);
  assert.equal(over.recentHands[0]?.pot, 20 + 20 + 10);
  await game.pass(DEAL_MS);
  assert.equal((await game.table("ann")).hand.handNumber, 2);
  await game.audit();
});

test("who does not move is packed after turn and grace; after two in a row it is away, and then stands up", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob", "cid"]) await game.seat(user);
  for (let hand = 1; hand <= 2; hand++) {
    await game.pass(DEAL_MS);
    const view = await game.table("ann");
    assert.equal(view.hand.handNumber, hand);
    assert.deepEqual(view.deadline && [view.deadline.atMs - game.clock.now(), view.deadline.graceMs], [15_000, 5_000]);
    await game.pass(19_999);
    assert.equal((await game.table("ann")).hand.turn, 1);
    await game.pass(1);
    await game.pass(20_000);
    assert.equal((await game.table("ann")).hand.phase, "over");
  }
  const seats = (await game.table("ann")).seats.filter((seat) => seat !== null);
  const away = seats.find(({ status }) => status === "away");
  assert.ok(away, JSON.stringify(seats.map(({ status, timeouts }) => [status, timeouts])));
  assert.equal((await game.table("ann")).feed.filter(({ kind }) => kind === "autoPack").length, 4);
  assert.equal(away.heldUntilMs !== null && away.heldUntilMs > game.clock.now(), true);
  await game.as(away.player, "table/t", "back");
  assert.equal((await game.table("ann")).seats[away.seat]?.status, "ready");
  for (let hand = 0; hand < 40; hand++) await game.pass(20_000);
  assert.deepEqual((await game.table("ann")).seats.filter((seat) => seat !== null).length < 3, true);
  const audit = await game.audit();
  assert.equal(audit.totals().inFlight, 0);
});

test("a side show is refused when its answer does not come in time, and shows cards to the two alone", async () => {
  await using game = await startGame();
  await game.open();
  const users = ["ann", "bob", "cid"];
  for (const user of users) await game.seat(user);
  await game.pass(DEAL_MS);
  for (const user of users) await game.move(user, "see");
  const userAt = async (): Promise<string> => users[(await game.table("ann")).hand.turnSeat ?? 0] ?? "";
  const first = await userAt();
  await game.move(first, "chaal");
  const second = await userAt();
  await game.move(second, "sideShow");
  const asked = await game.table(first);
  assert.deepEqual(
    asked.moves.map(({ type }) => type),
    ["acceptSideShow", "refuseSideShow"],
  );
  assert.equal(asked.deadline?.kind, "sideShow");
  await game.pass(8_000);
  assert.equal((await game.table(first)).hand.sideShow, null);
  const third = await userAt();
  await game.move(third, "sideShow");
  await game.move(second, "acceptSideShow");
  const shownTo = async (user: string): Promise<number> =>
    (await game.table(user)).hand.seats.filter(({ cards }) => cards !== null).length;
  assert.deepEqual(
    [await shownTo(third), await shownTo(second), await shownTo(first), await shownTo("eve")],
    [2, 2, 1, 0],
  );
});

test("the pot limit ends a hand with all cards open", async () => {
  await using game = await startGame();
  await game.open("t", { potLimit: 100, chaalLimit: 1_280 });
  const users = ["ann", "bob", "cid"];
  for (const user of users) await game.seat(user);
  await game.pass(DEAL_MS);
  for (let bets = 0; bets < 20 && (await game.table("ann")).hand.phase === "betting"; bets++) {
    await game.move(users[(await game.table("ann")).hand.turnSeat ?? 0] ?? "", "blind");
  }
  const { hand } = await game.table("eve");
  assert.equal(hand.result?.reason, "potLimit");
  assert.equal(hand.seats.filter(({ cards }) => cards !== null).length, 3);
  await game.audit();
});

test("leaving in a hand packs, and the chips go back to the wallet when it is over", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob", "cid"]) await game.seat(user);
  await game.pass(DEAL_MS);
  assert.deepEqual(await game.as("ann", "table/t", "leave"), { left: false });
  await game.settle();
  assert.equal((await game.table("bob")).seats[0]?.status, "leaving");
  assert.equal((await game.me("ann")).balance, STARTING_CHIPS - 1_000);
  assert.deepEqual(await game.as("bob", "table/t", "leave"), { left: true });
  await game.settle();
  const view = await game.table("cid");
  assert.deepEqual(
    view.seats.map((seat) => seat?.player ?? null),
    [null, null, "cid", null, null],
  );
  assert.equal((await game.me("ann")).balance, STARTING_CHIPS - 10);
  assert.equal(view.seats[2]?.chips, 1_020);
  assert.equal(view.nextHandAtMs, null);
  const [session] = (await game.me("ann")).sessions;
  assert.deepEqual(session, {
    table: "t",
    boughtIn: 1_000,
    cashedOut: 990,
    hands: 1,
    endedAtMs: game.clock.now(),
    reason: "chosen",
  });
  assert.equal((await game.audit()).totals().inFlight, 0);
});

test("who joins during a hand watches it, and plays the next", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob"]) await game.seat(user);
  await game.pass(DEAL_MS);
  await game.seat("cid");
  const view = await game.table("cid");
  assert.equal(view.seats[2]?.status, "waiting");
  assert.deepEqual(view.moves, []);
  await game.as("ann", "player/ann", "addChips", { table: "t", amount: 500 });
  await game.settle();
  assert.equal((await game.table("ann")).seats[0]?.chipsComing, 500);
  await game.as("ann", "table/t", "leave");
  await game.settle();
  await game.pass(DEAL_MS);
  assert.equal((await game.table("cid")).hand.seats.length, 2);
  await game.audit();
});

test("the broke are told, get time to buy chips, then stand up; a broke player is topped up once a minute", async () => {
  await using game = await startGame();
  await game.open("t", {}, 10_000);
  await game.seat("ann", 100_000);
  await game.seat("bob", 100_000);
  const isBroke = async (): Promise<boolean> =>
    (await game.table("ann")).seats.some((seat) => seat?.status === "broke");
  for (let turns = 0; turns < 500 && !(await isBroke()); turns++) {
    const { hand } = await game.table("ann");
    if (hand.phase !== "betting") {
      await game.pass(DEAL_MS);
      continue;
    }
    const user = hand.turnSeat === 0 ? "ann" : "bob";
    const { moves } = await game.table(user);
    const bet = moves.filter(({ type }) => type === "blind" || type === "chaal").at(-1);
    const move = bet ?? moves.find(({ type }) => type === "show");
    await game.as(user, "table/t", "act", { handNumber: hand.handNumber, turn: hand.turn, move });
    await game.settle();
  }
  const view = await game.table("ann");
  const broke = view.seats.find((seat) => seat?.status === "broke");
  assert.ok(broke, JSON.stringify(view.seats));
  await game.pass(60_000);
  const { balance, sessions } = await game.me(broke.player);
  assert.equal(sessions[0]?.reason, "broke");
  assert.deepEqual(await game.as(broke.player, `player/${broke.player}`, "topUp"), { balance: TOP_UP_TO });
  assert.ok(balance < TOP_UP_TO);
  assert.equal(await game.as(broke.player, `player/${broke.player}`, "topUp"), "not-broke");
  await game.audit();
});

test("a crash in the middle of a hand changes nothing: same cards, same turn, same deadline", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob", "cid"]) await game.seat(user);
  await game.pass(DEAL_MS);
  for (const user of ["ann", "bob", "cid"]) await game.move(user, "see");
  const before = await Promise.all(["ann", "bob", "cid", "eve"].map((user) => game.table(user)));
  await game.restart();
  assert.deepEqual(await Promise.all(["ann", "bob", "cid", "eve"].map((user) => game.table(user))), before);
  await game.pass(20_000);
  assert.equal((await game.table("ann")).hand.turn, (before[0]?.hand.turn ?? 0) + 1);
  await game.audit();
});

test("time that passed while the server was down is given again", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob", "cid"]) await game.seat(user);
  await game.pass(DEAL_MS);
  await game.restart(60 * 60_000);
  const view = await game.table("ann");
  assert.deepEqual([view.hand.turn, view.hand.phase], [1, "betting"]);
  assert.equal(view.deadline?.atMs, game.clock.now() + 15_000);
  await game.pass(20_000);
  assert.equal((await game.table("ann")).hand.turn, 2);
  await game.audit();
});

test("a review proves the hand to each player with its own cards, and with the whole deck once the seed is out", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob"]) await game.seat(user);
  await game.as("ann", "player/ann", "setSeed", { clientSeed: "mine" });
  await game.settle();
  const commit = (await game.table("ann")).nextCommit?.commit ?? "";
  await game.pass(DEAL_MS);
  await game.move((await game.table("ann")).hand.turnSeat === 0 ? "ann" : "bob", "pack");
  const review = async (user: string): Promise<NonNullable<ReviewReply>> => {
    const result = await game.query({ kind: "user", id: user }, "table/t", "review", { handNumber: 1 });
    assert.ok(result.ok && result.value !== null);
    return result.value as unknown as NonNullable<ReviewReply>;
  };
  const own = await review("ann");
  assert.equal(own.evidence.openings.length, 3);
  assert.equal(own.evidence.serverSeed, null);
  assert.deepEqual(own.evidence.ownSeed, { seat: 0, clientSeed: "mine" });
  assert.equal((await review("eve")).evidence.openings.length, 0);
  assert.deepEqual(await verifyHand({ ...own.evidence, commit }).then(({ ok, complete }) => [ok, complete]), [
    true,
    false,
  ]);
  await game.pass(24 * 60 * 60 * 1_000);
  const hands = (await game.table("ann")).recentHands.length;
  if (hands < 10) {
    const after = await review("ann");
    assert.deepEqual(await verifyHand({ ...after.evidence, commit }).then(({ ok, complete }) => [ok, complete]), [
      true,
      true,
    ]);
  }
  const seed = await game.query({ kind: "user", id: "eve" }, "table/t", "seed", { handNumber: 1 });
  assert.ok(seed.ok && typeof seed.value === "string");
});

test("a private table is for those who know its code, and hides its game from everyone else", async () => {
  await using game = await startGame();
  const made = (await game.as("ann", "lobby/main", "createTable", { boot: 10 })) as { table: string; code: string };
  await game.settle();
  await game.seat("ann", 1_000, undefined, made.table);
  await game.seat("bob", 1_000, undefined, made.table);
  await game.pass(DEAL_MS);
  assert.equal((await game.table("ann", made.table)).hand.phase, "betting");
  const stranger = await game.table("eve", made.table);
  assert.deepEqual(
    [stranger.hidden, stranger.hand.phase, stranger.feed, stranger.seats],
    [true, "idle", [], [null, null, null, null, null]],
  );
  const lobby = (await game.view("eve", "lobby/main", "public")) as { tables: unknown[] };
  assert.deepEqual(lobby.tables, []);
  await game.as("ann", "table/" + made.table, "leave");
  await game.as("bob", "table/" + made.table, "leave");
  await game.settle();
  await game.pass(10 * 60_000);
  assert.equal((await game.table("ann", made.table)).open, false);
  assert.equal((await game.audit()).totals().tables, 0);
});

test("tips and gifts leave the wallet for the house; phrases are limited", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob"]) await game.seat(user);
  await game.as("ann", "player/ann", "tip", { table: "t", amount: 50 });
  await game.as("ann", "player/ann", "gift", { table: "t", gift: "rose", toSeat: 1 });
  await game.as("ann", "player/ann", "gift", { table: "t", gift: "rose", toSeat: 4 });
  await game.settle();
  const view = await game.table("eve");
  assert.equal(view.house, 70);
  assert.equal(view.seats[1]?.gift, "rose");
  assert.equal((await game.me("ann")).balance, STARTING_CHIPS - 1_070);
  const said: unknown[] = [];
  for (let count = 0; count < 6; count++) said.push(await game.as("ann", "table/t", "say", { phrase: "hello" }));
  assert.deepEqual(said, [null, null, null, null, null, "too-many-messages"]);
  assert.equal(await game.as("eve", "table/t", "say", { phrase: "hello" }), "not-seated");
  await game.audit();
});

test("closing a table pays everybody out, in the middle of a hand too", async () => {
  await using game = await startGame();
  await game.open();
  for (const user of ["ann", "bob", "cid"]) await game.seat(user);
  await game.pass(DEAL_MS);
  const closed = await game.run({ kind: "operator", id: "o" }, "table/t", "close");
  assert.ok(closed.ok);
  await game.settle();
  const totals = (await game.audit()).totals();
  assert.deepEqual([totals.tables, totals.inFlight, totals.wallets], [0, 0, 3 * STARTING_CHIPS]);
  assert.equal((await game.table("ann")).open, false);
});
