/**
 * The page of the Teen Patti example in a real browser, against the real server: four people and a bot at one table.
 *
 * Invariant: the tests of this file run in order on one table, as an evening does; each leaves it between two hands or in
 * the middle of one, and the next begins by looking.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { openBrowser, skip } from "./browser.ts";
import { buildPage, GameServer } from "./game-server.ts";
import { type Look, Player } from "./player.ts";

const TABLE = "boot-10";
const DESKTOP = { width: 1280, height: 800 };
const TABLET = { width: 768, height: 1024 };
const PHONE = { width: 360, height: 640 };

let browser: Browser;
let server: GameServer;
let people: Player[] = [];

before(async () => {
  if (skip !== false) return;
  [browser, server] = await Promise.all([openBrowser(), buildPage().then(() => GameServer.open())]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("four people sit down at one table with a bot, each at the bottom of the own screen", { skip }, async () => {
  // Every second one asked for less movement: both kinds of page must play.
  const sizes = [DESKTOP, TABLET, PHONE, DESKTOP];
  people = await Promise.all(
    sizes.map((size, at) => Player.open(browser, ["Asha", "Bela", "Chand", "Dilip"][at] ?? "", size, at % 2 === 1)),
  );
  const [first] = people;
  await first?.enter(server.url);
  await first?.on(`table-${TABLE}`).getByText("1/5").waitFor();
  await first?.shoot("lobby");
  await Promise.all(people.slice(1).map((player) => player.enter(server.url)));
  await Promise.all(people.map((player) => player.sit(TABLE)));
  const seats = await Promise.all(people.map(async (player) => (await player.look()).seat));
  assert.equal(new Set(seats).size, 4, "four different seats");
  for (const [at, player] of people.entries()) {
    await player.page
      .locator(`.seat[data-own][data-place="0"][data-testid="seat-${seats[at]}"]`)
      .waitFor({ state: "attached" });
  }
});

test("a whole hand: nobody sees another's cards before they are shown, and all see the same end", {
  skip,
}, async () => {
  const hand = await dealtToAll();
  const looks = await Promise.all(people.map((player) => player.look()));
  for (const look of looks) {
    assert.deepEqual(look.othersCards, [], "no card of others in the document");
    assert.ok(
      look.cardCounts.every((count) => count === 3),
      "three cards each",
    );
  }
  await people[0]?.shoot("dealt-desktop");
  await people[2]?.shoot("dealt-phone");
  await playOut(hand, (look) => assert.deepEqual(look.othersCards, [], "no card of others before the show"));
  const ends = await Promise.all(
    people.map((player) => player.until("the end", (look) => look.hand === hand && look.phase === "over")),
  );
  assert.notEqual(ends[0]?.result, null);
  for (const end of ends) {
    assert.equal(end.result, ends[0]?.result, "the same pot on every screen");
    assert.deepEqual(end.chips, ends[0]?.chips, "the same chips on every screen");
  }
  await Promise.all(people.map((player, at) => player.shoot(`result-${at + 1}`)));
});

test("the shuffle of the hand just played holds up in the browser", { skip }, async () => {
  const [first] = people;
  assert.ok(first);
  await first.on("open-history").click();
  await first.page.locator(".hand-line").first().click();
  await first.on("verify").click();
  await first.page.locator('[data-testid="verdict"][data-ok="true"]').waitFor();
  for (const check of ["clientSeed", "deal", "openings"]) {
    assert.equal(await first.on(`check-${check}`).getAttribute("data-outcome"), "passed", check);
  }
  for (const check of ["commit", "deck"]) {
    assert.equal(
      await first.on(`check-${check}`).getAttribute("data-outcome"),
      "not-yet",
      `${check}: the seed is still secret`,
    );
  }
  await first.shoot("verify");
  await first.page.keyboard.press("Escape");
  await first.on("review-dialog").waitFor({ state: "detached" });
});

test("after kill -9 in mid-hand all come back by themselves: same seat, same hand, same cards, and it ends", {
  skip,
}, async () => {
  const hand = await dealtToAll();
  await Promise.all(people.map((player) => player.press("act-see")));
  const before = await Promise.all(
    people.map((player) => player.until("its cards", (look) => look.ownCards.length === 3)),
  );
  await server.kill();
  await Promise.all(people.map((player) => player.until("the banner", (look) => look.reconnecting)));
  await people[0]?.shoot("reconnecting");
  await server.start();
  const back = await Promise.all(people.map((player) => player.until("the table again", (look) => !look.reconnecting)));
  for (const [at, look] of back.entries()) {
    assert.equal(look.seat, before[at]?.seat, "the same seat");
    assert.equal(look.hand, hand, "the same hand");
    assert.deepEqual(look.ownCards, before[at]?.ownCards, "the same cards");
    assert.equal(look.phase === "over", false, "still running");
  }
  await playOut(hand, () => {});
  await Promise.all(
    people.map((player) => player.until("the end", (look) => look.hand > hand || look.phase === "over")),
  );
  await people[1]?.shoot("after-the-crash");
  const unexpected = people.flatMap(({ problems }) =>
    problems.filter((text) => !text.includes("ERR_CONNECTION_REFUSED") && !text.includes("WebSocket")),
  );
  assert.deepEqual(unexpected, [], "no errors on any page, policy violations included");
});

test("a move and the way to it need no mouse", { skip }, async () => {
  const player = await Player.open(browser, "Esha", DESKTOP);
  const { page } = player;
  await page.goto(server.url);
  await tabTo(player, "name-input");
  await page.keyboard.type("Esha");
  await page.keyboard.press("Enter");
  await player.on("lobby").waitFor();
  await player.on("table-boot-50").waitFor();
  await tabTo(player, "table-boot-50");
  await page.keyboard.press("Enter");
  await player.on("take-seat").waitFor();
  await tabTo(player, "take-seat");
  await page.keyboard.press("Enter");
  await tabTo(player, "buy-in-confirm");
  await page.keyboard.press("Enter");
  await player.until("its turn", (look) => look.moves.includes("act-bet"));
  await tabTo(player, "act-bet");
  const outline = await page.evaluate(
    () => document.activeElement && getComputedStyle(document.activeElement).outlineStyle,
  );
  assert.equal(outline, "solid", "the focus is visible");
  await page.keyboard.press("Enter");
  await player.until("the turn pass", (look) => !look.moves.includes("act-bet"));
  await player.until("its turn again", (look) => look.moves.includes("act-pack"));
  await page.keyboard.press("p");
  const packed = await player.until("the hand packed", (look) => !look.moves.includes("act-pack"));
  assert.ok(packed.hand >= 1);
  assert.deepEqual(player.problems, []);
  await player.close();
});

test("at 360 by 640 nothing scrolls sideways: entry, lobby, table, dialogs", { skip }, async () => {
  const player = await Player.open(browser, "Farah of the long name", PHONE);
  await player.page.goto(server.url);
  await player.on("entry").waitFor();
  assert.equal(await player.overhang(), 0, "entry");
  await player.shoot("phone-entry");
  await player.enter(server.url);
  await player.on("table-boot-200").waitFor();
  assert.equal(await player.overhang(), 0, "lobby");
  await player.shoot("phone-lobby");
  await player.on("table-boot-200").click();
  for (const [open, dialog] of [
    ["take-seat", "buy-in"],
    ["open-help", "help-dialog"],
    ["open-menu", "menu-dialog"],
  ] as const) {
    await player.on(open).click();
    await player.on(dialog).waitFor();
    assert.equal(await player.overhang(), 0, dialog);
    await player.shoot(`phone-${dialog}`);
    await player.on("close-dialog").click();
    await player.on(dialog).waitFor({ state: "detached" });
  }
  assert.equal(await player.overhang(), 0, "table");
  await player.close();
});

/** Plays on until a hand begins that all four are in, so early that all four still are. */
async function dealtToAll(): Promise<number> {
  const end = performance.now() + 60_000;
  while (performance.now() < end) {
    const looks = await Promise.all(people.map((player) => player.look()));
    const hands = new Set(looks.map((look) => look.hand));
    const isFresh = looks.every((look) => look.phase === "betting" && look.moves.includes("act-see"));
    if (hands.size === 1 && isFresh) return looks[0]?.hand ?? 0;
    for (const [at, look] of looks.entries()) if (look.moves.includes("act-pack")) await people[at]?.press("act-pack");
    await people[0]?.page.waitForTimeout(80);
  }
  throw new Error("No hand was dealt to all four.");
}

/** Plays a hand to its end: two pack early, the others bet, and show as soon as they may. */
async function playOut(hand: number, check: (look: Look) => void): Promise<void> {
  const bets = people.map(() => 0);
  const end = performance.now() + 60_000;
  while (performance.now() < end) {
    for (const [at, player] of people.entries()) {
      const look = await player.look();
      if (look.hand !== hand || look.phase === "over") return;
      check(look);
      const move = choose(at, bets[at] ?? 0, look);
      if (move === null) continue;
      if (move === "act-bet") bets[at] = (bets[at] ?? 0) + 1;
      await player.press(move);
    }
    await people[0]?.page.waitForTimeout(60);
  }
  throw new Error(`Hand ${hand} did not end.`);
}

function choose(at: number, bets: number, { moves }: Look): string | null {
  if (moves.includes("act-refuse")) return "act-refuse";
  if (!moves.includes("act-bet")) return moves.includes("act-pack") ? "act-pack" : null;
  if (at === 2 && moves.includes("act-see")) return "act-see";
  if (at > 0 && bets >= 1) return "act-pack";
  return moves.includes("act-show") && bets >= 2 ? "act-show" : "act-bet";
}

async function tabTo(player: Player, testid: string): Promise<void> {
  for (let presses = 0; presses < 60; presses++) {
    if (await player.page.evaluate((id) => document.activeElement?.getAttribute("data-testid") === id, testid)) return;
    await player.page.keyboard.press("Tab");
  }
  throw new Error(`Tab never reached ${testid}.`);
}
