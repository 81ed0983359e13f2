/**
 * The schema of the PostgreSQL engine, in numbered steps, and the statements that the log runs on it.
 *
 * Invariants: a step that was released never changes; a change is a new step. Statements hold no value: the schema's name is
 * checked, everything else is a parameter. What makes a write conditional stands in the statement itself, never in the code
 * that sends it. Whoever writes to `shards` for several shards locks their rows in the order of their numbers.
 */
import { quotedName } from "./tables.ts";

/** One step; run once, in its own order, under a lock. `$shards` stands for the number of shards. */
export interface Migration {
  readonly version: number;
  readonly title: string;
  readonly statements: readonly string[];
}

/**
 * Rows of `shards` are changed by every append: pages that are four fifths empty let each change stay on its page, without a touch
 * of the index, and be cleared away by the next one. A frame up to a page's size stands in its row (no detour by TOAST),
 * uncompressed. What is trimmed is cleared away by autovacuum, which looks at these tables by what died in them, not by their size.
 */
const churned =
  "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0";

export function migrationsIn(schema: string): readonly Migration[] {
  const place = quotedName("schema", schema);
  return [
    {
      version: 1,
      title: "the shard log",
      statements: [
        `CREATE TABLE ${place}.log_info (
  one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
  log_id      uuid        NOT NULL DEFAULT gen_random_uuid(),
  shard_count integer     NOT NULL CHECK (shard_count > 0),
  made_at     timestamptz NOT NULL DEFAULT now()
)`,
        `CREATE TABLE ${place}.shards (
  shard   integer PRIMARY KEY,
  epoch   bigint  NOT NULL DEFAULT 0,
  tail    bigint  NOT NULL DEFAULT 1,
  trimmed bigint  NOT NULL DEFAULT 1 CHECK (trimmed <= tail)
) WITH (fillfactor = 20, ${churned})`,
        `CREATE TABLE ${place}.frames (
  shard    integer NOT NULL,
  at       bigint  NOT NULL,
  epoch    bigint  NOT NULL,
  count    bigint  NOT NULL CHECK (count > 0),
  checksum bigint  NOT NULL,
  bytes    bytea   NOT NULL,
  PRIMARY KEY (shard, at)
) WITH (toast_tuple_target = 8160, ${churned}, ${churned.replaceAll("autovacuum", "toast.autovacuum")})`,
        `ALTER TABLE ${place}.frames ALTER COLUMN bytes SET STORAGE EXTERNAL`,
        `CREATE TABLE ${place}.barriers (
  slot integer     PRIMARY KEY,
  at   timestamptz NOT NULL
)`,
        `INSERT INTO ${place}.log_info (shard_count) VALUES ($shards)`,
        `INSERT INTO ${place}.shards (shard) SELECT generate_series(0, $shards - 1)`,
      ],
    },
    {
      version: 2,
      title: "coordination",
      statements: [
        `CREATE TABLE ${place}.coordination (
  one         boolean PRIMARY KEY DEFAULT true CHECK (one),
  version     bigint  NOT NULL DEFAULT 1,
  generations bigint  NOT NULL DEFAULT 0
)`,
        `INSERT INTO ${place}.coordination DEFAULT VALUES`,
        `CREATE TABLE ${place}.members (
  node       text        PRIMARY KEY,
  generation bigint      NOT NULL,
  info       json        NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50, ${churned})`,
        `CREATE TABLE ${place}.leases (
  name       text        PRIMARY KEY,
  node       text,
  token      bigint      NOT NULL,
  expires_at timestamptz NOT NULL
)`,
        `CREATE TABLE ${place}.assignments (
  shard    integer PRIMARY KEY,
  version  bigint  NOT NULL,
  target   json    NOT NULL
)`,
      ],
    },
  ];
}

/** What a node's role may do, and nothing else: it changes no frame, and makes and drops nothing. */
export function grantStatements(schema: string, role: string): readonly string[] {
  const place = quotedName("schema", schema);
  const to = quotedName("role", role);
  return [
    `GRANT USAGE ON SCHEMA ${place} TO ${to}`,
    `GRANT SELECT ON ${place}.migrations, ${place}.log_info TO ${to}`,
    `GRANT SELECT, UPDATE (epoch, tail, trimmed) ON ${place}.shards TO ${to}`,
    `GRANT SELECT, INSERT, DELETE ON ${place}.frames TO ${to}`,
    `GRANT SELECT, INSERT, UPDATE ON ${place}.barriers TO ${to}`,
    `GRANT SELECT, UPDATE ON ${place}.coordination TO ${to}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ${place}.members, ${place}.leases, ${place}.assignments TO ${to}`,
  ];
}

export interface Statement {
  /** Prepared under this name, once per connection. */
  readonly name: string;
  readonly text: string;
}

export interface LogStatements {
  readonly info: Statement;
  readonly barrier: Statement;
  readonly witness: Statement;
  readonly tail: Statement;
  readonly starts: Statement;
  readonly page: Statement;
  readonly trim: Statement;
  readonly drop: Statement;
  readonly append: Statement;
  readonly claim: Statement;
}

export function logStatements(schema: string): LogStatements {
  const place = quotedName("schema", schema);
  return {
    info: { name: "holdfast-info", text: `SELECT log_id, shard_count FROM ${place}.log_info` },
    // Its commit is waited for as an append's is: whatever is read after it is at least as durable as it.
    barrier: {
      name: "holdfast-barrier",
      text: `INSERT INTO ${place}.barriers AS kept (slot, at) VALUES (pg_backend_pid() % 64, clock_timestamp())
ON CONFLICT (slot) DO UPDATE SET at = excluded.at`,
    },
    witness: {
      name: "holdfast-witness",
      text: `SELECT s.shard, s.epoch, s.tail, s.trimmed, f.count, f.checksum
FROM unnest($1::integer[], $2::bigint[]) AS w (shard, at)
JOIN ${place}.shards s ON s.shard = w.shard
LEFT JOIN ${place}.frames f ON f.shard = w.shard AND f.at = w.at`,
    },
    tail: {
      name: "holdfast-tail",
      text: `SELECT shard, epoch, tail, trimmed FROM ${place}.shards WHERE shard = ANY ($1::integer[])`,
    },
    starts: {
      name: "holdfast-starts",
      text: `SELECT s.shard, s.tail, s.trimmed,
  (SELECT f.at FROM ${place}.frames f WHERE f.shard = s.shard AND f.at <= w.at ORDER BY f.at DESC LIMIT 1) AS start
FROM unnest($1::integer[], $2::bigint[]) AS w (shard, at) JOIN ${place}.shards s ON s.shard = w.shard`,
    },
    page: { name: "holdfast-page", text: pageText(place) },
    trim: {
      name: "holdfast-trim",
      text: `UPDATE ${place}.shards s SET trimmed = cut.at
FROM (SELECT CASE WHEN f.at + f.count > least($2, k.tail) THEN f.at ELSE f.at + f.count END AS at
  FROM ${place}.shards k JOIN ${place}.frames f ON f.shard = k.shard AND f.at <= least($2, k.tail)
  WHERE k.shard = $1::integer ORDER BY f.at DESC LIMIT 1) AS cut
WHERE s.shard = $1::integer AND s.trimmed < cut.at`,
    },
    drop: {
      name: "holdfast-drop",
      text: `DELETE FROM ${place}.frames WHERE shard = $1::integer AND at IN (
  SELECT f.at FROM ${place}.frames f JOIN ${place}.shards s ON s.shard = f.shard
  WHERE f.shard = $1::integer AND f.at < s.trimmed ORDER BY f.at LIMIT $2) RETURNING 1 AS one`,
    },
    append: { name: "holdfast-append", text: writeText(place, "=") },
    claim: { name: "holdfast-claim", text: writeText(place, "<") },
  };
}

/**
 * One round trip for any number of shards, each admitted by itself. `held` locks the rows that fit, in the order of their numbers, so that
 * two such statements never wait for each other in a circle. Under READ COMMITTED a row that somebody changed meanwhile is looked
 * at anew once he has committed, so epoch and tail are compared with what is true at the moment of the lock; the same again in `moved`.
 * A frame is inserted for a shard whose tail was moved, and for no other.
 */
function writeText(place: string, fence: "=" | "<"): string {
  const admits = `s.epoch ${fence} g.epoch AND s.tail = g.at`;
  return `WITH given AS MATERIALIZED (
  SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[], $7::integer[])
    AS g (shard, epoch, at, count, checksum, start, length)
), held AS MATERIALIZED (
  SELECT s.shard FROM ${place}.shards s JOIN given g ON s.shard = g.shard
  WHERE ${admits} ORDER BY s.shard FOR NO KEY UPDATE OF s
), moved AS (
  UPDATE ${place}.shards s SET epoch = g.epoch, tail = g.at + g.count
  FROM given g JOIN held h ON h.shard = g.shard
  WHERE s.shard = g.shard AND ${admits} RETURNING s.shard
)
INSERT INTO ${place}.frames (shard, at, epoch, count, checksum, bytes)
SELECT g.shard, g.at, g.epoch, g.count, g.checksum, substring($8::bytea FROM g.start FOR g.length)
FROM given g JOIN moved m ON m.shard = g.shard RETURNING shard`;
}

/** Frames of some shards, one shard after the other, until there are so many bytes; of the first shard at least one. */
function pageText(place: string): string {
  return `SELECT shard, at, epoch, count, checksum, bytes FROM (
  SELECT w.n, f.*, sum(octet_length(f.bytes)) OVER (ORDER BY w.n, f.at ROWS UNBOUNDED PRECEDING) - octet_length(f.bytes) AS before
  FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS w (shard, first, upto, n)
  CROSS JOIN LATERAL (SELECT * FROM ${place}.frames k
    WHERE k.shard = w.shard AND k.at >= w.first AND k.at < w.upto ORDER BY k.at LIMIT $4) AS f
) AS found WHERE before < $5 ORDER BY n, at`;
}
