/**
 * Those who only look on, in a real browser against the real server: the leaderboard and a table that is watched. Bots play.
 *
 * Invariant: nobody here has a name or a token; what they see is what everybody may.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { openBrowser, skip } from "./browser.ts";
import { buildPage, GameServer } from "./game-server.ts";
import { Player, type Size } from "./player.ts";

const SIZES: readonly (readonly [string, Size])[] = [
  ["phone", { width: 360, height: 640 }],
  ["tablet", { width: 768, height: 1024 }],
  ["desktop", { width: 1280, height: 800 }],
];
const [, [, TABLET]] = SIZES as readonly [unknown, readonly [string, Size]];
const TABLE = "boot-10";

let browser: Browser;
let server: GameServer;

before(async () => {
  if (skip !== false) return;
  [browser, server] = await Promise.all([openBrowser(), buildPage().then(() => GameServer.open(3))]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("who watches a table sees it move, without a card, and gets changes instead of whole views", {
  skip,
}, async () => {
  const onlooker = await Player.open(browser, "nobody", TABLET);
  await onlooker.page.goto(`${server.url}/watch/${TABLE}`);
  await onlooker.on("watch-screen").waitFor();
  const first = await onlooker.until("a hand", ({ hand, phase }) => hand > 0 && phase === "betting");
  const seen = new Set<number>([first.hand]);
  await onlooker.until(
    "another hand",
    (look) => {
      if (look.phase === "betting") assert.deepEqual(look.othersCards, [], "no card before it is shown");
      seen.add(look.hand);
      return seen.size >= 2;
    },
    150_000,
  );
  // Two hands may be short: enough of them to tell what changes cost.
  let cost = await costOf(onlooker);
  while (cost.updates <= 20) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    cost = await costOf(onlooker);
  }
  assert.ok(cost.received < 0.5 * cost.whole, `half of the bytes at most: ${JSON.stringify(cost)}`);
  await onlooker.shoot("watch");
  assert.deepEqual(onlooker.problems, []);
  await onlooker.close();
});

test("after kill -9 the watched table goes on by itself", { skip }, async () => {
  const onlooker = await Player.open(browser, "nobody", TABLET);
  await onlooker.page.goto(`${server.url}/watch/${TABLE}`);
  const before = await onlooker.until("a hand", ({ hand }) => hand > 0);
  const { updates } = await costOf(onlooker);
  await server.kill();
  await server.start();
  await onlooker.until("a later hand", ({ hand }) => hand > before.hand, 90_000);
  assert.ok((await costOf(onlooker)).updates > updates);
  await onlooker.close();
});

test("the leaderboard shows who won most, and changes while one looks", { skip }, async () => {
  const onlooker = await Player.open(browser, "nobody", TABLET);
  await onlooker.page.goto(`${server.url}/leaderboard`);
  await onlooker.on("standing-1").waitFor();
  const first = await figures(onlooker);
  assert.deepEqual(
    first,
    [...first].sort((one, other) => other - one),
    "the highest first",
  );
  assert.equal(
    first.reduce((sum, amount) => sum + amount, 0),
    0,
    "what one wins others lose",
  );
  await onlooker.page.waitForFunction(
    (text) => JSON.stringify([...document.querySelectorAll("[data-amount]")].map((of) => of.textContent)) !== text,
    JSON.stringify(await onlooker.page.locator("[data-amount]").allTextContents()),
    { timeout: 60_000 },
  );
  await onlooker.on("order-handsWon").click();
  await onlooker.page.locator('[data-testid="order-handsWon"][aria-pressed="true"]').waitFor();
  await onlooker.on("leave-leaderboard").click();
  await onlooker.on("entry").waitFor();
  assert.deepEqual(onlooker.problems, []);
  await onlooker.close();
});

test("from the lobby to a table that is watched, to the leaderboard, and back; nothing scrolls sideways", {
  skip,
}, async () => {
  for (const [name, size] of SIZES) {
    const player = await Player.open(browser, "Gita", size, true);
    await player.enter(server.url);
    await player.on(`watch-${TABLE}`).click();
    await player.on("cost").waitFor();
    assert.equal(await player.overhang(), 0, `${name}: watching`);
    await player.shoot(`watch-${name}`);
    await player.on("leave-watch").click();
    await player.on("open-leaderboard").click();
    await player.on("standing-1").waitFor();
    assert.equal(await player.overhang(), 0, `${name}: leaderboard`);
    await player.shoot(`leaderboard-${name}`);
    await player.on("leave-leaderboard").click();
    await player.on(`table-${TABLE}`).waitFor();
    assert.equal(await player.overhang(), 0, `${name}: lobby`);
    await player.shoot(`lobby-${name}`);
    assert.deepEqual(player.problems, []);
    await player.close();
  }
});

async function costOf(player: Player): Promise<{ updates: number; received: number; whole: number }> {
  const { updates, received, whole } = await player.on("cost").evaluate(({ dataset }: HTMLElement) => {
    return { updates: dataset["updates"], received: dataset["received"], whole: dataset["whole"] };
  });
  return { updates: Number(updates), received: Number(received), whole: Number(whole) };
}

async function figures(player: Player): Promise<number[]> {
  return player.page
    .locator("[data-amount]")
    .evaluateAll((all) => all.map((of) => Number((of as HTMLElement).dataset["amount"])));
}
