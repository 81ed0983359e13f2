/**
 * A service whose feeds are followed: accounts that are paid numbered amounts, and a way to pay them fast.
 *
 * As a process: `node service.ts <directory> <port>` prints the port it listens on once it serves.
 */
import { z } from "zod";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import { defineEntity } from "../../src/model/entity.ts";
import type { Limits } from "../../src/model/limits.ts";
import type { Principal } from "../../src/model/records.ts";
import { type EmbeddedService, embedded } from "../../src/presets/embedded.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";

/** Readers may follow, and who has no token, as an `EventSource` of a browser has none; anybody may pay. */
export const account = defineEntity("account", {
  state: () => ({ balance: 0, count: 0, filler: Array.from({ length: 20 }, (_, index) => `line ${index}`) }),
  events: {
    paid: (state, event: { amount: number }) => {
      state.balance += event.amount;
      state.count++;
    },
    noted: (_state, _event: { text: string }) => {},
  },
  commands: (command) => ({
    pay: command(z.object({ amount: z.number() }), (_state, { amount }, context) => {
      context.emit("paid", { amount });
      return (state) => ({ count: state.count });
    }),
    note: command(z.object({ text: z.string() }), (_state, { text }, context) => {
      context.emit("noted", { text });
    }),
  }),
  views: { balance: (state) => ({ balance: state.balance }) },
  access: () => true,
  feed: ({ kind, id }) => kind === "anonymous" || (kind === "user" && id.startsWith("reader")),
  published: {
    events: { paid: z.object({ amount: z.number() }), noted: z.object({ text: z.string() }) },
    state: z.object({ balance: z.number(), count: z.int(), filler: z.array(z.string()) }),
    views: { balance: z.object({ balance: z.number() }) },
  },
});

/** Nobody but operators may follow it. */
export const secret = defineEntity("secret", {
  state: () => ({ value: 0 }),
  events: { kept: (state, event: { value: number }) => void (state.value = event.value) },
  commands: (command) => ({
    keep: command(z.object({ value: z.number() }), (_state, { value }, context) => context.emit("kept", { value })),
  }),
  access: () => true,
});

export type Entities = { account: typeof account; secret: typeof secret };

export const shardCount = 4;
export const readerToken = "dev:reader";
const payer: Principal = { kind: "user", id: "payer" };

export function startService(
  directory: string,
  port = 0,
  limits: Partial<Limits> = {},
  segmentBytes = 1024 * 1024,
): Promise<EmbeddedService> {
  return embedded({
    entities: [account, secret],
    directory,
    shardCount,
    segmentBytes,
    authenticate: developmentAuthentication({ warn: () => {} }),
    port,
    progress: false,
    serviceName: "shop",
    limits: { createsPerMinuteMax: 1_000_000, ...limits },
  });
}

/** Pays once. @returns the version after it */
export function pay(service: EmbeddedService, key: string, amount: number): Promise<number> {
  return send(service, key, "pay", { amount });
}

export function send(service: EmbeddedService, key: string, command: string, input: unknown): Promise<number> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const call = { entity: { type: "account", key }, command, input, requestId, principal: payer };
  return new Promise((resolve, reject) => {
    service.node.execute(call, (result) => {
      if (result.ok) resolve(result.version);
      else reject(new Error(`${result.code}: ${result.detail}`));
    });
  });
}

/** Pays `count` times over `keys` accounts, amounts from `first` on. */
export async function payMany(service: EmbeddedService, count: number, keys: number, first = 0): Promise<void> {
  const slice = 2_000;
  for (let from = 0; from < count; from += slice) {
    const length = Math.min(slice, count - from);
    await Promise.all(Array.from({ length }, (_, at) => pay(service, `a${(from + at) % keys}`, first + from + at)));
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , directory = "", port = "0"] = process.argv;
  const service = await startService(directory, Number(port));
  console.log(service.gateway.port);
}
