/** The wallet by itself, then over a real log and a real connection. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { developmentAuthentication, embedded } from "holdfast";
import { connect } from "holdfast/client";
import { given } from "holdfast/testing";
import { wallet } from "./wallet.ts";

test("a wallet pays only what it holds", () => {
  const ann = { principal: { kind: "user", id: "ann" } } as const;
  given(wallet, [{ name: "credited", payload: { amount: 50 } }], { key: "ann" })
    .when("debit", { amount: 20 }, ann)
    .then({ events: [{ name: "debited", payload: { amount: 20 } }], reply: { balance: 30 } })
    .when("debit", { amount: 31 }, ann)
    .then({ rejected: "insufficient-funds", events: [] });
});

test("what was answered is there after a restart", async () => {
  const directory = mkdtempSync(join(tmpdir(), "wallet-"));
  const authenticate = developmentAuthentication({ warn: () => {} });
  for (const balance of [50, 100]) {
    const service = await embedded({ entities: [wallet], directory, port: 0, authenticate });
    await using client = connect<{ wallet: typeof wallet }>({ url: service.url, token: "dev:ann" });
    const ann = client.entity("wallet", "ann");
    await ann.execute("credit", { amount: 50 }); // resolved: it is on disk
    assert.equal((await ann.query("balance")).value, balance);
    await service.stop();
  }
  rmSync(directory, { recursive: true });
});
