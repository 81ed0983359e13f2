/** Card numbers and names. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cardName, cardNames, cardOf, cardWords, isCard, isDeck, orderedDeck, rankOf, suitOf } from "./cards.ts";

test("rank is the card modulo 13 from two to ace, suit its thirteen", () => {
  assert.deepEqual([rankOf(0), suitOf(0)], [0, 0]);
  assert.deepEqual([rankOf(51), suitOf(51)], [12, 3]);
  for (const card of orderedDeck()) assert.equal(cardOf({ rank: rankOf(card), suit: suitOf(card) }), card);
});

test("every card has a name of its own", () => {
  assert.equal(new Set(orderedDeck().map(cardName)).size, 52);
  assert.equal(cardNames([0, 21, 51]), "2♣ 10♦ A♠");
  assert.equal(cardWords(51), "ace of spades");
});

test("only the integers 0 to 51 are cards, and a deck holds each once", () => {
  assert.ok(isCard(0) && isCard(51));
  for (const other of [-1, 52, 0.5, Number.NaN, "0", null]) assert.ok(!isCard(other));
  assert.ok(isDeck(orderedDeck()));
  assert.ok(!isDeck(orderedDeck().with(0, 1)) && !isDeck([0]));
});
