/**
 * A service whose change log goes to files (and to PostgreSQL and a webhook, if an address is given), under load, until it is killed.
 * Arguments: data directory, directory of the files, commands to run (0: only gives what is left), PostgreSQL's address, the webhook's.
 *
 * Prints `serving` when it serves; at the end, as one line, the ids of everything that is in the log.
 */
import { z } from "zod";
import { filesSink } from "../../src/adapters/files/sink.ts";
import { postgresSink } from "../../src/adapters/postgres/sink.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { webhookSink } from "../../src/adapters/webhook/sink.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { idOf } from "../../src/ports/sink.ts";
import { embedded } from "../../src/presets/embedded.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { secret } from "./webhook-secret.ts";

const purse = defineEntity("purse", {
  state: () => ({ balance: 0 }),
  events: { paid: (state, event: { amount: number }) => void (state.balance += event.amount) },
  commands: (command) => ({
    pay: command(z.object({ amount: z.number() }), (_state, { amount }, context) => {
      context.emit("paid", { amount });
    }),
  }),
  access: () => true,
});

const principal = { kind: "system", id: "load" } as const;
const [directory = "", files = "", commands = "0", postgres = "", hook = ""] = process.argv.slice(2);

const service = await embedded({
  entities: [purse],
  directory,
  authenticate: async () => ({ principal }),
  port: 0,
  serviceName: "shop",
  segmentBytes: 256 * 1024,
  limits: { subscriberCommitMs: 20 },
  sinks: {
    files: () => filesSink({ directory: files, fileBytesMax: 50_000 }),
    table: () => postgresSink({ connection: postgres, form: "changes" }),
    hook: () => webhookSink({ url: hook, secrets: [secret] }),
  },
  subscribers: [
    { name: "archive", form: "changes", sink: "files", start: "beginning", batchItems: 50 },
    ...(postgres === "" ? [] : [{ name: "ledger", form: "changes", sink: "table", start: "beginning" } as const]),
    ...(hook === ""
      ? []
      : [
          { name: "partner", form: "changes", sink: "hook", start: "beginning", batchItems: 50, tries: 1_000 } as const,
        ]),
  ],
});
process.stdout.write("serving\n");

async function pay(amount: number): Promise<void> {
  const call = {
    entity: { type: "purse", key: `p${amount % 40}` },
    command: "pay",
    input: { amount },
    requestId: makeUuidV7(Date.now(), systemRandom.bytes(16)),
    principal,
  };
  await new Promise((done) => service.node.execute(call, done));
}

const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));
for (let round = 0; round < Number(commands); round++) {
  await Promise.all(Array.from({ length: 10 }, (_, index) => pay(round * 10 + index)));
  await wait(2);
}

const feed = await service.feeds.open({ form: "changes", start: "beginning", principal });
const ids: string[] = [];
for (let behind = true; behind; ) {
  const { items, lag } = await feed.next({ itemsMax: 1_000 });
  ids.push(...items.map(idOf));
  behind = lag.records > 0;
}
const isThrough = () => {
  const all = service.subscribers.list();
  return (
    all.length === 1 + (postgres === "" ? 0 : 1) + (hook === "" ? 0 : 1) &&
    all.every(({ lag, cursor }) => cursor !== null && lag.records === 0)
  );
};
while (!isThrough()) await wait(5);
await service.stop();
process.stdout.write(`${ids.join(" ")}\n`);
