/**
 * Questions that analysts ask of the rows in PostgreSQL: who loses chips to whom on purpose.
 *
 * Invariant: they read the settled hands alone, so they see what was paid and won, and no card.
 */
import { analyticsTable } from "./downstream.ts";

/** A row for each player of each settled hand. */
const results = `results AS (
  SELECT entity_key AS place, (payload->>'handNumber')::int AS hand, (payload->>'pot')::numeric AS pot,
    one->>'player' AS player, (one->>'paid')::numeric AS paid, (one->>'won')::numeric AS won,
    jsonb_array_length(payload->'results') AS players
  FROM holdfast.${analyticsTable}, jsonb_array_elements(payload->'results') AS one
  WHERE event = 'handSettled'
)`;

/**
 * Chip dumping: pairs of which one lost to the other again and again, and next to nothing came back.
 * `$1`: hands at least; `$2`: chips at least. `one_sided` is 1 where nothing came back.
 */
export const chipDumping = `WITH ${results}, moved AS (
  SELECT loser.player AS giver, winner.player AS taker, count(*)::int AS hands,
    round(sum(loser.paid * winner.won / loser.pot)) AS chips
  FROM results AS loser JOIN results AS winner USING (place, hand)
  WHERE loser.won = 0 AND winner.won > 0
  GROUP BY 1, 2
)
SELECT away.giver, away.taker, away.hands, (away.chips - coalesce(back.chips, 0))::float8 AS chips,
  (away.chips / (away.chips + coalesce(back.chips, 0)))::float8 AS one_sided
FROM moved AS away LEFT JOIN moved AS back ON back.giver = away.taker AND back.taker = away.giver
WHERE away.hands >= $1 AND away.chips - coalesce(back.chips, 0) >= $2
  AND away.chips >= 0.95 * (away.chips + coalesce(back.chips, 0))
ORDER BY chips DESC`;

/** Pairs that play alone with each other: `share` of the hands of the one who plays less. `$1`: hands at least. */
export const alwaysTogether = `WITH ${results}, played AS (
  SELECT player, count(*) AS hands FROM results GROUP BY 1
), pairs AS (
  SELECT one.player AS one, other.player AS other, count(*)::int AS hands
  FROM results AS one JOIN results AS other USING (place, hand)
  WHERE one.players = 2 AND one.player < other.player
  GROUP BY 1, 2
)
SELECT pairs.one, pairs.other, pairs.hands, (pairs.hands::float8 / least(a.hands, b.hands)) AS share
FROM pairs JOIN played AS a ON a.player = pairs.one JOIN played AS b ON b.player = pairs.other
WHERE pairs.hands >= $1
ORDER BY share DESC, hands DESC`;
