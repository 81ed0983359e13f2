/**
 * The statements of coordination. Invariant: each is whole by itself, and carries in its conditions what it rests on.
 */
import type { Statement } from "./schema.ts";
import { quotedName } from "./tables.ts";

export interface CoordinationStatements {
  readonly join: Statement;
  readonly renew: Statement;
  readonly describe: Statement;
  readonly leave: Statement;
  readonly evict: Statement;
  readonly acquire: Statement;
  readonly extend: Statement;
  readonly release: Statement;
  readonly assign: Statement;
  readonly look: Statement;
  readonly glance: Statement;
}

const until = (parameter: string) => `clock_timestamp() + ${parameter}::double precision * interval '1 millisecond'`;
const leftMs = "greatest(0, extract(epoch FROM expires_at - clock_timestamp()) * 1000)::double precision";

export function coordinationStatements(schema: string): CoordinationStatements {
  const place = quotedName("schema", schema);
  const texts = { ...memberTexts(place), ...leaseTexts(place), assign: assignText(place), ...lookTexts(place) };
  const named = Object.entries(texts).map(([verb, text]) => [verb, { name: `holdfast-${verb}`, text }]);
  return Object.fromEntries(named) as unknown as CoordinationStatements;
}

function memberTexts(place: string) {
  const bumped = `bumped AS (UPDATE ${place}.coordination SET version = version + 1 RETURNING version)`;
  const one = "m.node = $1::text AND m.generation = $2::bigint";
  const removed = (condition: string) => `WITH ${bumped}
DELETE FROM ${place}.members m USING bumped WHERE ${one}${condition} RETURNING 1 AS one`;
  return {
    join: `WITH counted AS (
  UPDATE ${place}.coordination SET version = version + 1, generations = generations + 1 RETURNING generations
)
INSERT INTO ${place}.members AS m (node, generation, info, expires_at)
SELECT $1::text, generations, $2::json, ${until("$3")} FROM counted
ON CONFLICT (node) DO UPDATE SET generation = excluded.generation, info = excluded.info, expires_at = excluded.expires_at
RETURNING generation`,
    renew: `UPDATE ${place}.members m SET expires_at = ${until("$3")}
WHERE ${one} AND m.expires_at > clock_timestamp() RETURNING 1 AS one`,
    describe: `WITH ${bumped}
UPDATE ${place}.members m SET info = $3::json FROM bumped
WHERE ${one} AND m.expires_at > clock_timestamp() RETURNING 1 AS one`,
    leave: removed(""),
    evict: removed(" AND m.expires_at <= clock_timestamp()"),
  };
}

function leaseTexts(place: string) {
  return {
    acquire: `INSERT INTO ${place}.leases AS l (name, node, token, expires_at) VALUES ($1::text, $2::text, 1, ${until("$3")})
ON CONFLICT (name) DO UPDATE SET node = excluded.node, token = l.token + 1, expires_at = ${until("$3")}
WHERE l.node IS NULL OR l.node = excluded.node OR l.expires_at <= clock_timestamp() RETURNING token`,
    extend: `UPDATE ${place}.leases l SET expires_at = ${until("$3")}
WHERE l.name = $1::text AND l.token = $2::bigint AND l.node IS NOT NULL AND l.expires_at > clock_timestamp() RETURNING 1 AS one`,
    release: `UPDATE ${place}.leases l SET node = NULL, expires_at = clock_timestamp()
WHERE l.name = $1::text AND l.token = $2::bigint`,
  };
}

/** The lease's row is locked, so that nobody is given it between the look at it and the commit. */
function assignText(place: string): string {
  return `WITH lease AS MATERIALIZED (
  SELECT 1 FROM ${place}.leases l WHERE l.name = $4::text AND l.token = $5::bigint AND l.node IS NOT NULL
    AND l.expires_at > clock_timestamp() FOR SHARE
), counted AS (
  UPDATE ${place}.coordination SET version = version + 1
  WHERE $4::text IS NULL OR EXISTS (SELECT 1 FROM lease) RETURNING version
), given AS MATERIALIZED (
  SELECT * FROM unnest($1::integer[], $2::bigint[], $3::text[]) AS g (shard, expected, target)
), made AS (
  INSERT INTO ${place}.assignments (shard, version, target)
  SELECT g.shard, 1, g.target::json FROM counted, given g WHERE g.expected = 0
  ON CONFLICT (shard) DO NOTHING RETURNING shard, version
), changed AS (
  UPDATE ${place}.assignments a SET version = a.version + 1, target = g.target::json
  FROM counted, given g WHERE a.shard = g.shard AND a.version = g.expected AND g.expected > 0
  RETURNING a.shard, a.version
)
SELECT g.shard, done.version, EXISTS (SELECT 1 FROM counted) AS held
FROM given g LEFT JOIN (SELECT * FROM made UNION ALL SELECT * FROM changed) AS done ON done.shard = g.shard`;
}

function lookTexts(place: string) {
  const list = (object: string, table: string, order: string) =>
    `(SELECT coalesce(json_agg(json_build_object(${object}) ORDER BY ${order}), '[]') FROM ${place}.${table})`;
  const member = `'node', node, 'generation', generation, 'info', info, 'leftMs', ${leftMs}`;
  const lease = `'name', name, 'token', token, 'node', node, 'leftMs', ${leftMs}`;
  const assignment = "'shard', shard, 'version', version, 'target', target";
  return {
    look: `SELECT version, ${list(member, "members", 'node COLLATE "C"')} AS members,
  ${list(lease, "leases", 'name COLLATE "C"')} AS leases, ${list(assignment, "assignments", "shard")} AS assignments
FROM ${place}.coordination`,
    glance: `SELECT version, (SELECT string_agg(node, ' ' ORDER BY node) FROM ${place}.members
  WHERE expires_at <= clock_timestamp()) AS lapsed, (SELECT string_agg(concat_ws(' ', name, token, node), ' ' ORDER BY name)
  FROM ${place}.leases) AS held FROM ${place}.coordination`,
  };
}
