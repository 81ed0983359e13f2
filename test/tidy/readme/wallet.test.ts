/** The wallet over a real log and a real connection. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { developmentAuthentication, embedded } from "holdfast";
import { connect, rejectionOf } from "holdfast/client";
import { wallet } from "./wallet.ts";

test("a wallet pays only what it holds", async () => {
  const directory = mkdtempSync(join(tmpdir(), "wallet-"));
  const authenticate = developmentAuthentication({ warn: () => {} });
  const service = await embedded({ entities: [wallet], directory, port: 0, authenticate });
  const client = connect<{ wallet: typeof wallet }>({ url: service.url, token: "dev:ann" });
  try {
    const ann = client.entity("wallet", "ann");
    await ann.execute("credit", { amount: 50 });
    const { value } = await ann.execute("debit", { amount: 20 }); // resolved: it is on disk
    assert.deepEqual(value, { balance: 30 });
    await assert.rejects(ann.execute("debit", { amount: 31 }), (error) => {
      return rejectionOf(error)?.reason === "insufficient-funds";
    });
  } finally {
    await client.close();
    await service.stop();
    rmSync(directory, { recursive: true });
  }
});
