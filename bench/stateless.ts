/**
 * The stateless way: Fastify, a pool of `pg`, and a transaction for each command. One process, as one node of the cluster is.
 *
 *   stateless.ts <URL of the database> <connections of the pool>
 *
 * `POST /locked/:wallet`   BEGIN, SELECT … FOR UPDATE, the event's INSERT with the balance's UPDATE as one statement, COMMIT: what an
 *                          event-sourced command costs whose rule is code
 * `POST /update/:wallet`   one UPDATE … RETURNING, no event: the least that there is
 */
import Fastify from "fastify";
import pg from "pg";
import { answerQuestions } from "./cluster-ask.ts";

const [url, connections] = process.argv.slice(2) as [string, string];
const pool = new pg.Pool({ connectionString: url, max: Number(connections) });
const app = Fastify();
const schema = {
  body: {
    type: "object",
    required: ["amount"],
    properties: { amount: { type: "integer", minimum: 1 } },
  },
} as const;

interface Route {
  Params: { wallet: string };
  Body: { amount: number };
}

app.post<Route>("/locked/:wallet", { schema }, async ({ params: { wallet }, body: { amount } }) => {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const { rows } = await client.query<{ balance: string }>({
      name: "lock",
      text: "SELECT balance FROM stateless_wallets WHERE wallet = $1 FOR UPDATE",
      values: [wallet],
    });
    const balance = Number(rows[0]?.balance) + amount;
    await client.query({
      name: "write",
      text: `WITH event AS (INSERT INTO stateless_events (wallet, event) VALUES ($1, jsonb_build_object('credited', $2::integer)))
        UPDATE stateless_wallets SET balance = $3 WHERE wallet = $1`,
      values: [wallet, amount, balance],
    });
    await client.query("COMMIT");
    return { balance };
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
});

app.post<Route>("/update/:wallet", { schema }, async ({ params: { wallet }, body: { amount } }) => {
  const { rows } = await pool.query<{ balance: string }>({
    name: "update",
    text: "UPDATE stateless_wallets SET balance = balance + $2::integer WHERE wallet = $1 RETURNING balance",
    values: [wallet, amount],
  });
  return { balance: Number(rows[0]?.balance) };
});

await pool.query(
  "CREATE TABLE IF NOT EXISTS stateless_events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, wallet text NOT NULL, event jsonb NOT NULL)",
);
await pool.query(
  "CREATE TABLE IF NOT EXISTS stateless_wallets (wallet text PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50)",
);
await pool.query(
  "INSERT INTO stateless_wallets SELECT 'w' || n, 0 FROM generate_series(0, 9999) AS n ON CONFLICT DO NOTHING",
);
await app.listen({ host: "127.0.0.1", port: 0 });
const address = app.server.address();
answerQuestions({ cpu: () => process.cpuUsage() });
process.once("disconnect", () => process.exit(0));
process.send?.({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}` });
